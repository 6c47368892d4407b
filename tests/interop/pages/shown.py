"""Reports that are stored without a model, and pages as a browser takes them apart."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from actions.analysis import Analysis
from inference.recording import Recording
from interop.record import Origin, record
from tests.interop.resources.cases import FILLER, ORDER, make_analysis, make_received, make_recording
from tests.interop.service import Service

SUBJECT = {"reference": "Patient/1", "identifier": {"system": "urn:oid:1.2", "value": "77"}, "display": "Doe, Jane"}
ORIGIN = Origin(observation=None, subject=SUBJECT, placer_order_number=ORDER, filler_order_number=FILLER)


def stored(
    service: Service, recording: Recording | None = None, origin: Origin = ORIGIN, analysis: Analysis | None = None
) -> str:
    """Store a report; gives its id."""
    kept = analysis or make_analysis()
    service.store.run_batch(
        [
            lambda uow: record(
                uow,
                analysis=kept,
                recording=recording or make_recording(5000),
                received=make_received(correlation_id=str(kept.id)),
                origin=origin,
                ids=service.intake.ids,
            )
        ]
    )
    return str(kept.id)


@dataclass
class Page(HTMLParser):
    """The elements of a page in order, with their attributes; its text, white space folded; the tables by row."""

    html: str
    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    inside: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        HTMLParser.__init__(self)
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.inside.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.inside.pop()

    def handle_data(self, data: str) -> None:
        if "style" in self.inside:
            return
        self.pieces.append(data)
        if self.inside and self.inside[-1] in ("th", "td"):
            self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.pieces).split())

    @property
    def tags(self) -> set[str]:
        return {tag for tag, _ in self.elements}

    def all(self, tag: str) -> list[dict[str, Any]]:
        """The attributes of every element of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]

"""`$process-message` (FHIR R4 messageheader-operation-process-message.html): a message Bundle with ECGs.

Its Patients are kept, each once by its identifier, and its ECGs are taken as if they had been posted; all or nothing.
The answer is a message with the reports and what they propose.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import orjson

from actions.analysis import RequestContext
from audit.criteria import Search
from audit.records import Document, Reader
from inference.errors import InvalidContent
from interop.fhir.change import Change, Changed, Method
from interop.fhir.conditional import condition, referring
from interop.fhir.entries import parse_bundle, resources
from interop.fhir.interactions import Interactions
from interop.fhir.search import MAX_COUNT
from interop.intake import Intake
from interop.resources.devices import SOFTWARE, software_version
from interop.resources.identifiers import identifiers_of
from interop.resources.validation import problems, refuse

Json = dict[str, Any]

# What is taken from a message; anything else in it is read by nobody here.
TAKEN = ("Patient", "Observation")


class Messages:
    """Takes messages."""

    def __init__(self, intake: Intake, interactions: Interactions) -> None:
        self._intake = intake
        self._interactions = interactions

    async def __call__(self, content: bytes, context: RequestContext, base: str, now: float) -> bytes:
        """The answer. Raises every error that a change may meet, with the place of its entry."""
        header, changes = await self._intake.decode(lambda: _changes(content, base, now))
        for change in changes:
            if change.type == "Observation":
                self._intake.metrics.received(context.door)
        outcomes = await self._interactions.together(changes, context, lambda t, q: condition(t, q, base, now))
        results = await self._intake.read(lambda store: _results(store, outcomes))
        return orjson.dumps(_answer(header, results, str(self._intake.ids()), str(self._intake.ids()), base))


def _changes(content: bytes, base: str, now: float) -> tuple[Json, list[Change]]:
    """The header of a message, and what there is to be done."""
    bundle = parse_bundle(content, "message")
    entries, texts = bundle.get("entry", []), resources(content)
    header = entries[0]["resource"] if entries else {}
    refuse(problems(header, path="Bundle.entry[0].resource"))
    changes = [
        _change(entry, text, f"Bundle.entry[{place}]", base, now)
        for place, (entry, text) in enumerate(zip(entries, texts, strict=True))
        if text is not None and entry["resource"].get("resourceType") in TAKEN
    ]
    if not any(change.type == "Observation" for change in changes):
        raise InvalidContent("there is no Observation in the message", element="Bundle.entry")
    return header, changes


def _change(entry: Mapping[str, Any], text: bytes, place: str, base: str, now: float) -> Change:
    raw = entry["resource"]
    kind = raw["resourceType"]
    named = identifiers_of(raw.get("identifier", ())) if kind == "Patient" else ()
    search: Search | None = None
    if named:
        value = f"{named[0].system or ''}|{named[0].value}"
        search = condition(kind, f"identifier={quote(_escaped(value))}", base, now)
    return Change(method=Method.POST, type=kind, content=text, condition=search, place=place, name=entry.get("fullUrl"))


def _escaped(value: str) -> str:
    """A value as a search has it: only the first | separates."""
    system, _, code = value.partition("|")
    return "|".join(part.replace("\\", "\\\\").replace(",", "\\,").replace("|", "\\|") for part in (system, code))


def _results(store: Reader, outcomes: Sequence[Changed]) -> list[tuple[Document, tuple[Document, ...]]]:
    """Each report with what it proposes."""
    reports = [one.report for one in outcomes if one.report is not None]
    return [(report, _proposed(store, report)) for report in reports]


def _proposed(store: Reader, report: Document) -> tuple[Document, ...]:
    search = referring("ServiceRequest", "reason", f"DiagnosticReport/{report.id}")
    return store.documents.search(replace(search, count=MAX_COUNT)).documents


def _answer(
    header: Json, results: Sequence[tuple[Document, tuple[Document, ...]]], bundle_id: str, header_id: str, base: str
) -> Json:
    event: Json = {name: header[name] for name in ("eventCoding", "eventUri") if name in header}
    source = {"name": SOFTWARE, "version": software_version(), "endpoint": base}
    focus = [{"reference": f"DiagnosticReport/{report.id}"} for report, _ in results]
    answer: Json = {
        "resourceType": "MessageHeader",
        "id": header_id,
        **event,
        "source": source,
        "response": {"identifier": header.get("id", header_id), "code": "ok"},
        **({"focus": focus} if focus else {}),
    }
    documents = [document for report, requests in results for document in (report, *requests)]
    return {
        "resourceType": "Bundle",
        "id": bundle_id,
        "type": "message",
        "entry": [
            {"fullUrl": f"urn:uuid:{header_id}", "resource": answer},
            *(
                {"fullUrl": f"{base}/{one.type}/{one.id}", "resource": orjson.Fragment(one.content)}
                for one in documents
            ),
        ],
    }

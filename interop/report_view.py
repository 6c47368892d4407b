"""A report and all that belongs to it, as the store holds it now: what every page for people is made of."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson

from audit.criteria import Criterion, Search
from audit.records import AnalysisRow, Document, Documents, OverreadRow, Reader
from inference.errors import NotFound
from inference.recording import Recording, Sex
from interop.overreading import MOST
from interop.resources.codes import OWN_DEVICE_EXTENSION, Json
from interop.resources.observation import parse, to_recording

TYPE = "DiagnosticReport"
# In place of the patient of an ECG that came by `/predict`, which has none: no Observation is read without.
SOMEBODY = {"reference": "Patient/unknown"}
PAGE = 20  # versions of an ECG that are looked at together; few have more than two


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportView:
    """report: the current version. ecg: the version that was analysed. device: of the model, None where none was run.
    overreads: oldest first."""

    report: Document
    analysis: AnalysisRow
    ecg: Document
    requests: tuple[Document, ...]
    measurements: tuple[Document, ...]
    device: Document | None
    overreads: tuple[OverreadRow, ...]

    def recording(self) -> Recording:
        """The ECG as it was analysed: age and sex may have come from elsewhere. Raises what `parse` and `to_recording`
        raise for one that cannot be read."""
        raw = resource(self.ecg)
        named = {"reference", "identifier"} & raw.get("subject", {}).keys()
        content = self.ecg.content if named else orjson.dumps(raw | {"subject": SOMEBODY})
        return replace(to_recording(parse(content)), age=self.analysis.age, sex=Sex(self.analysis.sex))


def gather(store: Reader, name: str) -> ReportView:
    """The report with an id. Raises NotFound, Gone."""
    documents = store.documents
    report = documents.read(TYPE, name)
    analysis, raw = store.analyses.get(name), resource(report)
    ecg, *results = (one["reference"].partition("/")[2] for one in raw["result"])
    measurements = (documents.newest("Observation", result) for result in results)
    return ReportView(
        report=report,
        analysis=analysis,
        ecg=_as_analysed(documents, ecg, analysis.analyzed_at),
        requests=documents.search(_proposals(name)).documents,
        measurements=tuple(one for one in measurements if one is not None and not one.deleted),
        device=next(_devices(documents, raw), None),
        overreads=tuple(store.overreads.of(name)),
    )


def resource(document: Document) -> dict[str, Any]:
    """A stored resource as JSON."""
    raw: dict[str, Any] = orjson.loads(document.content)
    return raw


def resources(documents: Sequence[Document]) -> list[dict[str, Any]]:
    """Several."""
    return [resource(one) for one in documents]


def _as_analysed(documents: Documents, name: str, at: datetime) -> Document:
    """The version of the ECG that was there when the analysis ended: a later one may have another signal, and then this
    report was withdrawn. Raises NotFound."""
    oldest, after = None, None
    while True:
        found = documents.history("Observation", name, since=None, count=PAGE, after=after)
        for version in found.documents:
            if not version.deleted:
                oldest = version
                if version.last_updated <= at:
                    return version
        after = found.next
        if after is None:
            break
    if oldest is None:
        raise NotFound(f"the ECG of this {TYPE} is not here")
    return oldest


def _proposals(name: str) -> Search:
    criterion = Criterion(name="reason", alternatives=((None, f"{TYPE}/{name}"),))
    return Search(type="ServiceRequest", criteria=(criterion,), count=MOST, include_silent=True)


def _devices(documents: Documents, raw: Json) -> Iterator[Document]:
    for extension in raw.get("extension", ()):
        if extension["url"] == OWN_DEVICE_EXTENSION:
            reference = extension["valueReference"]["reference"]
            device = documents.newest("Device", reference.partition("/")[2])
            if device is not None:
                yield device

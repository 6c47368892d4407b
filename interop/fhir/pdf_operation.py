"""`DiagnosticReport/[id]/$pdf`: a report with its tracing as one page, made when somebody asks and stored nowhere."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson
from fastapi import Request, Response

from audit.criteria import Search
from audit.records import AnalysisRow, Document, Documents, Reader
from inference.errors import NotFound
from inference.recording import Recording, Sex
from interop.fhir.binaries import native, wants_resource, wrapped
from interop.fhir.conditional import referring
from interop.fhir.exchange import Exchange, is_unchanged, version_headers
from interop.fhir.reading import RESOURCE_ID
from interop.intake import Intake
from interop.overreading import MOST
from interop.resources.codes import OWN_DEVICE_EXTENSION, Json
from interop.resources.observation import parse, to_recording
from interop.resources.pdf import report_pdf
from interop.settings import Settings

TYPE = "DiagnosticReport"
PDF = "application/pdf"
# In place of the patient of an ECG that came by `/predict`, which has none: no Observation is read without.
SOMEBODY = {"reference": "Patient/unknown"}
PAGE = 20  # versions of an ECG that are looked at together; few have more than two


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What the page is made of. ecg: the version that was analysed."""

    report: Document
    analysis: AnalysisRow
    ecg: Document
    requests: tuple[Document, ...]
    measurements: tuple[Document, ...]
    device: Document | None


class ReportPdf:
    """The operation."""

    def __init__(self, intake: Intake, settings: Settings) -> None:
        self._intake = intake
        self._settings = settings

    async def __call__(self, request: Request) -> Response:
        """The page, or FHIR JSON with it where that is asked for. Raises NotFound, Gone, NotAcceptable."""
        name: str = request.path_params["id"]
        if not RESOURCE_ID.fullmatch(name):
            raise NotFound(f"no such {TYPE}")
        sources = await self._intake.read(lambda store: gather(store, name))
        headers = version_headers(sources.report)
        if is_unchanged(sources.report, request.headers):
            return Response(status_code=304, headers=headers)
        content = await asyncio.to_thread(page, sources)
        if wants_resource(request.headers.get("accept"), request.query_params.get("_format"), PDF):
            return Exchange.of(request, self._settings).answer(wrapped(content, PDF), headers=headers)
        return native(content, PDF, headers, f"{name}.pdf")


def gather(store: Reader, name: str) -> Sources:
    """From the store. Raises NotFound, Gone."""
    documents = store.documents
    report = documents.read(TYPE, name)
    analysis, raw = store.analyses.get(name), orjson.loads(report.content)
    ecg, *results = (one["reference"].partition("/")[2] for one in raw["result"])
    measurements = (documents.newest("Observation", result) for result in results)
    return Sources(
        report=report,
        analysis=analysis,
        ecg=_as_analysed(documents, ecg, analysis.analyzed_at),
        requests=documents.search(_proposals(name)).documents,
        measurements=tuple(one for one in measurements if one is not None and not one.deleted),
        device=next(_devices(documents, raw), None),
    )


def page(sources: Sources) -> bytes:
    """The PDF."""
    return report_pdf(
        recording=_recording(sources.ecg, sources.analysis),
        report=_json(sources.report),
        requests=[_json(one) for one in sources.requests],
        measurements=[_json(one) for one in sources.measurements],
        issued=sources.analysis.analyzed_at,
        device=None if sources.device is None else _json(sources.device),
    )


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


def _recording(ecg: Document, analysis: AnalysisRow) -> Recording:
    """As it was analysed: age and sex may have come from elsewhere."""
    raw = _json(ecg)
    named = {"reference", "identifier"} & raw.get("subject", {}).keys()
    content = ecg.content if named else orjson.dumps(raw | {"subject": SOMEBODY})
    return replace(to_recording(parse(content)), age=analysis.age, sex=Sex(analysis.sex))


def _proposals(name: str) -> Search:
    return replace(referring("ServiceRequest", "reason", f"{TYPE}/{name}"), count=MOST, include_silent=True)


def _devices(documents: Documents, raw: Json) -> Iterator[Document]:
    for extension in raw.get("extension", ()):
        if extension["url"] == OWN_DEVICE_EXTENSION:
            reference = extension["valueReference"]["reference"]
            device = documents.newest("Device", reference.partition("/")[2])
            if device is not None:
                yield device


def _json(document: Document) -> dict[str, Any]:
    raw: dict[str, Any] = orjson.loads(document.content)
    return raw

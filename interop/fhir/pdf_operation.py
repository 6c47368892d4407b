"""`DiagnosticReport/[id]/$pdf`: a report with its tracing as one page, made when somebody asks and stored nowhere."""

import asyncio

from fastapi import Request, Response

from inference.errors import NotFound
from interop.fhir.binaries import native, wants_resource, wrapped
from interop.fhir.exchange import Exchange, is_unchanged, version_headers
from interop.intake import Intake
from interop.report_view import TYPE, ReportView, gather, resource, resources
from interop.resources.pdf import report_pdf
from interop.resources.validation import ID
from interop.settings import Settings

PDF = "application/pdf"


class ReportPdf:
    """The operation."""

    def __init__(self, intake: Intake, settings: Settings) -> None:
        self._intake = intake
        self._settings = settings

    async def __call__(self, request: Request) -> Response:
        """The page, or FHIR JSON with it where that is asked for. Raises NotFound, Gone, NotAcceptable."""
        name: str = request.path_params["id"]
        if not ID.fullmatch(name):
            raise NotFound(f"no such {TYPE}")
        view = await self._intake.read(lambda store: gather(store, name))
        headers = version_headers(view.report)
        if is_unchanged(view.report, request.headers):
            return Response(status_code=304, headers=headers)
        content = await asyncio.to_thread(page, view)
        if wants_resource(request.headers.get("accept"), request.query_params.get("_format"), PDF):
            return Exchange.of(request, self._settings).answer(wrapped(content, PDF), headers=headers)
        return native(content, PDF, headers, f"{name}.pdf")


def page(view: ReportView) -> bytes:
    """The PDF."""
    return report_pdf(
        recording=view.recording(),
        report=resource(view.report),
        requests=resources(view.requests),
        measurements=resources(view.measurements),
        issued=view.analysis.analyzed_at,
        device=None if view.device is None else resource(view.device),
    )

"""`GET /ecg/{analysis id}`: an ECG and all that was made of it, for clinicians who follow a link. Read-only."""

import asyncio
import logging
from collections.abc import Mapping

from fastapi import APIRouter, Request, Response

from actions.serialize import from_json
from inference.errors import EcgError, Fault, NotFound
from interop.errors import answer_to
from interop.intake import Intake
from interop.logs import correlation
from interop.media import preferred
from interop.pages.model import PATH as MODEL
from interop.pages.rendering import respond
from interop.pages.view import ecg_page
from interop.report_view import ReportView, gather
from interop.resources.validation import ID
from interop.settings import Settings

log = logging.getLogger(__name__)

PATH = "/ecg"
FHIR = "/fhir"
# Whoever names no format is a person with a browser.
PAGE, PROBLEM = "page", "problem"
OFFERED: Mapping[str, str] = {
    "text/html": PAGE,
    "application/xhtml+xml": PAGE,
    "text/*": PAGE,
    "*/*": PAGE,
    "application/json": PROBLEM,
    "application/problem+json": PROBLEM,
    "application/*": PROBLEM,
}


def page_path(id: str) -> str:
    """Where the page of an analysis is, from the root of the service. id: of the analysis, and so of its report."""
    return f"{PATH}/{id}"


def router(intake: Intake, settings: Settings) -> APIRouter:
    """The one route. It stands in no description for programs: it is for people."""
    routes = APIRouter(include_in_schema=False)

    @routes.get(page_path("{id:path}"), response_class=Response)
    async def show(id: str, request: Request) -> Response:
        try:
            return await _page(intake, settings, id)
        except EcgError as error:
            if preferred(request.headers.get("accept"), OFFERED) != PAGE:
                raise
            return _refusal(error)

    return routes


async def _page(intake: Intake, settings: Settings, name: str) -> Response:
    """Raises NotFound, Gone, StorageUnavailable."""
    if not ID.fullmatch(name):
        raise NotFound("no such report")
    view = await intake.read(lambda store: gather(store, name))
    return await asyncio.to_thread(_rendered, view, intake, settings)


def _rendered(view: ReportView, intake: Intake, settings: Settings) -> Response:
    analysis = from_json(view.analysis.detail)
    page = ecg_page(view, analysis, now=intake.clock(), acute_window=settings.acute_window)
    base = (settings.public_url or "").rstrip("/")
    report = f"{base}{FHIR}/DiagnosticReport/{page.id}"
    return respond(
        "ecg.html", page=page, pdf=f"{report}/$pdf", resource=f"{report}?_pretty=true", model=f"{base}{MODEL}"
    )


def _refusal(error: EcgError) -> Response:
    """The error as a page. It is logged as every door does it."""
    answer = answer_to(error)
    is_ours = error.fault is not Fault.SENDER
    fields = {"door": None, "code": error.code}
    log.log(logging.ERROR if is_ours else logging.INFO, "refused", extra=fields, exc_info=error if is_ours else None)
    again = {} if answer.retry_after is None else {"Retry-After": str(answer.retry_after)}
    return respond(
        "refusal.html", answer.http_status, {"Vary": "Accept"} | again,
        title=answer.title, message=error.message, request=correlation.get(),
    )  # fmt: skip

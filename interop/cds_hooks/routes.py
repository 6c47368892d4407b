"""The routes of CDS Hooks 2.0: discovery, the services, their feedback; and the report on what became of the cards."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from time import perf_counter
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request, Response

from actions.analysis import Door, Mode
from inference.errors import NotFound, UnsupportedMediaType
from interop.cds_hooks import feedback
from interop.cds_hooks.answering import Answering, Asked
from interop.cds_hooks.client_jwt import client_tokens
from interop.cds_hooks.fhir_server import FhirAccess, FhirServers
from interop.cds_hooks.prefetch import Fetch
from interop.cds_hooks.report import card_report
from interop.cds_hooks.request import Feedbacks, HookCall, read_call, read_feedback
from interop.cds_hooks.services import SERVICES, HookService, discovery
from interop.intake import Intake
from interop.media import media_type
from interop.resources.codes import Json
from interop.settings import Settings
from interop.urls import root_url

PATH = "/cds-services"
REPORT_PATH = "/monitoring/cards"
JSON = "application/json"
LONGEST_REPORT = 366  # days


@dataclass(frozen=True, slots=True)
class CdsDoor:
    """router: all routes. servers: the connections to EHRs, to be closed at the end."""

    router: APIRouter
    servers: FhirServers


def door(intake: Intake, settings: Settings, page: Callable[[str], str]) -> CdsDoor:
    """page: the path of the page of an analysis. Raises ConfigurationError for clients and servers that are no such."""
    calls = Calls(intake, settings, page)
    routes = APIRouter(tags=["cds-hooks"])
    routes.add_api_route(PATH, calls.discover, summary="The CDS services", response_class=Response)
    for path, endpoint, model, summary in (
        (f"{PATH}/{{service}}", calls.answer, HookCall, "Call a CDS service"),
        (f"{PATH}/{{service}}/feedback", calls.feedback, Feedbacks, "What became of cards"),
    ):
        routes.add_api_route(
            path,
            endpoint,
            methods=["POST"],
            summary=summary,
            response_class=Response,
            openapi_extra=_described(model.model_json_schema()),
        )
    routes.add_api_route(REPORT_PATH, calls.report, summary="What became of the cards shown", response_class=Response)
    return CdsDoor(routes, calls.servers)


class Calls:
    """The endpoints."""

    def __init__(self, intake: Intake, settings: Settings, page: Callable[[str], str]) -> None:
        self.servers = FhirServers(settings, intake.clock)
        self._tokens = client_tokens(settings, intake.clock)
        self._intake = intake
        self._settings = settings
        self._answering = Answering(intake, page, settings.cds_mute)

    async def discover(self) -> Response:
        """Open to everybody, as the specification asks."""
        return _answer(discovery())

    async def answer(self, service: str, request: Request) -> Response:
        """Raises Unauthorized, NotFound, UnsupportedMediaType, Malformed, InvalidContent, DataMissing, ServiceError."""
        known = _service(service)
        url = f"{root_url(request, self._settings)}{PATH}/{known.id}"
        issuer = await self._issuer(request, url)
        started = perf_counter()
        call = read_call(await _body(request), known.hook)
        asked = Asked(
            service=known,
            call=call,
            issuer=issuer,
            base=root_url(request, self._settings),
            fetch=self._fetch(call, issuer),
        )
        cards = await self._answering.cards(asked)
        self._intake.metrics.answered(Door.CDS_HOOKS, perf_counter() - started)
        return _answer({"cards": cards})

    async def feedback(self, service: str, request: Request) -> Response:
        """Raises Unauthorized, NotFound, UnsupportedMediaType, Malformed, InvalidContent, StorageUnavailable."""
        known = _service(service)
        await self._issuer(request, f"{root_url(request, self._settings)}{PATH}/{known.id}/feedback")
        await feedback.take(self._intake, known.id, read_feedback(await _body(request)))
        return _answer({})

    async def report(self, days: Annotated[float, Query(gt=0, le=LONGEST_REPORT)] = 30.0) -> Response:
        """Of the last days."""
        until = self._intake.clock()
        since = until - timedelta(days=days)
        shown, counts, ecgs = await self._intake.read(
            lambda store: (
                store.cards.shown(since),
                store.cards.counts(since),
                store.analyses.count(Mode.LIVE.value, since),
            )
        )
        return _answer(card_report(since=since, until=until, shown=shown, counts=counts, ecgs=ecgs))

    async def _issuer(self, request: Request, url: str) -> str | None:
        """Who calls; None where everybody may. Raises Unauthorized."""
        if self._tokens is None:
            return None
        return await self._tokens.verify(request.headers.get("authorization"), url)

    def _fetch(self, call: HookCall, issuer: str | None) -> Fetch | None:
        """How the EHR's FHIR server is read, where the call names one."""
        if call.server is None:
            return None
        granted = call.fhirAuthorization
        access = FhirAccess(call.server, caller=issuer)
        if granted is not None:
            access = FhirAccess.granted(
                call.server,
                granted.access_token,
                granted.expires_in,
                received_at=self._intake.clock(),
                caller=issuer,
            )

        async def fetch(query: str) -> Json:
            return await self.servers.get(access, query)

        return fetch


def _service(name: str) -> HookService:
    found = SERVICES.get(name)
    if found is None:
        raise NotFound(f"no such CDS service; there are {', '.join(SERVICES)}")
    return found


async def _body(request: Request) -> bytes:
    sent, parameters = media_type(request.headers.get("content-type", ""))
    if sent != JSON or parameters.get("charset", "utf-8").lower() not in ("utf-8", "us-ascii"):
        raise UnsupportedMediaType(f"send {JSON} in UTF-8")
    return await request.body()


def _answer(content: Json) -> Response:
    """Of a patient: no cache keeps it."""
    return Response(orjson.dumps(content), media_type=JSON, headers={"Cache-Control": "no-store"})


def _described(schema: dict[str, Any]) -> dict[str, Any]:
    """The request body for OpenAPI; definitions stand inside, where a reference to them is relative to the schema."""
    definitions = schema.pop("$defs", {})
    return {"requestBody": {"required": True, "content": {JSON: {"schema": _inlined(schema, definitions)}}}}


def _inlined(part: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(part, list):
        return [_inlined(one, definitions) for one in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return _inlined(definitions[part["$ref"].rpartition("/")[2]], definitions)
    return {name: _inlined(one, definitions) for name, one in part.items()}

"""Everything under `/fhir`: the served interactions, and a clear answer to every other request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from inference.errors import NotFound, UnknownResourceType
from interop.fhir import audit_events, capability, changing, definitions, operations, reading, transaction
from interop.fhir.attached import WithFiles
from interop.fhir.audit_events import AuditEvents
from interop.fhir.changing import METHODS as CHANGING
from interop.fhir.changing import Changing
from interop.fhir.exchange import PREFIX, Exchange
from interop.fhir.later import PATH as STATUS
from interop.fhir.later import Later
from interop.fhir.negotiation import FHIR_JSON
from interop.fhir.operations import Operations
from interop.fhir.parameters import INTERACTIONS, Interaction
from interop.fhir.reading import Reading
from interop.fhir.transaction import Bundles
from interop.intake import Intake
from interop.settings import Settings

# Paths that are no resource type.
EXTRA: Mapping[str, tuple[str, ...]] = {
    "": ("POST",),
    "metadata": ("GET",),
    "$process-message": ("POST",),
    STATUS: ("GET",),
}
READ_ONLY = (*definitions.TYPES, audit_events.TYPE)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@dataclass(frozen=True, slots=True)
class FhirDoor:
    """The routes, and what is answered later."""

    router: APIRouter
    later: Later


def door(intake: Intake, settings: Settings, *, version: str, started: datetime) -> FhirDoor:
    """The door. version: of this software. started: when this instance took up its configuration."""
    routes = APIRouter(prefix=PREFIX, tags=["FHIR R4"])

    @routes.get("/metadata", summary="CapabilityStatement", responses={200: {"content": {FHIR_JSON: {}}}})
    async def metadata(request: Request) -> Response:
        exchange = Exchange.of(request, settings)
        return exchange.answer(capability.statement(exchange.base, version, started))

    interactions, reader = _interactions(intake, settings), Reading(intake, settings)
    bundles = Bundles(intake, settings, interactions, reader)
    operations.add_routes(routes, Operations(intake, settings, interactions))  # before ids: `$validate` is none
    definitions.add_routes(routes, settings)
    audit_events.add_routes(routes, AuditEvents(intake, settings))
    reading.add_routes(routes, reader)
    changing.add_routes(routes, Changing(intake, settings, interactions, bundles.later))
    transaction.add_route(routes, bundles)

    @routes.get(
        f"/{STATUS}/{{name}}",
        summary="Of a request that is answered later",
        openapi_extra={"parameters": [{"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}]},
    )
    async def status(request: Request) -> Response:
        return await bundles.later.status(request.path_params["name"], Exchange.of(request, settings))

    # The last two: they catch what no route above took.
    routes.add_api_route("", _not_served, methods=list(METHODS), include_in_schema=False)
    routes.add_api_route("/{path:path}", _not_served, methods=list(METHODS), include_in_schema=False)
    return FhirDoor(routes, bundles.later)


def _interactions(intake: Intake, settings: Settings) -> WithFiles:
    base = f"{settings.public_url.rstrip('/')}{PREFIX}" if settings.public_url else None
    return WithFiles(intake, settings.http_max_bytes, ZoneInfo(settings.time_zone), base)


async def _not_served(request: Request) -> Response:
    refuse(request.method, request.path_params.get("path", ""))


def refuse(method: str, path: str) -> NoReturn:
    """Say why a request that no route took is refused. path: below `/fhir/`.

    Raises UnknownResourceType, NotFound; HTTPException 405 with the methods that the URL does have, maybe none.
    """
    first, *rest = path.split("/")
    if first not in INTERACTIONS and first not in EXTRA and first not in READ_ONLY:
        raise UnknownResourceType(f"{first[:64]} is not served; served are {', '.join(INTERACTIONS)}")
    allowed = _allowed(first, tuple(rest))
    if allowed is None:
        raise NotFound("nothing is served at this URL")
    raise HTTPException(405, f"{method} is not supported here", headers={"Allow": ", ".join(allowed)})


def _allowed(first: str, rest: tuple[str, ...]) -> tuple[str, ...] | None:
    """The methods of `[base]/first/rest...`; None where there is nothing."""
    if first in EXTRA:
        return None if rest else EXTRA[first]
    if first in READ_ONLY:
        return ("GET",) if len(rest) < 2 and rest != ("",) else None
    interactions = INTERACTIONS[first]
    match rest:
        case ("$validate",) | ("$analyze",):
            return ("POST",)
        case (_, "$everything") | (_, "$pdf") | (_, "_history", _):
            return ("GET",)
        case ():
            changed = (*_changing(interactions, Interaction.CREATE), *_changing(interactions, *BY_CONDITION))
            return (*_reading(interactions, Interaction.SEARCH, "GET"), *changed)
        case ("_search",):
            return _reading(interactions, Interaction.SEARCH, "POST") or None
        case ("",) | ("", *_):
            return None
        case ("_history",) | (_, "_history"):
            return _reading(interactions, Interaction.HISTORY_TYPE, "GET") or None
        case (_,):
            return ("GET", *_changing(interactions, *BY_CONDITION))
    return None


BY_CONDITION = (Interaction.UPDATE, Interaction.PATCH, Interaction.DELETE)


def _changing(interactions: Sequence[Interaction], *wanted: Interaction) -> tuple[str, ...]:
    return tuple(CHANGING[one].value for one in wanted if one in interactions)


def _reading(interactions: Sequence[Interaction], wanted: Interaction, method: str) -> tuple[str, ...]:
    return (method,) if wanted in interactions else ()

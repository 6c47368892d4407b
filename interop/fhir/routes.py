"""Everything under `/fhir`: the served interactions, and a clear answer to every other request."""

from collections.abc import Mapping
from datetime import datetime
from typing import NoReturn

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from inference.errors import NotFound, UnknownResourceType
from interop.fhir import capability, reading
from interop.fhir.create import Create, add_route
from interop.fhir.exchange import PREFIX, Exchange
from interop.fhir.negotiation import FHIR_JSON
from interop.fhir.parameters import INTERACTIONS, Interaction
from interop.fhir.reading import Reading
from interop.intake import Intake
from interop.settings import Settings

# Paths that are no resource type. The base itself would take batches and system searches, which are not supported.
EXTRA: Mapping[str, tuple[str, ...]] = {"": (), "metadata": ("GET",)}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def router(intake: Intake, settings: Settings, *, version: str, started: datetime) -> APIRouter:
    """The routes. version: of this software. started: when this instance took up its configuration."""
    routes = APIRouter(prefix=PREFIX, tags=["FHIR R4"])

    @routes.get("/metadata", summary="CapabilityStatement", responses={200: {"content": {FHIR_JSON: {}}}})
    async def metadata(request: Request) -> Response:
        exchange = Exchange.of(request, settings)
        return exchange.answer(capability.statement(exchange.base, version, started))

    add_route(routes, Create(intake, settings))
    reading.add_routes(routes, Reading(intake, settings))

    # The last two: they catch what no route above took.
    routes.add_api_route("", _not_served, methods=list(METHODS), include_in_schema=False)
    routes.add_api_route("/{path:path}", _not_served, methods=list(METHODS), include_in_schema=False)
    return routes


async def _not_served(request: Request) -> Response:
    refuse(request.method, request.path_params.get("path", ""))


def refuse(method: str, path: str) -> NoReturn:
    """Say why a request that no route took is refused. path: below `/fhir/`.

    Raises UnknownResourceType, NotFound; HTTPException 405 with the methods that the URL does have, maybe none.
    """
    first, *rest = path.split("/")
    if first not in INTERACTIONS and first not in EXTRA:
        raise UnknownResourceType(f"{first[:64]} is not served; served are {', '.join(INTERACTIONS)}")
    allowed = _allowed(first, tuple(rest))
    if allowed is None:
        raise NotFound("nothing is served at this URL")
    raise HTTPException(405, f"{method} is not supported here", headers={"Allow": ", ".join(allowed)})


def _allowed(first: str, rest: tuple[str, ...]) -> tuple[str, ...] | None:
    """The methods of `[base]/first/rest...`; None where there is nothing."""
    if first in EXTRA:
        return None if rest else EXTRA[first]
    match rest:
        case ():
            return ("GET", "POST") if Interaction.CREATE in INTERACTIONS[first] else ("GET",)
        case ("_search",):
            return ("POST",)
        case ("_history",) | (_, "_history"):
            return ()
        case ("",) | ("", *_):
            return None
        case (_,) | (_, "_history", _):
            return ("GET",)
    return None

"""Our conformance resources through the door: read by id, found by canonical URL."""

from collections.abc import Iterable
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from inference.errors import SearchInvalid
from interop.fhir.bundles import entry, listed
from interop.fhir.exchange import Exchange
from interop.fhir.negotiation import FHIR_JSON
from interop.fhir.parameters import GENERAL
from interop.fhir.search import Pairs
from interop.resources.conformance import by_url, resource, resources
from interop.settings import Settings

TYPES = ("StructureDefinition", "SearchParameter", "CodeSystem", "ValueSet", "OperationDefinition")
URL, ID = "url", "_id"

Json = dict[str, Any]


def add_routes(router: APIRouter, settings: Settings) -> None:
    """Read and search of each type."""
    for kind in TYPES:
        _add(router, kind, settings)


def _add(router: APIRouter, kind: str, settings: Settings) -> None:
    async def read(request: Request) -> Response:
        return Exchange.of(request, settings).answer(orjson.dumps(resource(kind, request.path_params["id"])))

    async def search(request: Request) -> Response:
        exchange = Exchange.of(request, settings)
        return exchange.answer(
            _bundle(kind, request.query_params.multi_items(), exchange.base, strict=exchange.preferences.strict)
        )

    described: dict[int | str, dict[str, Any]] = {200: {"content": {FHIR_JSON: {}}}}
    identity = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    by_name = {"name": URL, "in": "query", "description": "canonical URL", "schema": {"type": "string"}}
    for path, endpoint, parameter in ((f"/{kind}/{{id}}", read, identity), (f"/{kind}", search, by_name)):
        router.add_api_route(
            path,
            endpoint,
            methods=["GET"],
            name=f"{endpoint.__name__} {kind}",
            response_class=Response,
            responses=described,
            openapi_extra={"parameters": [parameter]},
        )


def _bundle(kind: str, pairs: Pairs, base: str, *, strict: bool) -> bytes:
    """What meets every `url` and `_id`, of which each may have alternatives. Raises SearchInvalid when strict."""
    known = [(name, value) for name, value in pairs if name in (URL, ID)]
    ignored = list(dict.fromkeys(name for name, _ in pairs if name not in (URL, ID, *GENERAL)))
    if ignored and strict:
        raise SearchInvalid(f"{kind} cannot be searched by {', '.join(ignored)}", element=ignored[0])
    found = [one for one in resources()[kind].values() if all(_meets(one, *pair) for pair in known)]
    return listed(
        f"{base}/{kind}",
        [entry(f"{kind}/{one['id']}", one, base) for one in found],
        understood=known,
        total=len(found),
        ignored=[f"{kind} cannot be searched by {name}" for name in ignored],
    )


def _meets(one: Json, name: str, value: str) -> bool:
    wanted: Iterable[str] = value.split(",")
    if name == ID:
        return one["id"] in wanted
    return any(
        found is not None and found["id"] == one["id"] for found in (by_url(one["resourceType"], u) for u in wanted)
    )

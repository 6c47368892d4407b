"""Our conformance resources through the door: read by id, found by canonical URL."""

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter, Request, Response

from interop.fhir.exchange import Exchange
from interop.fhir.negotiation import FHIR_JSON
from interop.fhir.outcome import Issue, outcome
from interop.fhir.parameters import GENERAL
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
        return exchange.answer(orjson.dumps(_bundle(kind, request.query_params.multi_items(), exchange.base)))

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


def _bundle(kind: str, pairs: Sequence[tuple[str, str]], base: str) -> Json:
    """What meets every `url` and `_id`, of which each may have alternatives."""
    known = [(name, value) for name, value in pairs if name in (URL, ID)]
    found = [one for one in resources()[kind].values() if all(_meets(one, *pair) for pair in known)]
    query = f"?{urlencode(known)}" if known else ""
    entries: list[Json] = [
        {"fullUrl": f"{base}/{kind}/{one['id']}", "resource": one, "search": {"mode": "match"}} for one in found
    ]
    ignored = list(dict.fromkeys(name for name, _ in pairs if name not in (URL, ID, *GENERAL)))
    if ignored:
        issues = (Issue("warning", "not-supported", f"{kind} cannot be searched by {name}") for name in ignored)
        entries.append({"resource": outcome(*issues), "search": {"mode": "outcome"}})
    document: Json = {"resourceType": "Bundle", "type": "searchset", "total": len(found)}
    document["link"] = [{"relation": "self", "url": f"{base}/{kind}{query}"}]
    return document | ({"entry": entries} if entries else {})


def _meets(one: Json, name: str, value: str) -> bool:
    wanted: Iterable[str] = value.split(",")
    if name == ID:
        return one["id"] in wanted
    return any(
        found is not None and found["id"] == one["id"] for found in (by_url(one["resourceType"], u) for u in wanted)
    )

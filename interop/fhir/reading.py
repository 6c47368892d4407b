"""Read, versioned read and search: the same for every resource type, made from the tables of `parameters`."""

import re
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response

from audit.records import Document
from inference.errors import NotFound, SearchInvalid, UnsupportedMediaType
from interop.fhir.exchange import Exchange, is_unchanged, version_headers
from interop.fhir.negotiation import FHIR_JSON
from interop.fhir.parameters import COUNT, INTERACTIONS, PARAMETERS, Interaction
from interop.fhir.search import MAX_COUNT, Pairs, bundle, parse
from interop.intake import Intake
from interop.settings import Settings

# Datatype id (FHIR R4 datatypes.html#id). What is no id cannot be stored, so it is simply not found.
RESOURCE_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
VERSION_ID = re.compile(r"[1-9][0-9]{0,8}")
FORM = "application/x-www-form-urlencoded"

Schema = list[dict[str, object]]


class Reading:
    """Answers reads and searches from the store."""

    def __init__(self, intake: Intake, settings: Settings) -> None:
        self._intake = intake
        self._settings = settings

    async def read(self, type: str, request: Request) -> Response:
        """The current version. Raises NotFound, Gone."""
        return await self._stored(type, request, None)

    async def vread(self, type: str, request: Request) -> Response:
        """One version. Raises NotFound, Gone."""
        version = request.path_params["version"]
        if not VERSION_ID.fullmatch(version):
            raise NotFound(f"no version {version[:20]} of this {type}")
        return await self._stored(type, request, int(version))

    async def search(self, type: str, request: Request) -> Response:
        """By GET. Raises SearchInvalid."""
        return await self._found(type, request, request.query_params.multi_items())

    async def search_by_post(self, type: str, request: Request) -> Response:
        """By POST to `_search`; parameters of the URL count too. Raises SearchInvalid, UnsupportedMediaType."""
        media_type = request.headers.get("content-type", FORM).partition(";")[0].strip().lower()
        if media_type != FORM:
            raise UnsupportedMediaType(f"{media_type[:80]} is not taken; a search is posted as {FORM}")
        body = await request.body()
        try:
            form = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=100)
        except ValueError as error:
            raise SearchInvalid("the form cannot be read") from error
        return await self._found(type, request, [*request.query_params.multi_items(), *form])

    async def _stored(self, type: str, request: Request, version: int | None) -> Response:
        exchange = Exchange.of(request, self._settings)
        name = request.path_params["id"]
        if not RESOURCE_ID.fullmatch(name):
            raise NotFound(f"no such {type}")
        document: Document = await self._intake.read(lambda store: store.documents.read(type, name, version))
        headers = version_headers(document)
        if is_unchanged(document, request.headers):
            return exchange.answer(b"", 304, headers)
        return exchange.answer(document.content, headers=headers)

    async def _found(self, type: str, request: Request, pairs: Pairs) -> Response:
        exchange = Exchange.of(request, self._settings)
        query = parse(type, pairs, exchange.base, strict=exchange.preferences.strict)
        page = await self._intake.read(lambda store: store.documents.search(query.search))
        return exchange.answer(bundle(query, page, exchange.base))


def add_routes(router: APIRouter, reading: Reading) -> None:
    """Every route for reading, as `INTERACTIONS` has them."""
    for kind, interactions in INTERACTIONS.items():
        if Interaction.SEARCH in interactions:
            _add(router, f"/{kind}", reading.search, kind, parameters=_search_schema(kind))
            _add(router, f"/{kind}/_search", reading.search_by_post, kind, method="POST")
        if Interaction.READ in interactions:
            _add(router, f"/{kind}/{{id}}", reading.read, kind)
        if Interaction.VREAD in interactions:
            _add(router, f"/{kind}/{{id}}/_history/{{version}}", reading.vread, kind)


def _add(
    router: APIRouter,
    path: str,
    handler: Callable[[str, Request], Awaitable[Response]],
    type: str,
    *,
    method: str = "GET",
    parameters: Schema | None = None,
) -> None:
    async def endpoint(request: Request) -> Response:
        return await handler(type, request)

    router.add_api_route(
        path,
        endpoint,
        methods=[method],
        name=f"{handler.__name__} {type}",
        response_class=Response,
        responses={200: {"content": {FHIR_JSON: {}}}},
        openapi_extra={"parameters": parameters or _path_schema(path)},
    )


def _path_schema(path: str) -> Schema:
    names = re.findall(r"\{(\w+)\}", path)
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _search_schema(type: str) -> Schema:
    count = {"type": "integer", "minimum": 0, "maximum": MAX_COUNT}
    named: Schema = [
        {"name": p.name, "in": "query", "description": p.documentation, "schema": {"type": "string"}}
        for p in PARAMETERS[type]
    ]
    return [*named, {"name": COUNT, "in": "query", "schema": count}]

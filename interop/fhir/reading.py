"""Read, versioned read, history and search: the same for every resource type, made from the tables of `parameters`."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response

from audit.records import Document, Page
from audit.times import microseconds
from inference.errors import MethodNotSupported, NotFound, SearchInvalid, UnsupportedMediaType
from interop.fhir import binaries, bundles
from interop.fhir.exchange import Exchange, is_unchanged, version_headers
from interop.fhir.negotiation import FHIR_JSON
from interop.fhir.parameters import COUNT, CURSOR, INTERACTIONS, OF_THE_ANSWER, Interaction, parameters
from interop.fhir.search import MAX_COUNT, Pairs, count_of, parse
from interop.fhir.subset import Subset, subset
from interop.intake import Intake
from interop.resources.times import span
from interop.resources.validation import ID
from interop.settings import Settings

VERSION_ID = re.compile(r"[1-9][0-9]{0,8}")
FORM = "application/x-www-form-urlencoded"
MAX_FIELDS = 100
SINCE = "_since"
OF_HISTORY = frozenset({COUNT, CURSOR, SINCE, *OF_THE_ANSWER})

Schema = list[dict[str, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What a request for reading gives. document: where it is one resource."""

    content: bytes
    document: Document | None = None
    headers: dict[str, str] = field(default_factory=dict)


class Reading:
    """Answers reads, histories and searches from the store."""

    def __init__(self, intake: Intake, settings: Settings) -> None:
        self._intake = intake
        self._settings = settings

    async def document(self, type: str, name: str, version: str | None, pairs: Pairs) -> Read:
        """One version, the current one unless named. pairs: of the URL. Raises NotFound, Gone, SearchInvalid."""
        if not ID.fullmatch(name):  # what is no id cannot be stored
            raise NotFound(f"no such {type}")
        if version is not None and not VERSION_ID.fullmatch(version):
            raise NotFound(f"no version {version[:20]} of this {type}")
        number = None if version is None else int(version)
        found: Document = await self._intake.read(lambda store: store.documents.read(type, name, number))
        wanted = _wanted(pairs)
        if wanted is not None and wanted.is_count:
            raise SearchInvalid("one resource is not counted", element="_summary")
        content = found.content if wanted is None else subset(found.content, wanted)
        return Read(content=content, document=found, headers=version_headers(found))

    async def found(self, type: str, pairs: Pairs, base: str, *, strict: bool = False) -> Read:
        """A page of a search. Raises SearchInvalid, MethodNotSupported."""
        _require(type, Interaction.SEARCH)
        query = parse(type, pairs, base, now=microseconds(self._intake.clock()), strict=strict)
        wanted = _wanted(pairs)
        cut = None if wanted is None or wanted.is_count else lambda content: subset(content, wanted)

        def page(found: Page) -> bytes:
            return bundles.searchset(query, found, base, cut)

        return Read(content=await self._intake.read(lambda store: page(store.documents.search(query.search))))

    async def history(self, type: str, name: str | None, pairs: Pairs, base: str) -> Read:
        """The versions of one resource, or of all of a type. Raises NotFound, SearchInvalid, MethodNotSupported."""
        _require(type, Interaction.HISTORY_TYPE if name is None else Interaction.HISTORY_INSTANCE)
        given = {key: value for key, value in pairs if key in OF_HISTORY and value}
        since, count = _since(given.get(SINCE)), count_of(given.get(COUNT))
        if name is not None and not ID.fullmatch(name):
            raise NotFound(f"no such {type}")

        def query(page: Page) -> bytes:
            if name is not None and not page.documents and since is None:
                raise NotFound(f"no such {type}")
            url = f"{base}/{type}/{name}/_history" if name else f"{base}/{type}/_history"
            return bundles.history(page, url, base, list(given.items()))

        after = given.get(CURSOR)
        return Read(
            content=await self._intake.read(
                lambda store: query(store.documents.history(type, name, since=since, count=count, after=after))
            )
        )

    async def read(self, type: str, request: Request) -> Response:
        """The current version. Raises NotFound, Gone."""
        return await self._stored(type, request, None)

    async def vread(self, type: str, request: Request) -> Response:
        """One version. Raises NotFound, Gone."""
        return await self._stored(type, request, request.path_params["version"])

    async def search(self, type: str, request: Request) -> Response:
        """By GET. Raises SearchInvalid."""
        return await self._found(type, request, request.query_params.multi_items())

    async def search_by_post(self, type: str, request: Request) -> Response:
        """By POST to `_search`; parameters of the URL count too. Raises SearchInvalid, UnsupportedMediaType."""
        pairs = [*request.query_params.multi_items(), *await form(request)]
        return await self._found(type, request, pairs)

    async def versions(self, type: str, request: Request) -> Response:
        """The history of one resource or of a type. Raises NotFound, SearchInvalid."""
        exchange = Exchange.of(request, self._settings)
        pairs = request.query_params.multi_items()
        found = await self.history(type, request.path_params.get("id"), pairs, exchange.base)
        return exchange.answer(found.content)

    async def _stored(self, type: str, request: Request, version: str | None) -> Response:
        if type == binaries.TYPE:
            return await self._binary(request, version)
        exchange = Exchange.of(request, self._settings)
        found = await self.document(type, request.path_params["id"], version, request.query_params.multi_items())
        assert found.document is not None
        if is_unchanged(found.document, request.headers):
            return exchange.answer(b"", 304, found.headers)
        return exchange.answer(found.content, headers=found.headers)

    async def _binary(self, request: Request, version: str | None) -> Response:
        """A Binary as itself, or as a resource where that is asked for."""
        found = await self.document(binaries.TYPE, request.path_params["id"], version, ())
        assert found.document is not None
        if is_unchanged(found.document, request.headers):
            return Response(status_code=304, headers=found.headers)
        content, kind = await asyncio.to_thread(binaries.content_of, found.content)
        if not binaries.wants_resource(request.headers.get("accept"), request.query_params.get("_format"), kind):
            return binaries.native(content, kind, found.headers, found.document.id)
        exchange, pairs = Exchange.of(request, self._settings), request.query_params.multi_items()
        shown = await self.document(binaries.TYPE, found.document.id, str(found.document.version), pairs)
        return exchange.answer(shown.content, headers=shown.headers | {"Vary": "Accept"})

    async def _found(self, type: str, request: Request, pairs: Pairs) -> Response:
        exchange = Exchange.of(request, self._settings)
        found = await self.found(type, pairs, exchange.base, strict=exchange.preferences.strict)
        return exchange.answer(found.content)


async def form(request: Request) -> Pairs:
    """The fields of a posted form. Raises SearchInvalid, UnsupportedMediaType."""
    media_type = request.headers.get("content-type", FORM).partition(";")[0].strip().lower()
    if media_type != FORM:
        raise UnsupportedMediaType(f"{media_type[:80]} is not taken; a search is posted as {FORM}")
    body = await request.body()
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise SearchInvalid("the form cannot be read") from error


def _require(type: str, interaction: Interaction) -> None:
    if interaction not in INTERACTIONS[type]:
        raise MethodNotSupported(f"{type} has no {interaction}")


def _wanted(pairs: Pairs) -> Subset | None:
    given = dict(pairs)
    return Subset.of(given.get("_summary"), given.get("_elements"))


def _since(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return span(text)[0]
    except ValueError:
        raise SearchInvalid(f"{SINCE} is an instant", element=SINCE) from None


Handler = Callable[[str, Request], Awaitable[Response]]


def add_routes(router: APIRouter, reading: Reading) -> None:
    """Every route for reading, as `INTERACTIONS` has them."""
    for kind, interactions in INTERACTIONS.items():
        routes: Sequence[tuple[Interaction, str, Handler, str]] = (
            (Interaction.SEARCH, f"/{kind}", reading.search, "GET"),
            (Interaction.SEARCH, f"/{kind}/_search", reading.search_by_post, "POST"),
            (Interaction.HISTORY_TYPE, f"/{kind}/_history", reading.versions, "GET"),
            (Interaction.READ, f"/{kind}/{{id}}", reading.read, "GET"),
            (Interaction.HISTORY_INSTANCE, f"/{kind}/{{id}}/_history", reading.versions, "GET"),
            (Interaction.VREAD, f"/{kind}/{{id}}/_history/{{version}}", reading.vread, "GET"),
        )
        for interaction, path, handler, method in routes:
            if interaction in interactions:
                _add(router, path, handler, kind, method, interaction)


def _add(router: APIRouter, path: str, handler: Handler, type: str, method: str, interaction: Interaction) -> None:
    async def endpoint(request: Request) -> Response:
        return await handler(type, request)

    schema = _search_schema(type) if interaction is Interaction.SEARCH else _path_schema(path)
    router.add_api_route(
        path,
        endpoint,
        methods=[method],
        name=f"{interaction} {type}{' by POST' if method == 'POST' else ''}",
        response_class=Response,
        responses={200: {"content": {FHIR_JSON: {}}}},
        openapi_extra={"parameters": schema},
    )


def _path_schema(path: str) -> Schema:
    names = re.findall(r"\{(\w+)\}", path)
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _search_schema(type: str) -> Schema:
    count = {"type": "integer", "minimum": 0, "maximum": MAX_COUNT}
    named: Schema = [
        {"name": name, "in": "query", "description": f"{found.kind}: {found.url}", "schema": {"type": "string"}}
        for name, found in parameters(type).items()
    ]
    return [*named, {"name": COUNT, "in": "query", "schema": count}]

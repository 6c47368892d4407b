"""Create, update, patch and delete: the same for every resource type, made from the table of interactions."""

import asyncio
import re
from collections.abc import Mapping
from time import perf_counter

from fastapi import APIRouter, Request, Response

from actions.analysis import Door
from audit.criteria import Search
from audit.times import microseconds
from inference.errors import NotFound, SearchInvalid, UnsupportedMediaType
from interop.fhir import binaries
from interop.fhir.answers import answer
from interop.fhir.change import Change, Effect, Method
from interop.fhir.conditional import condition
from interop.fhir.exchange import PREFIX, Exchange
from interop.fhir.interactions import Interactions
from interop.fhir.later import Later, as_bundle
from interop.fhir.negotiation import FHIR_JSON, TAKEN, check_content_type
from interop.fhir.parameters import INTERACTIONS, OF_THE_ANSWER, Interaction
from interop.fhir.patch import MEDIA_TYPE as JSON_PATCH
from interop.fhir.submission import read
from interop.intake import Intake
from interop.logs import correlation
from interop.media import media_type
from interop.resources.validation import ID
from interop.settings import Settings

METHODS: Mapping[Interaction, Method] = {
    Interaction.CREATE: Method.POST,
    Interaction.UPDATE: Method.PUT,
    Interaction.PATCH: Method.PATCH,
    Interaction.DELETE: Method.DELETE,
}
SUMMARIES: Mapping[Method, str] = {
    Method.POST: "Store a new one; an ECG is analysed",
    Method.PUT: "Store a new version, or one under an id of the client",
    Method.PATCH: "Change some of it (JSON Patch)",
    Method.DELETE: "Delete it; its history stays",
}
ANSWERS: Mapping[int, str] = {
    200: "Stored, or here already",
    201: "Created; Location, ETag, Last-Modified",
    204: "Deleted",
    400: "Not readable",
    404: "Not found",
    405: "Not for clients to make",
    409: "Its identifier belongs to another ECG",
    410: "It was deleted",
    412: "The expected version is not the current one, or the condition is met by several",
    415: "Not FHIR JSON",
    422: "Invalid, or a signal that nobody could interpret",
}
_ETAG = re.compile(r'(?:W/)?"(?P<version>[0-9]{1,9})"')


class Changing:
    """Takes requests that change something."""

    def __init__(self, intake: Intake, settings: Settings, interactions: Interactions, later: Later) -> None:
        self._intake = intake
        self._settings = settings
        self._interactions = interactions
        self._later = later

    async def __call__(self, method: Method, type: str, request: Request) -> Response:
        """Answer one request. Raises every error that a change may meet."""
        exchange = Exchange.of(request, self._settings)
        change = await self._change(method, type, request, exchange)
        if exchange.preferences.asynchronous and method in (Method.POST, Method.PUT):
            return await self._accepted(change, request, exchange)
        started = perf_counter()
        is_ecg = type == "Observation" and method in (Method.POST, Method.PUT)
        if is_ecg:
            self._intake.metrics.received(Door.FHIR)
        changed = await self._interactions.one(change, self._intake.context(Door.FHIR, correlation.get()))
        if is_ecg:
            if changed.effect is Effect.UNCHANGED:
                self._intake.metrics.duplicate(Door.FHIR)
            self._intake.metrics.answered(Door.FHIR, perf_counter() - started)
        return answer(exchange, changed)

    async def _accepted(self, change: Change, request: Request, exchange: Exchange) -> Response:
        """What can be read is answered later; what cannot is refused at once."""
        await self._intake.decode(lambda: read(change))
        assert change.content is not None
        url = request.url.path.removeprefix(f"{PREFIX}/") + (f"?{request.url.query}" if change.condition else "")
        content = as_bundle(
            change.method.value,
            url,
            change.content,
            ifNoneExist=request.headers.get("if-none-exist"),
            ifMatch=request.headers.get("if-match"),
        )
        return await self._later.accept(content, exchange)

    async def _change(self, method: Method, type: str, request: Request, exchange: Exchange) -> Change:
        header = request.headers.get("content-type")
        if method is Method.PATCH:
            _check_patch(header)
        elif method is not Method.DELETE and type != binaries.TYPE:
            check_content_type(header)
        return Change(
            method=method,
            type=type,
            id=_id(type, request),
            content=await self._content(method, type, request),
            condition=self._condition(method, type, request, exchange),
            if_match=if_match(request.headers.get("if-match")),
        )

    async def _content(self, method: Method, type: str, request: Request) -> bytes | None:
        if method is Method.DELETE:
            return None
        body = await request.body()
        if type != binaries.TYPE:
            return body
        header, name = request.headers.get("content-type"), request.path_params.get("id")
        return await asyncio.to_thread(binaries.as_resource, body, header, name)

    def _condition(self, method: Method, type: str, request: Request, exchange: Exchange) -> Search | None:
        """`If-None-Exist` of a create; the query of an update, a patch or a delete without an id."""
        if "id" in request.path_params:
            return None
        parts = [part for part in request.url.query.split("&") if part.partition("=")[0] not in OF_THE_ANSWER]
        query: str | None = "&".join(parts)
        if method is Method.POST:
            if query:  # some clients mean a conditional create by it; to ignore it would make a duplicate
                raise SearchInvalid("a create is made conditional by the header If-None-Exist, not by its URL")
            query = request.headers.get("if-none-exist")
        if query is None:
            return None
        return condition(type, query, exchange.base, microseconds(self._intake.clock()))


def if_match(header: str | None) -> int | None:
    """The version of an If-Match header: a weak ETag, as FHIR has them; None for `*`, which any version meets.
    Raises SearchInvalid."""
    if header is None or header.strip() == "*":
        return None
    match = _ETAG.fullmatch(header.strip())
    if match is None:
        raise SearchInvalid('If-Match is the ETag of a version: W/"3"', element="If-Match")
    return int(match["version"])


def _id(type: str, request: Request) -> str | None:
    name: str | None = request.path_params.get("id")
    if name is not None and not ID.fullmatch(name):
        raise NotFound(f"no such {type}: an id is 1 to 64 letters, digits, '-' and '.'")
    return name


def _check_patch(header: str | None) -> None:
    if media_type(header or "")[0] != JSON_PATCH:
        raise UnsupportedMediaType(f"Content-Type {header or '(none)'} is not taken; a patch is {JSON_PATCH}")


def add_routes(router: APIRouter, changing: Changing) -> None:
    """Every route for changing, as `INTERACTIONS` has them."""
    for kind, interactions in INTERACTIONS.items():
        for interaction in interactions:
            if method := METHODS.get(interaction):
                for path in [f"/{kind}"] if method is Method.POST else [f"/{kind}/{{id}}", f"/{kind}"]:
                    _add(router, path, changing, method, kind)


def _add(router: APIRouter, path: str, changing: Changing, method: Method, type: str) -> None:
    async def endpoint(request: Request) -> Response:
        return await changing(method, type, request)

    conditional = method is not Method.POST and "{id}" not in path
    parameters = (
        [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}] if "{id}" in path else []
    )
    router.add_api_route(
        path,
        endpoint,
        methods=[method.value],
        name=f"{'conditional ' if conditional else ''}{method.name.lower()} {type}",
        summary=SUMMARIES[method],
        status_code=201 if method is Method.POST else 204 if method is Method.DELETE else 200,
        response_class=Response,
        responses={status: {"description": text, "content": {FHIR_JSON: {}}} for status, text in ANSWERS.items()},
        openapi_extra={"parameters": parameters} | _body_schema(method, type),
    )


def _body_schema(method: Method, type: str) -> dict[str, object]:
    if method is Method.DELETE:
        return {}
    patch = method is Method.PATCH
    types = (JSON_PATCH,) if patch else ("*/*",) if type == binaries.TYPE else TAKEN
    schema = {"type": "array" if patch else "string" if type == binaries.TYPE else "object"}
    return {
        "requestBody": {
            "required": True,
            "description": "JSON Patch (RFC 6902)" if patch else f"FHIR R4 {type}",
            "content": {taken: {"schema": schema} for taken in types},
        }
    }

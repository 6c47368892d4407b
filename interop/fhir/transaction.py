"""`POST [base]`: a batch, whose entries fail one by one, or a transaction, which is carried out whole or not at all.

All ECGs of a Bundle are in the lane together, where the model takes several in one run.
"""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from actions.analysis import Door
from audit.criteria import Search
from audit.times import microseconds
from inference.errors import EcgError, InvalidContent
from interop.errors import answer_to
from interop.fhir import entries
from interop.fhir.answers import told
from interop.fhir.change import Change, Changed, Effect, Method
from interop.fhir.changing import if_match
from interop.fhir.conditional import condition
from interop.fhir.entries import Entry, check_entry, parse_bundle, parse_entry, patch_of
from interop.fhir.exchange import Exchange
from interop.fhir.interactions import Interactions
from interop.fhir.later import Later
from interop.fhir.negotiation import FHIR_JSON, TAKEN, Return, check_content_type
from interop.fhir.outcome import outcome_of
from interop.fhir.reading import Read, Reading
from interop.intake import Intake
from interop.logs import correlation
from interop.resources.times import instant
from interop.settings import Settings

Json = dict[str, Any]

# Entries of a batch that are under way at once: enough for the model to take several, few enough for others to get in.
AT_ONCE = 8


class Bundles:
    """Takes batches and transactions."""

    def __init__(self, intake: Intake, settings: Settings, interactions: Interactions, reading: Reading) -> None:
        self._intake = intake
        self._settings = settings
        self._interactions = interactions
        self._reading = reading
        self._later = Later(intake, self.answered)

    @property
    def later(self) -> Later:
        """What is answered later."""
        return self._later

    async def __call__(self, request: Request) -> Response:
        """Answer one Bundle. Raises Malformed, InvalidContent; in a transaction the first error that an entry meets."""
        exchange = Exchange.of(request, self._settings)
        check_content_type(request.headers.get("content-type"))
        content = await request.body()
        if exchange.preferences.asynchronous:
            return await self._later.accept(content, exchange)
        return exchange.answer(await self.answered(content, exchange))

    async def answered(self, content: bytes, exchange: Exchange) -> bytes:
        """The Bundle that answers another. Raises as a call does."""
        bundle = await self._intake.decode(lambda: parse_bundle(content, "batch", "transaction"))
        texts = await self._intake.decode(lambda: entries.resources(content))
        pairs = list(zip(bundle.get("entry", ()), texts, strict=True))
        answered = await (self._transaction if bundle["type"] == "transaction" else self._batch)(exchange, pairs)
        document: Json = {"resourceType": "Bundle", "type": f"{bundle['type']}-response"}
        return orjson.dumps(document | ({"entry": answered} if answered else {}))

    async def _batch(self, exchange: Exchange, pairs: Sequence[tuple[Json, bytes | None]]) -> list[Json]:
        limit = asyncio.Semaphore(AT_ONCE)

        async def one(place: str, raw: Json, resource: bytes | None) -> Json:
            async with limit:
                try:
                    entry = parse_entry(raw, resource, place, exchange.base)
                    return await self._entry(exchange, entry)
                except EcgError as error:
                    return _failed(error)

        return await asyncio.gather(*(one(f"Bundle.entry[{n}]", *pair) for n, pair in enumerate(pairs)))

    async def _entry(self, exchange: Exchange, entry: Entry) -> Json:
        try:
            if not entry.changes:
                return _read(await self._get(exchange, entry), exchange)
            check_entry(entry)
            change = self._change(exchange, entry)
            self._count([change])
            changed = await self._interactions.one(change, self._intake.context(Door.FHIR, correlation.get()))
            return _changed(changed, exchange)
        except EcgError as error:
            raise entry.error(error) from error

    async def _transaction(self, exchange: Exchange, pairs: Sequence[tuple[Json, bytes | None]]) -> list[Json]:
        found = [parse_entry(*pair, f"Bundle.entry[{n}]", exchange.base) for n, pair in enumerate(pairs)]
        changing = [entry for entry in found if entry.changes]
        _check_distinct(changing)
        for entry in changing:
            check_entry(entry)
        changes = [self._change(exchange, entry) for entry in changing]
        self._count(changes)
        context = self._intake.context(Door.FHIR, correlation.get())
        outcomes = await self._interactions.together(changes, context, lambda t, q: self._condition(exchange, t, q))
        done = {entry.place: _changed(one, exchange) for entry, one in zip(changing, outcomes, strict=True)}
        return [done[entry.place] if entry.changes else await self._read_entry(exchange, entry) for entry in found]

    async def _read_entry(self, exchange: Exchange, entry: Entry) -> Json:
        """What was changed stays changed: here a read that fails tells so in its own entry."""
        try:
            return _read(await self._get(exchange, entry), exchange)
        except EcgError as error:
            return _failed(entry.error(error))

    async def _get(self, exchange: Exchange, entry: Entry) -> Read:
        if entry.method not in ("GET", "HEAD"):
            raise InvalidContent(f"{entry.method} is not known", element=f"{entry.place}.request.method")
        if entry.is_history and entry.version is None:
            return await self._reading.history(entry.type, entry.id, entry.pairs, exchange.base)
        if entry.id is None:
            strict = exchange.preferences.strict
            return await self._reading.found(entry.type, entry.pairs, exchange.base, strict=strict)
        return await self._reading.document(entry.type, entry.id, entry.version, entry.pairs)

    def _change(self, exchange: Exchange, entry: Entry) -> Change:
        query = entry.if_none_exist if entry.method == "POST" else entry.query if entry.id is None else None
        try:
            asked = self._condition(exchange, entry.type, query) if query else None
            version = if_match(entry.if_match)
        except EcgError as error:
            raise entry.error(error) from error
        return Change(
            method=Method(entry.method),
            type=entry.type,
            id=entry.id,
            content=patch_of(entry) if entry.method == "PATCH" else entry.resource,
            condition=asked,
            if_match=version,
            place=entry.place,
            name=entry.name,
        )

    def _condition(self, exchange: Exchange, type: str, query: str) -> Search:
        return condition(type, query, exchange.base, microseconds(self._intake.clock()))

    def _count(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.type == "Observation" and change.method in (Method.POST, Method.PUT):
                self._intake.metrics.received(Door.FHIR)


def _check_distinct(found: Sequence[Entry]) -> None:
    """No resource twice: in which order would it be (section 3.1.0.11.2)?"""
    seen: dict[str, str] = {}
    for entry in found:
        names = [name for name in (entry.name, f"{entry.type}/{entry.id}" if entry.id else None) if name]
        for name in names:
            if seen.setdefault(name, entry.place) != entry.place:
                raise InvalidContent(f"{name} is there twice, also in {seen[name]}", element=entry.place)


def _changed(changed: Changed, exchange: Exchange) -> Json:
    document, status = changed.document, HTTPStatus(changed.effect.status)
    response: Json = {"status": f"{status.value} {status.phrase}"}
    if document is not None:
        response["etag"] = f'W/"{document.version}"'
        response["lastModified"] = instant(document.last_updated)
        if changed.effect is not Effect.DELETED:
            response["location"] = exchange.location(document)
    response["outcome"] = told(changed)
    entry: Json = {"response": response}
    if document is not None and not document.deleted:
        entry["fullUrl"] = f"{exchange.base}/{document.type}/{document.id}"
        if exchange.preferences.stated is Return.REPRESENTATION:
            entry["resource"] = orjson.Fragment(document.content)
    return entry


def _read(read: Read, exchange: Exchange) -> Json:
    response: Json = {"status": "200 OK"}
    entry: Json = {"resource": orjson.Fragment(read.content), "response": response}
    if read.document is not None:
        response["etag"] = f'W/"{read.document.version}"'
        response["lastModified"] = instant(read.document.last_updated)
        entry["fullUrl"] = f"{exchange.base}/{read.document.type}/{read.document.id}"
    return entry


def _failed(error: EcgError) -> Json:
    status = HTTPStatus(answer_to(error).http_status)
    outcome = orjson.Fragment(outcome_of(error, correlation.get()))
    return {"response": {"status": f"{status.value} {status.phrase}", "outcome": outcome}}


def add_route(router: APIRouter, bundles: Bundles) -> None:
    """`POST [base]`; and `[base]/`, which is what clients make of the base and an empty path."""

    async def endpoint(request: Request) -> Response:
        return await bundles(request)

    router.add_api_route(
        "",
        endpoint,
        methods=["POST"],
        name="batch or transaction",
        summary="Several interactions in one request",
        response_class=Response,
        responses={200: {"description": "A Bundle with the answer to each entry", "content": {FHIR_JSON: {}}}},
        openapi_extra={
            "requestBody": {
                "required": True,
                "description": "FHIR R4 Bundle of type batch or transaction",
                "content": {taken: {"schema": {"type": "object"}} for taken in TAKEN},
            }
        },
    )
    router.add_api_route("/", endpoint, methods=["POST"], include_in_schema=False)

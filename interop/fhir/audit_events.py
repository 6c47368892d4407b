"""The audit trail as AuditEvents: read and found, never written through this door.

They are made of the entries when somebody asks: an entry that stood as a resource beside its chain could be changed
there. What kind of event it is decides its type, subtype, action and outcome, so a search by these is one by event.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from audit.criteria import Criterion, Interval, Within
from audit.records import EntryPage, EntrySearch, Reader, StoredEntry
from audit.times import at_microseconds, microseconds
from inference.errors import NotFound, SearchInvalid
from interop.fhir.bundles import entry, listed
from interop.fhir.exchange import Exchange
from interop.fhir.negotiation import FHIR_JSON
from interop.fhir.parameters import COUNT, CURSOR, FORMAT, PRETTY
from interop.fhir.search import Pairs, count_of
from interop.fhir.values import Asked, criterion
from interop.intake import Intake
from interop.resources.audit_event import KINDS, OWN_EVENTS, Kind, audit_event
from interop.resources.devices import software_device
from interop.resources.search_parameters import SEARCH_PARAMETERS, SearchParameter
from interop.settings import Settings

TYPE = "AuditEvent"
# `agent` would have to look into payloads, which retention deletes.
NAMES = ("date", "type", "subtype", "action", "outcome", "entity")
PARAMETERS: Mapping[str, SearchParameter] = {name: SEARCH_PARAMETERS[TYPE][name] for name in NAMES}
OF_THE_ANSWER = frozenset({COUNT, CURSOR, FORMAT, PRETTY})

_ID = re.compile(r"(?P<chain>[A-Za-z0-9-]{1,40})\.(?P<seq>[1-9][0-9]{0,14})")

Json = dict[str, Any]


class AuditEvents:
    """Answers reads and searches from the trail."""

    def __init__(self, intake: Intake, settings: Settings) -> None:
        self._intake = intake
        self._settings = settings

    async def read(self, request: Request) -> Response:
        """One entry. Raises NotFound."""
        exchange = Exchange.of(request, self._settings)
        match = _ID.fullmatch(request.path_params["id"])
        if match is None:
            raise NotFound("no such AuditEvent")
        found = await self._intake.read(lambda store: store.entries.get(match["chain"], int(match["seq"])))
        return exchange.answer(orjson.dumps(_event(found)))

    async def search(self, request: Request) -> Response:
        """A page of them, the newest first. Raises SearchInvalid."""
        exchange = Exchange.of(request, self._settings)
        pairs = request.query_params.multi_items()
        search, understood, ignored = parse(
            pairs, exchange.base, microseconds(self._intake.clock()), strict=exchange.preferences.strict
        )

        def page(store: Reader) -> EntryPage:
            return store.entries.search(search)

        return exchange.answer(_bundle(await self._intake.read(page), understood, ignored, exchange.base))


def parse(pairs: Pairs, base: str, now: float, *, strict: bool) -> tuple[EntrySearch, Pairs, Sequence[str]]:
    """The search, the parameters that were used, and the names of those that were not. Raises SearchInvalid."""
    given = [(name, value) for name, value in pairs if value]
    known = [(name, value) for name, value in given if name.partition(":")[0] in PARAMETERS or name in OF_THE_ANSWER]
    ignored = list(dict.fromkeys(name for name, value in given if (name, value) not in known))
    if ignored and strict:
        raise SearchInvalid(f"{TYPE} cannot be searched by {', '.join(ignored)}", element=ignored[0])
    general = {name: value for name, value in known if name in OF_THE_ANSWER}
    criteria = [_criterion(name, value, base, now) for name, value in known if name not in OF_THE_ANSWER]
    search = EntrySearch(
        periods=_periods(criteria),
        subjects=_subjects(criteria),
        events=_events(criteria),
        count=count_of(general.get(COUNT)),
        after=general.get(CURSOR),
    )
    return search, known, ignored


def _criterion(name: str, value: str, base: str, now: float) -> Criterion | Within:
    plain, _, modifier = name.partition(":")
    asked = Asked(found=PARAMETERS[plain], modifier=modifier, value=value, base=base, now=now)
    found = criterion(asked)
    if not isinstance(found, Criterion | Within) or (isinstance(found, Criterion) and found.negated):
        raise asked.refused(f"modifier :{modifier} is not supported")
    return found


def _periods(criteria: Sequence[Criterion | Within]) -> Any:
    """The periods that all dates leave. An entry is a point in time: a range that begins in a period lies in it."""
    found: list[tuple[float, float]] = [(float("-inf"), float("inf"))]
    dates = [one for one in criteria if isinstance(one, Within)]
    for one in dates:
        wanted = [_span(interval) for interval in one.alternatives]
        found = [(max(a, c), min(b, d)) for a, b in found for c, d in wanted if max(a, c) < min(b, d)]
    if not dates:
        return None
    return tuple(tuple(None if abs(at) == float("inf") else at_microseconds(at) for at in pair) for pair in found)


def _span(interval: Interval) -> tuple[float, float]:
    low = [at for at in (interval.from_, interval.after) if at is not None]
    high = [at for at in (interval.before, interval.to) if at is not None]
    return max(low, default=float("-inf")), min(high, default=float("inf"))


def _subjects(criteria: Sequence[Criterion | Within]) -> tuple[str, ...] | None:
    wanted = [
        {value for _, value in one.alternatives}
        for one in criteria
        if one.name == "entity" and isinstance(one, Criterion)
    ]
    return tuple(sorted(set.intersection(*wanted))) if wanted else None


def _events(criteria: Sequence[Criterion | Within]) -> tuple[str, ...] | None:
    wanted = [one for one in criteria if isinstance(one, Criterion) and one.name != "entity"]
    if not wanted:
        return None
    return tuple(event.value for event, kind in KINDS.items() if all(_is_of(event.value, kind, one) for one in wanted))


def _is_of(event: str, kind: Kind, wanted: Criterion) -> bool:
    codings: Mapping[str, list[Json]] = {
        "type": [kind.type],
        "subtype": [*kind.subtypes, {"system": OWN_EVENTS, "code": event}],
        "action": [{"code": kind.action}],
        "outcome": [{"code": kind.outcome}],
    }
    return any(
        one["code"] == value and system in (None, one.get("system", ""))
        for one in codings[wanted.name]
        for system, value in wanted.alternatives
    )


def _event(stored: StoredEntry) -> Json:
    source = {"reference": f"Device/{software_device()['id']}"}
    return audit_event(stored, id=f"{stored.chain_id}.{stored.seq}", source=source)


def _bundle(page: EntryPage, understood: Pairs, ignored: Sequence[str], base: str) -> bytes:
    return listed(
        f"{base}/{TYPE}",
        [entry(f"{TYPE}/{one.chain_id}.{one.seq}", _event(one), base) for one in page.entries],
        understood=understood,
        following=page.next,
        ignored=[f"{TYPE} cannot be searched by {name}" for name in ignored],
    )


def add_routes(router: APIRouter, events: AuditEvents) -> None:
    """Read and search."""
    identity = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    queries = [
        {"name": name, "in": "query", "description": found.url, "schema": {"type": "string"}}
        for name, found in PARAMETERS.items()
    ]
    routes = ((f"/{TYPE}", events.search, queries), (f"/{TYPE}/{{id}}", events.read, [identity]))
    for path, endpoint, parameters in routes:
        router.add_api_route(
            path,
            endpoint,
            methods=["GET"],
            name=f"{endpoint.__name__} {TYPE}",
            response_class=Response,
            responses={200: {"content": {FHIR_JSON: {}}}},
            openapi_extra={"parameters": parameters},
        )

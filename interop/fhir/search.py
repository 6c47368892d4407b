"""A FHIR search as `audit.criteria.Search` (FHIR R4 search.html).

Unknown parameters become a warning in the answer, or an error when the client prefers strict handling; an unknown
modifier is always an error, as section 3.1.1.4.5 demands.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from audit.criteria import (
    LAST_UPDATED,
    NEWEST_FIRST,
    AnyCriterion,
    AnyOf,
    Criterion,
    Include,
    Linked,
    LinkedFrom,
    Order,
    Search,
    Total,
)
from inference.errors import SearchInvalid
from interop.fhir.parameters import (
    COUNT,
    CURSOR,
    GENERAL,
    INCLUDE,
    OF_THE_ANSWER,
    REVINCLUDE,
    SORT,
    SUMMARY,
    TOTAL,
    parameter,
    parameters,
)
from interop.fhir.values import Asked, criterion
from interop.resources.codes import SILENT
from interop.resources.index import TAG
from interop.resources.search_parameters import SEARCH_PARAMETERS, Kind, SearchParameter

DEFAULT_COUNT = 50
# An ECG Observation is 300 kB; a page of these is the most that a client should get at once.
MAX_COUNT = 200
# The database joins once for each; nobody who looks for something needs more.
MAX_PARAMETERS = 30
HAS = "_has"

# Microseconds, and what the store made.
_PLACE = re.compile(r"(?P<now>[0-9]{1,17})\.(?P<cursor>.*)", re.DOTALL)

Pairs = Sequence[tuple[str, str]]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed search. understood: the parameters that were used, for the self link. ignored: what was not used, and
    why. now: microseconds, when its first page was asked for."""

    search: Search
    understood: tuple[tuple[str, str], ...]
    ignored: tuple[str, ...]
    now: float

    @property
    def counts_only(self) -> bool:
        """Whether no resources are wanted."""
        return self.search.count == 0

    def following(self, cursor: str | None) -> str | None:
        """The place of the next page as links have it: with the time, so that `ap` means the same on every page."""
        return None if cursor is None or self.counts_only else f"{int(self.now)}.{cursor}"


class _Unknown(Exception):
    """A parameter that we do not have."""


@dataclass(slots=True)
class _Reading:
    """One search while it is read."""

    type: str
    base: str
    now: float
    criteria: list[AnyCriterion] = field(default_factory=list)
    includes: list[Include] = field(default_factory=list)
    order: tuple[Order, ...] = NEWEST_FIRST
    understood: list[tuple[str, str]] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    def take(self, name: str, value: str) -> None:
        """Read one parameter. Raises SearchInvalid."""
        try:
            if name == SORT:
                self.order = self._orders(value)
            elif name in (INCLUDE, REVINCLUDE):
                self.includes += self._includes(value, reverse=name == REVINCLUDE)
            elif name not in GENERAL:
                self.criteria.append(self.criterion(name, value))
            self.understood.append((name, value))
        except _Unknown as unknown:
            self.ignored.append(str(unknown))

    def search(self, after: str | None) -> Search:
        """What was read. Raises SearchInvalid."""
        general = {name: value for name, value in self.understood if name in GENERAL}
        count = 0 if general.get(SUMMARY) == "count" else count_of(general.get(COUNT))
        return Search(
            type=self.type,
            criteria=tuple(self.criteria),
            order=self.order,
            count=count,
            after=after,
            include_silent=any(_asks_for_silent(each) for each in self.criteria),
            includes=tuple(self.includes),
            total=_total(general.get(TOTAL, Total.CHEAP.value)) if count else Total.ACCURATE,
        )

    def criterion(self, name: str, value: str, type: str | None = None) -> AnyCriterion:
        """Raises _Unknown, SearchInvalid."""
        of = type or self.type
        if name.partition(":")[0] == HAS:
            return self._reverse(name, value, of)
        head, dot, chained = name.partition(".")
        plain, _, modifier = head.partition(":")
        found = parameter(of, plain)
        if found is None:
            raise _Unknown(name)
        if dot:
            return self._chain(found, modifier, chained, value)
        return criterion(Asked(found=found, modifier=modifier, value=value, base=self.base, now=self.now))

    def _chain(self, found: SearchParameter, modifier: str, chained: str, value: str) -> AnyCriterion:
        """`subject:Patient.family`: what it refers to has a family name. One level deep."""
        if found.kind is not Kind.REFERENCE:
            raise SearchInvalid(f"{found.name} is no reference: nothing can be chained to it", element=found.name)
        if "." in chained or chained.startswith(HAS):
            raise SearchInvalid(f"{found.name}.{chained}: chains are supported one level deep", element=found.name)
        name = chained.partition(":")[0]
        types = found.targets or SEARCH_PARAMETERS
        wanted = [of for of in types if of in SEARCH_PARAMETERS and modifier in ("", of)]
        served = [of for of in wanted if parameter(of, name)]
        if not served:
            raise SearchInvalid(
                f"{found.name}.{chained}: none of its targets here can be searched so", element=found.name
            )
        ways: list[AnyCriterion] = [
            Linked(name=found.row_name, type=of, criteria=(self.criterion(chained, value, of),)) for of in served
        ]
        if chained == "identifier":  # as well where the reference itself carries it, and we hold no such resource
            asked = Asked(found=found, modifier="identifier", value=value, base=self.base, now=self.now)
            ways.append(criterion(asked))
        return ways[0] if len(ways) == 1 else AnyOf(criteria=tuple(ways))

    def _reverse(self, name: str, value: str, type: str) -> AnyCriterion:
        """`_has:Observation:patient:code`: an Observation with that code refers to it by `patient`. One level deep."""
        parts = name.split(":", 3)
        if len(parts) != 4 or parts[3].startswith(HAS) or "." in parts[3]:
            raise SearchInvalid(f"{name[:80]}: _has:Type:reference:parameter is supported", element=HAS)
        _, of, reference, inner = parts
        found = parameter(of, reference) if of in SEARCH_PARAMETERS else None
        if found is None or found.kind is not Kind.REFERENCE or (found.targets and type not in found.targets):
            raise SearchInvalid(f"{name[:80]}: no {of[:40]} here refers to a {type} by that", element=HAS)
        try:
            return LinkedFrom(name=found.row_name, type=of, criteria=(self.criterion(inner, value, of),))
        except _Unknown:
            raise SearchInvalid(f"{name[:80]}: {_offer(of)}", element=HAS) from None

    def _orders(self, text: str) -> tuple[Order, ...]:
        """Raises _Unknown."""
        return tuple(self._order(part.strip()) for part in text.split(",") if part.strip()) or NEWEST_FIRST

    def _order(self, part: str) -> Order:
        name = part.removeprefix("-")
        found = parameter(self.type, name)
        if found is None or name == TAG:
            raise _Unknown(f"{SORT}={part}")
        ranges = found.kind.ranges and name != LAST_UPDATED
        return Order(name=found.row_name, descending=part.startswith("-"), ranges=ranges)

    def _includes(self, text: str, *, reverse: bool) -> tuple[Include, ...]:
        """`Type:parameter`, `Type:parameter:Target`, `Type:*`. Raises _Unknown."""
        of, _, rest = text.partition(":")
        name, _, target = rest.partition(":")
        references = {one.name: one for one in SEARCH_PARAMETERS.get(of, {}).values() if one.kind is Kind.REFERENCE}
        found = list(references.values()) if name == "*" else [references[name]] if name in references else []
        if not found or (not reverse and of != self.type):
            raise _Unknown(f"{REVINCLUDE if reverse else INCLUDE}={text}")
        asked = {one.row_name: target or None for one in found}
        if name != "*" and not target and len(found[0].targets) == 1:
            asked = {found[0].row_name: found[0].targets[0]}  # others share the rows of `patient`
        return tuple(Include(type=of, name=row, target=only, reverse=reverse) for row, only in asked.items())


def parse(type: str, pairs: Pairs, base: str, *, now: float, strict: bool = False) -> Query:
    """The search for the parameters of a URL or a form. base: our own, `.../fhir`. now: microseconds, for `ap`.

    Raises SearchInvalid for values and modifiers that cannot be used, and for unknown names when strict.
    """
    given = [(name, value) for name, value in pairs if value]
    if len(given) > MAX_PARAMETERS:
        raise SearchInvalid(f"{len(given)} parameters; {MAX_PARAMETERS} are the most")
    after, now = _place(dict(given).get(CURSOR), now)
    reading = _Reading(type=type, base=base, now=now)
    for name, value in given:
        reading.take(name, value)
    ignored = tuple(dict.fromkeys(reading.ignored))
    if ignored and strict:
        raise SearchInvalid(f"{type} cannot be searched by {', '.join(ignored)}; {_offer(type)}", element=ignored[0])
    return Query(search=reading.search(after), understood=tuple(reading.understood), ignored=ignored, now=now)


def described(query: Query) -> Iterable[str]:
    """What was not used of a search, in words."""
    offer = _offer(query.search.type)
    return [f"{query.search.type} cannot be searched by {name}, which was ignored; {offer}" for name in query.ignored]


def of_the_answer(pairs: Pairs) -> dict[str, str]:
    """The parameters that say how the answer is written."""
    return {name: value for name, value in pairs if name in OF_THE_ANSWER and value}


def _asks_for_silent(asked: Any) -> bool:
    return (
        isinstance(asked, Criterion)
        and asked.name == TAG
        and not asked.negated
        and any(value == SILENT for _, value in asked.alternatives)
    )


def _place(cursor: str | None, now: float) -> tuple[str | None, float]:
    """The cursor and the time that a link has, see `Query.following`."""
    match = _PLACE.fullmatch(cursor or "")
    return (match["cursor"], float(match["now"])) if match else (cursor, now)


def _total(text: str) -> Total:
    try:
        return Total(text)
    except ValueError:
        raise SearchInvalid(f"{TOTAL} is none, estimate or accurate", element=TOTAL) from None


def count_of(text: str | None) -> int:
    """How many entries a page has, by `_count`. Raises SearchInvalid."""
    if text is None:
        return DEFAULT_COUNT
    if not (text.isascii() and text.isdigit()):
        raise SearchInvalid(f"{COUNT} is no number", element=COUNT)
    return min(int(text.lstrip("0")[:9] or 0), MAX_COUNT)


def _offer(type: str) -> str:
    return f"known are {', '.join(sorted(parameters(type)))}"

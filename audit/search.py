"""A `Search` as SQL, and its cursors.

Which way a search goes is decided here, not by the database: it does not know that only a page is wanted, and guesses
how many documents meet a criterion. Those of each criterion are counted, up to a limit, and never by a walk that is
longer than it: a bound does for the choice.

- Few meet one of them: they are looked up, tested for the rest, and sorted here. The total is known then.
- Many meet all: the documents are walked through in the order in which they are wanted, until the page is full, each
  tested for every criterion; by id along the index of the most selective criterion.
- No index has the wanted order: all that match are sorted.

Pages are cut by key, not by offset: a cursor names the last document shown and the values that it was sorted by. It
also carries a digest of the search: with another search its place would mean nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    func,
    select,
    text,
    tuple_,
)

from audit.conditions import (
    Condition,
    InOrder,
    Untouched,
    documents_near,
    documents_with,
    has,
    is_document,
    shown,
    some,
    updated,
)
from audit.criteria import (
    ID,
    LAST_UPDATED,
    AnyCriterion,
    AnyOf,
    Criterion,
    Interval,
    Linked,
    LinkedFrom,
    Order,
    Search,
    Total,
    Within,
)
from audit.cursor import Cursor, Key
from audit.schema import document_index, document_ranges, documents
from audit.times import at_microseconds, microseconds

# More documents than this are not fetched to be sorted here, as long as there is another way.
FEW = 1000
# A criterion that no more meet is taken without counting the others.
ENOUGH = 50
# So many times FEW documents are followed to those that they are linked with; of more nobody counts where they lead.
FOLLOWED = 2
# Of several bounds on one time each combination is an interval: of more the further bounds only test what is found.
MAX_INTERVALS = 16

# PostgreSQL follows the joins as they are written, along indexes: what is counted here it could only guess.
_AS_WRITTEN = text(
    "SET LOCAL join_collapse_limit = 1; SET LOCAL from_collapse_limit = 1; SET LOCAL enable_seqscan = off; "
    "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_material = off; "
    # A bitmap is of all rows, a sort needs all, and other processes take longer to start than a page does.
    "SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off; SET LOCAL max_parallel_workers_per_gather = 0; "
    "SET LOCAL jit = off"
)

_BY_ID = documents.c.id


@dataclass(frozen=True, slots=True)
class Found:
    """The ids of one page. total: None where it was not counted. next: the cursor of the following page."""

    ids: tuple[str, ...]
    total: int | None
    next: str | None


@dataclass(frozen=True, slots=True)
class _Hit:
    """A document and the values it is sorted by."""

    id: str
    keys: tuple[Key, ...]


def find(connection: Connection, search: Search) -> Found:
    """One page of the documents that match. Raises SearchInvalid for an unusable cursor."""
    after = None if search.after is None else Cursor.read(search.after, search)
    if connection.dialect.name == "postgresql":
        connection.execute(_AS_WRITTEN)
    lead = _lead(connection, search)
    walk = None if lead.number <= FEW else _walk(search, lead.criterion)
    if walk is None:
        return _sorted_page(connection, search, lead.criterion, after)
    hits = _walked(connection, search, walk, after)
    if after is None and len(hits) <= search.count:
        return _page(hits, search, len(hits))
    accurate = search.total is Total.ACCURATE
    return _page(hits, search, connection.execute(_counting(search, lead.criterion)).scalar_one() if accurate else None)


@dataclass(frozen=True, slots=True)
class _Lead:
    """The criterion that a search begins with, None for all documents of the type. number: how many meet it at most;
    FEW + 1 stands for more."""

    criterion: AnyCriterion | None
    number: int


def _lead(connection: Connection, search: Search) -> _Lead:
    """What the fewest documents meet; of more than FEW what can be walked through by id."""
    found: list[_Lead] = []
    for criterion in _candidates(search.criteria):
        number = _number(connection, criterion, search.type)
        if number is not None:
            found.append(_Lead(criterion, number))
            if number <= ENOUGH:
                break
    if found:
        return min(found, key=lambda lead: (lead.number, not _is_of_one_value(lead.criterion)))
    every = select(_BY_ID).where(documents.c.type == search.type)  # earlier versions too, so that an index says it
    return _Lead(None, _up_to(FEW, connection, every))


def _candidates(criteria: Sequence[AnyCriterion]) -> list[AnyCriterion]:
    """The criteria; those on one time as one: of `ge` and `lt` each alone would leave half of all documents."""
    found: dict[str, Within] = {}
    others: list[AnyCriterion] = []
    for each in criteria:
        if isinstance(each, Within) and (each.single or each.name == LAST_UPDATED):
            found[each.name] = _both(found[each.name], each) if each.name in found else each
        else:
            others.append(each)
    return [*others, *found.values()]


def _both(one: Within, other: Within) -> Within:
    """What meets both, of a value that a document has one of; the first alone where those were too many intervals."""
    if len(one.alternatives) * len(other.alternatives) > MAX_INTERVALS:
        return one
    return replace(
        one,
        alternatives=tuple(
            Interval(
                from_=_bound(max, a.from_, b.from_),
                before=_bound(min, a.before, b.before),
                after=_bound(max, a.after, b.after),
                to=_bound(min, a.to, b.to),
            )
            for a in one.alternatives
            for b in other.alternatives
        ),
    )


def _bound(pick: Callable[[Sequence[float]], float], *bounds: float | None) -> float | None:
    given = [bound for bound in bounds if bound is not None]
    return pick(given) if given else None


def _number(connection: Connection, criterion: AnyCriterion, type: str) -> int | None:
    """How many documents of a type meet a criterion at most, up to FEW + 1; None where no index leads to them."""
    if isinstance(criterion, AnyOf):
        numbers = [_number(connection, each, type) for each in criterion.criteria]
        return None if None in numbers else min(FEW + 1, sum(number for number in numbers if number is not None))
    if isinstance(criterion, Linked | LinkedFrom) and _links_many(connection, criterion):
        return FEW + 1
    found = documents_near(criterion, type)
    return None if found is None else _up_to(FEW, connection, found)


def _links_many(connection: Connection, criterion: Linked | LinkedFrom) -> bool:
    """Whether too many documents meet what is asked of the other end."""
    found = documents_near(criterion.criteria[0], criterion.type)
    return found is None or _up_to(FOLLOWED * FEW, connection, found) > FOLLOWED * FEW


def _up_to(limit: int, connection: Connection, found: Select[Any]) -> int:
    """How many rows there are; one over the limit stands for more."""
    limited = found.limit(limit + 1).subquery()
    return connection.execute(select(func.count()).select_from(limited)).scalar_one()


# Few matches, or an order that no index has


def _sorted_page(connection: Connection, search: Search, lead: AnyCriterion | None, after: Cursor | None) -> Found:
    source, conditions = _matching(search, lead)
    keys = [_key(order, search.type).label(f"key_{place}") for place, order in enumerate(search.order)]
    query = select(_BY_ID, *keys).distinct().select_from(source).where(*conditions)
    hits = [_Hit(row[0], tuple(_plain(value) for value in row[1:])) for row in connection.execute(query)]
    hits.sort(key=lambda hit: hit.id, reverse=search.order[-1].descending)
    for place in range(len(search.order) - 1, -1, -1):
        descending = search.order[place].descending
        known = [hit for hit in hits if hit.keys[place] is not None]
        known.sort(key=lambda hit: hit.keys[place], reverse=descending)  # type: ignore[arg-type, return-value]
        hits = known + [hit for hit in hits if hit.keys[place] is None]
    start = 0 if after is None else sum(1 for hit in hits if not after.precedes(hit.keys, hit.id, search.order))
    return _page(hits[start : start + search.count + 1], search, len(hits))


def _matching(search: Search, lead: AnyCriterion | None) -> tuple[FromClause, list[Condition]]:
    """Where all current documents that match come from, and what must hold for each."""
    conditions = shown(search.type, search.include_silent)
    conditions += [_has(criterion, search.type, _BY_ID) for criterion in search.criteria if criterion is not lead]
    if lead is None:
        return documents, conditions
    found = documents_with(lead, search.type)
    assert found is not None
    ids = found.subquery("found")
    return InOrder(ids, documents, is_document(documents, search.type, ids.c.id)), conditions


def _counting(search: Search, lead: AnyCriterion | None) -> Select[int]:
    source, conditions = _matching(search, lead)
    return select(func.count(_BY_ID.distinct())).select_from(source).where(*conditions)


def _has(criterion: AnyCriterion, type: str, id: ColumnElement[str]) -> Condition:
    if isinstance(criterion, Within) and criterion.name == LAST_UPDATED:
        return updated(documents, criterion)
    return has(criterion, type, id)


def _key(order: Order, type: str) -> ColumnElement[Any]:
    if order.name == ID:
        return _BY_ID
    if order.name == LAST_UPDATED:
        return documents.c.last_updated
    rows = (document_ranges if order.ranges else document_index).alias()
    value = Untouched(rows.c.low if order.ranges else rows.c.value)
    extreme = func.max(value) if order.descending else func.min(value)
    found = select(extreme).where(rows.c.type == type, rows.c.id == _BY_ID, rows.c.name == order.name)
    return found.scalar_subquery()


def _plain(value: Any) -> Key:
    return microseconds(value) if isinstance(value, datetime) else value


# Many matches, in an order that an index has


@dataclass(frozen=True, slots=True)
class _Part:
    """A query for ids, and for the values that they are sorted by unless it is the id alone, along an index of both."""

    query: Select[Any]
    id: ColumnElement[Any]
    value: ColumnElement[Any] | None


def _walk(search: Search, lead: AnyCriterion | None) -> list[_Part] | None:
    """The parts of the list in the wanted order; None where no index has it. Those after the first are without a value
    to sort by."""
    if len(search.order) != 1:
        return None
    (order,) = search.order
    conditions = shown(search.type, search.include_silent)
    if order.name == ID:
        return [_by_id(search, lead, conditions)]
    conditions += [_has(criterion, search.type, _BY_ID) for criterion in search.criteria]
    if order.name == LAST_UPDATED:
        at = documents.c.last_updated
        return [_Part(select(_BY_ID, at).where(*conditions), _BY_ID, at)]
    return _by_range(search.type, order, conditions) if order.ranges else None


def _by_id(search: Search, lead: AnyCriterion | None, conditions: list[Condition]) -> _Part:
    """Along the rows of one value, where the most selective criterion has one value only; else along the documents."""
    if lead is None or not _is_of_one_value(lead):
        every = [_has(criterion, search.type, _BY_ID) for criterion in search.criteria]
        return _Part(select(_BY_ID).where(*conditions, *every), _BY_ID, None)
    found = documents_with(lead, search.type)
    assert found is not None
    of_row = found.selected_columns[0]
    (rows,) = found.get_final_froms()
    source = InOrder(rows, documents, is_document(documents, search.type, of_row))
    others = [_has(each, search.type, of_row) for each in search.criteria if each is not lead]
    return _Part(found.select_from(source).where(*conditions, *others), of_row, None)


def _is_of_one_value(criterion: AnyCriterion | None) -> bool:
    """Whether its rows are in the order of the ids."""
    if not isinstance(criterion, Criterion) or criterion.name == ID or criterion.starts:
        return False
    return [bool(value) for _, value in criterion.alternatives] == [True]


def _by_range(type: str, order: Order, conditions: list[Condition]) -> list[_Part]:
    """Along the rows of the name, of each document the first; then the documents that have none."""
    rows, other = document_ranges.alias(), document_ranges.alias()
    value, same = rows.c.low, Untouched(other.c.low)
    of_this = [other.c.type == type, other.c.id == rows.c.id, other.c.name == order.name]
    first = ~some(*of_this, same > value if order.descending else same < value)
    source = InOrder(rows, documents, is_document(documents, type, rows.c.id))
    having = select(rows.c.id, value).select_from(source)
    having = having.where(rows.c.type == type, rows.c.name == order.name, first, *conditions)
    none = ~some(other.c.type == type, other.c.id == _BY_ID, other.c.name == order.name)
    return [_Part(having, rows.c.id, value), _Part(select(_BY_ID).where(*conditions, none), _BY_ID, None)]


def _walked(connection: Connection, search: Search, parts: Sequence[_Part], after: Cursor | None) -> list[_Hit]:
    """One page and one more, which tells that there is a next page."""
    hits: dict[str, _Hit] = {}
    for place, part in enumerate(parts):
        without = place > 0
        if after is not None and without is (after.keys[0] is not None):
            if not without:
                continue  # it was shown to its end
            after = None
        while len(hits) <= search.count:
            wanted = search.count + 1 - len(hits)
            rows = connection.execute(_ordered(part, search.order[0], after).limit(wanted)).all()
            found = [_Hit(row[0], (None if without else _plain(row[-1]),)) for row in rows]
            hits.update((hit.id, hit) for hit in found)
            if len(found) < wanted:
                break
            # A document with two rows alike came twice: there may be more beyond the last.
            after = Cursor(found[-1].keys, found[-1].id)
    return list(hits.values())


def _ordered(part: _Part, order: Order, after: Cursor | None) -> Select[Any]:
    columns = [part.id] if part.value is None else [part.value, part.id]
    query = part.query
    if after is not None:
        value: Any = after.keys[0]
        if order.name == LAST_UPDATED:
            value = at_microseconds(value)
        left, right = tuple_(*columns), tuple_(*([after.id] if part.value is None else [value, after.id]))
        query = query.where(left < right if order.descending else left > right)
    return query.order_by(*(column.desc() if order.descending else column.asc() for column in columns))


def _page(hits: Sequence[_Hit], search: Search, total: int | None) -> Found:
    shown_here = hits[: search.count]
    more = len(hits) > len(shown_here) > 0
    cursor = Cursor(shown_here[-1].keys, shown_here[-1].id).written(search) if more else None
    counted = None if search.total is Total.NONE else total
    return Found(tuple(hit.id for hit in shown_here), counted, cursor)

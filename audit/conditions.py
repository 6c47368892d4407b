"""Criteria as SQL: which documents have what (`documents_with`), and whether a given one has it (`has`).

The first walks an index by value, the second looks a document's rows up by its id. A search uses the first for its most
selective criterion and the second for the rest.

Neither is left to the database's guess. SQLite has no statistics, takes a range for more selective than an equality,
and begins a join with either table; so joins are `InOrder`, and what only tests a row is written so that no index can
answer it (`Untouched`).
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import singledispatch
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Join,
    Select,
    Subquery,
    and_,
    false,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from audit.columns import as_key
from audit.criteria import (
    BY_IDENTIFIER,
    ID,
    LAST_UPDATED,
    AnyCriterion,
    AnyOf,
    Criterion,
    Interval,
    Linked,
    LinkedFrom,
    Missing,
    Within,
)
from audit.schema import document_index, document_ranges, documents
from audit.times import at_microseconds

Condition = ColumnElement[bool]
Starts = Callable[[FromClause, str], Condition]
Ways = Callable[[FromClause, Interval, float], list[Condition]]
# Sorts after every character that can be stored.
_LAST = "\U0010ffff"


class InOrder(Join):
    """Walk through the left side, look up the right one, a table. PostgreSQL keeps to the order of a JOIN with
    `join_collapse_limit = 1` (its manual, section 14.3), SQLite to that of a CROSS JOIN (lang_select.html, 2.1)."""

    inherit_cache = True


@compiles(InOrder)
def _as_join(join: InOrder, compiler: SQLCompiler, **options: Any) -> str:
    return str(compiler.visit_join(join, **options))  # type: ignore[no-untyped-call]


@compiles(InOrder, "sqlite")
def _as_cross_join(join: InOrder, compiler: SQLCompiler, **options: Any) -> str:
    left, join_, right = _as_join(join, compiler, **options).rpartition(" JOIN ")
    return f"{left} CROSS{join_}{right}"


class Untouched(FunctionElement[Any]):
    """A column that no index of SQLite is to be used on (optoverview.html, section 2: the unary +)."""

    inherit_cache = True

    def __init__(self, column: ColumnElement[Any]) -> None:
        super().__init__(column)
        self.type = column.type


@compiles(Untouched)
def _as_it_is(element: Untouched, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


@compiles(Untouched, "sqlite")
def _after_a_plus(element: Untouched, compiler: SQLCompiler, **options: Any) -> str:
    return f"+{compiler.process(element.clauses, **options)}"


def is_document(table: FromClause, type: str, id: ColumnElement[str]) -> Condition:
    """Whether a row of `documents` is of the document with this id. For SQLite that is not to be the same as the id of
    an index row: a bound on the one would be one on the other, and range before equality."""
    return and_(table.c.type == type, table.c.id == Untouched(id))


def some(*conditions: Condition) -> Condition:
    """Whether there is such a row. EXISTS says the same, but PostgreSQL may make a join of it, or a table of all such
    rows of any document."""
    return select(literal_column("1")).where(*conditions).limit(1).scalar_subquery().is_not(None)


def shown(type: str, include_silent: bool) -> list[Condition]:
    """What holds for each document that a search may show."""
    conditions = [documents.c.type == type, documents.c.is_current, documents.c.deleted.is_(False)]
    return conditions if include_silent else [*conditions, documents.c.silent.is_(False)]


@singledispatch
def documents_with(criterion: AnyCriterion, type: str) -> Select[Any] | None:
    """The ids of the documents of a type that meet a criterion, perhaps repeated; None where no index leads there."""
    return None


@documents_with.register
def _(criterion: Criterion, type: str) -> Select[Any] | None:
    if criterion.negated:
        return None
    if criterion.name == ID:
        ids = [as_key(value) for system, value in criterion.alternatives if not system]
        return select(documents.c.id).where(documents.c.type == type, documents.c.is_current, documents.c.id.in_(ids))
    rows = document_index.alias()
    return select(rows.c.id).where(
        rows.c.type == type, rows.c.name == criterion.name, _one_of(rows, criterion, _starts)
    )


@documents_with.register
def _(criterion: Within, type: str) -> Select[Any] | None:
    # One by one: each has an index of its own.
    if criterion.name == LAST_UPDATED:
        current = [documents.c.type == type, documents.c.is_current]
        times = [_at_in_interval(documents.c.last_updated, interval) for interval in criterion.alternatives]
        return _together([select(documents.c.id).where(*current, time) for time in times])
    return _of_ranges(criterion, type, _found_in)


def documents_near(criterion: AnyCriterion, type: str) -> Select[Any] | None:
    """The same as `documents_with`, and perhaps some more, to be counted: what an index tells without a look at the
    rows themselves."""
    if isinstance(criterion, Within) and criterion.name != LAST_UPDATED:
        return _of_ranges(criterion, type, _found_near)
    return documents_with(criterion, type)


def _of_ranges(criterion: Within, type: str, ways: Ways) -> Select[Any] | None:
    rows = document_ranges.alias()
    of_name = [rows.c.type == type, rows.c.name == criterion.name]
    found = [way for each in criterion.alternatives for way in ways(rows, each, criterion.span)]
    return _together([select(rows.c.id).where(*of_name, way) for way in found])


@documents_with.register
def _(criterion: Linked, type: str) -> Select[Any] | None:
    targets = _meeting_all(criterion.type, criterion.criteria)
    rows = document_index.alias()
    reference = literal(f"{criterion.type}/") + targets.c.id
    linked = and_(rows.c.type == type, rows.c.name == criterion.name, rows.c.value == reference)
    return select(rows.c.id).select_from(InOrder(targets, rows, linked))


@documents_with.register
def _(criterion: LinkedFrom, type: str) -> Select[Any] | None:
    sources = _meeting_all(criterion.type, criterion.criteria)
    rows = document_index.alias()
    same = and_(rows.c.type == criterion.type, rows.c.id == sources.c.id, rows.c.name == criterion.name)
    referred: Select[Any] = select(func.substr(rows.c.value, len(type) + 2).label("id"))
    return referred.select_from(InOrder(sources, rows, same)).where(_begins(rows, f"{type}/"))


@documents_with.register
def _(criterion: AnyOf, type: str) -> Select[Any] | None:
    found = [documents_with(each, type) for each in criterion.criteria]
    return None if None in found else _together([each for each in found if each is not None])


def documents_that_meet(criterion: AnyCriterion, type: str) -> Select[Any]:
    """The same for any criterion, by a walk through all documents where nothing leads there."""
    found = documents_with(criterion, type)
    if found is not None:
        return found
    every = documents.alias()
    query = select(every.c.id).where(every.c.type == type, every.c.is_current, every.c.deleted.is_(False))
    return query.where(has(criterion, type, every.c.id))


@singledispatch
def has(criterion: AnyCriterion, type: str, id: ColumnElement[str]) -> Condition:
    """Whether the document with this id meets a criterion."""
    raise TypeError(criterion)


@has.register
def _(criterion: Criterion, type: str, id: ColumnElement[str]) -> Condition:
    if criterion.name == ID:
        found: Condition = id.in_([as_key(value) for system, value in criterion.alternatives if not system])
    else:
        rows = document_index.alias()
        found = _row(rows, type, id, criterion.name, _one_of(rows, criterion, _begins))
    return not_(found) if criterion.negated else found


@has.register
def _(criterion: Within, type: str, id: ColumnElement[str]) -> Condition:
    if criterion.name == LAST_UPDATED:
        one = documents.alias()
        return some(is_document(one, type, id), one.c.is_current, updated(one, criterion))
    rows = document_ranges.alias()
    low, high = Untouched(rows.c.low), Untouched(rows.c.high)
    within = or_(false(), *(_in_interval(rows, low, high, interval) for interval in criterion.alternatives))
    return _row(rows, type, id, criterion.name, within)


@has.register
def _(criterion: Missing, type: str, id: ColumnElement[str]) -> Condition:
    rows = (document_ranges if criterion.ranges else document_index).alias()
    names = [criterion.name] if criterion.ranges else [criterion.name, f"{criterion.name}{BY_IDENTIFIER}"]
    found: Condition = some(rows.c.type == type, rows.c.id == id, rows.c.name.in_(names))
    return not_(found) if criterion.missing else found


@has.register
def _(criterion: Linked, type: str, id: ColumnElement[str]) -> Condition:
    prefix = f"{criterion.type}/"
    rows = document_index.alias()
    target = func.substr(rows.c.value, len(prefix) + 1)
    inner = [has(each, criterion.type, target) for each in criterion.criteria]
    is_one = and_(_begins(rows, prefix), _is_shown(criterion.type, target), *inner)
    return _row(rows, type, id, criterion.name, is_one)


@has.register
def _(criterion: LinkedFrom, type: str, id: ColumnElement[str]) -> Condition:
    rows = document_index.alias()
    refers = [rows.c.type == criterion.type, rows.c.name == criterion.name, rows.c.value == literal(f"{type}/") + id]
    inner = [has(each, criterion.type, rows.c.id) for each in criterion.criteria]
    return some(*refers, _is_shown(criterion.type, rows.c.id), *inner)


@has.register
def _(criterion: AnyOf, type: str, id: ColumnElement[str]) -> Condition:
    return or_(false(), *(has(each, type, id) for each in criterion.criteria))


def updated(table: FromClause, criterion: Within) -> Condition:
    """Whether the time of the last update is in one of the intervals; it is a range of no length."""
    at = Untouched(table.c.last_updated)
    return or_(false(), *(_at_in_interval(at, interval) for interval in criterion.alternatives))


def _at_in_interval(at: ColumnElement[datetime], interval: Interval) -> Condition:
    bounds = {at.__ge__: interval.from_, at.__lt__: interval.before, at.__gt__: interval.after, at.__le__: interval.to}
    return and_(true(), *(compare(at_microseconds(value)) for compare, value in bounds.items() if value is not None))


def _meeting_all(type: str, criteria: tuple[AnyCriterion, ...]) -> Subquery:
    """The documents of a type that meet all criteria, each once."""
    first, *others = criteria
    ids = documents_that_meet(first, type).subquery()
    source = InOrder(ids, documents, is_document(documents, type, ids.c.id))
    found = select(documents.c.id).distinct().select_from(source)
    return found.where(*shown(type, False), *(has(each, type, documents.c.id) for each in others)).subquery()


def _is_shown(type: str, id: ColumnElement[str]) -> Condition:
    """Whether what a reference leads to may be told of."""
    target = documents.alias()
    there = [is_document(target, type, id), target.c.is_current]
    return some(*there, target.c.deleted.is_(False), target.c.silent.is_(False))


def _row(rows: FromClause, type: str, id: ColumnElement[str], name: str, condition: Condition) -> Condition:
    return some(rows.c.type == type, rows.c.id == id, rows.c.name == name, condition)


def _together(found: list[Select[Any]]) -> Select[Any] | None:
    if len(found) < 2:
        return found[0] if found else None
    either = union_all(*found).subquery()
    return select(either.c.id)


def _one_of(rows: FromClause, criterion: Criterion, starts: Starts) -> Condition:
    if criterion.starts:
        return or_(false(), *(starts(rows, as_key(value)) for _, value in criterion.alternatives))
    return or_(false(), *(_equals(rows, system, value) for system, value in criterion.alternatives))


def _equals(rows: FromClause, system: str | None, value: str) -> Condition:
    same = rows.c.value == as_key(value) if value else true()
    return same if system is None else and_(same, rows.c.system == as_key(system))


def _starts(rows: FromClause, beginning: str) -> Condition:
    """To be found by an index."""
    return and_(rows.c.value >= beginning, rows.c.value < beginning + _LAST)


def _begins(rows: FromClause, beginning: str) -> Condition:
    """The same of a row that is found already."""
    return func.substr(rows.c.value, 1, len(beginning)) == beginning


def _found_in(rows: FromClause, interval: Interval, span: float) -> list[Condition]:
    """To be found by an index, in one way or two. What ends in time has begun in time; what ends later than that has
    begun no longer before than its span, unless it is wide."""
    exact = _in_interval(rows, rows.c.low, rows.c.high, interval)
    ends = rows.c.low <= interval.to if interval.to is not None else true()
    if interval.after is None or interval.from_ is not None:
        return [and_(exact, ends)]
    begins = rows.c.low >= interval.after - span
    narrow = and_(
        _in_interval(rows, rows.c.low, Untouched(rows.c.high), interval), ends, begins, Untouched(rows.c.wide) == 0
    )
    wide = and_(_in_interval(rows, Untouched(rows.c.low), rows.c.high, interval), rows.c.wide == literal_column("1"))
    return [narrow, wide]


def _found_near(rows: FromClause, interval: Interval, span: float) -> list[Condition]:
    """The bounds of those ways on what is in the indexes: nothing of ends but those of the wide, nor of units."""
    begins = Interval(from_=interval.from_, before=interval.before)
    ends = rows.c.low <= interval.to if interval.to is not None else true()
    if interval.after is None or interval.from_ is not None:
        return [and_(_in_interval(rows, rows.c.low, rows.c.high, begins), ends)]
    narrow = replace(begins, from_=interval.after - span)
    wide = and_(rows.c.high > interval.after, rows.c.wide == literal_column("1"))
    return [and_(_in_interval(rows, rows.c.low, rows.c.high, narrow), ends), wide]


def _in_interval(rows: FromClause, low: ColumnElement[Any], high: ColumnElement[Any], interval: Interval) -> Condition:
    bounds = {
        low.__ge__: interval.from_,
        low.__lt__: interval.before,
        high.__gt__: interval.after,
        high.__le__: interval.to,
        rows.c.code.__eq__: None if interval.code is None else as_key(interval.code),
        rows.c.system.__eq__: None if interval.system is None else as_key(interval.system),
    }
    return and_(true(), *(compare(value) for compare, value in bounds.items() if value is not None))

"""Every kind of criterion and every order against the plainest way of answering: look at each document in turn."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit import search as searching
from audit.criteria import (
    ID,
    LAST_UPDATED,
    AnyCriterion,
    AnyOf,
    Criterion,
    IndexRow,
    Interval,
    Linked,
    LinkedFrom,
    Missing,
    Order,
    RangeRow,
    Row,
    Search,
    Total,
    Within,
)
from audit.packed import Plain
from audit.records import Document
from audit.store import Store
from audit.times import microseconds
from tests.audit.values import at

TYPES = ("Patient", "Observation")
IDS = "abcdefgh"
SPAN = 2.0


@dataclass(frozen=True)
class Stored:
    """A document as the plain way sees it."""

    type: str
    id: str
    updated: float
    silent: bool
    rows: tuple[Row, ...]


def texts(draw: Any) -> list[Row]:
    values = st.sampled_from(["x", "xy", "y"])
    systems = st.sampled_from([None, "urn:s", "urn:t"])
    found = [
        IndexRow(name=draw(st.sampled_from(["code", "family"])), value=draw(values), system=draw(systems))
        for _ in range(draw(st.integers(0, 3)))
    ]
    references = draw(st.lists(st.sampled_from([f"Patient/{one}" for one in IDS]), max_size=2))
    return [*found, *(IndexRow(name="subject", value=value) for value in references)]


def ranges(draw: Any) -> list[Row]:
    found: list[Row] = []
    for _ in range(draw(st.integers(0, 2))):
        low = draw(st.integers(0, 6))
        code = draw(st.sampled_from([None, "mV"]))
        length = draw(st.integers(1, 3))
        found.append(RangeRow(name="date", low=low, high=low + length, wide=length > SPAN, code=code, system=None))
    return found


@st.composite
def stocks(draw: Any) -> list[Stored]:
    return [
        Stored(kind, one, microseconds(at(draw(st.integers(0, 3)))), draw(st.integers(0, 5)) == 0, rows)
        for kind in TYPES
        for one in draw(st.lists(st.sampled_from(IDS), unique=True, min_size=3))
        for rows in [tuple(texts(draw) + ranges(draw))]
    ]


@st.composite
def intervals(draw: Any) -> Interval:
    bound = st.none() | st.integers(0, 9).map(float)
    return Interval(
        from_=draw(bound), before=draw(bound), after=draw(bound), to=draw(bound), code=draw(st.none() | st.just("mV"))
    )


def simple() -> st.SearchStrategy[AnyCriterion]:
    pairs = st.tuples(st.sampled_from([None, "", "urn:s"]), st.sampled_from(["x", "y", "Patient/a", "Patient/b"]))
    texts_ = st.builds(
        Criterion,
        name=st.sampled_from(["code", "family", "subject"]),
        alternatives=st.lists(pairs, min_size=1, max_size=2).map(tuple),
        negated=st.booleans(),
        starts=st.booleans(),
    )
    by_id = st.builds(
        Criterion,
        name=st.just(ID),
        alternatives=st.lists(st.sampled_from(IDS).map(lambda one: (None, one)), max_size=3).map(tuple),
    )
    within = st.builds(
        Within, name=st.just("date"), alternatives=st.lists(intervals(), max_size=2).map(tuple), span=st.just(SPAN)
    )
    missing = st.builds(Missing, name=st.just("code"), missing=st.booleans()) | st.builds(
        Missing, name=st.just("date"), missing=st.booleans(), ranges=st.just(True)
    )
    either: st.SearchStrategy[AnyCriterion] = texts_ | by_id | within | missing
    return either


def criteria() -> st.SearchStrategy[AnyCriterion]:
    inner = st.lists(simple(), min_size=1, max_size=2).map(tuple)
    either: st.SearchStrategy[AnyCriterion] = st.one_of(
        simple(),
        st.builds(Linked, name=st.just("subject"), type=st.just("Patient"), criteria=inner),
        st.builds(LinkedFrom, name=st.just("subject"), type=st.just("Observation"), criteria=inner),
        st.builds(AnyOf, criteria=inner),
    )
    return either


def updated() -> st.SearchStrategy[Within]:
    bound = st.none() | st.integers(0, 3).map(lambda seconds: microseconds(at(seconds)))
    interval = st.builds(Interval, from_=bound, before=bound, after=bound, to=bound)
    return st.builds(Within, name=st.just(LAST_UPDATED), alternatives=st.lists(interval, max_size=2).map(tuple))


def orders() -> st.SearchStrategy[tuple[Order, ...]]:
    one = st.builds(Order, name=st.sampled_from([ID, LAST_UPDATED, "code"]), descending=st.booleans()) | st.builds(
        Order, name=st.just("date"), descending=st.booleans(), ranges=st.just(True)
    )
    return st.lists(one, min_size=1, max_size=2, unique_by=lambda order: order.name).map(tuple)


def holds(bounds: Interval, low: float, high: float) -> bool:
    return (
        (bounds.from_ is None or low >= bounds.from_)
        and (bounds.before is None or low < bounds.before)
        and (bounds.after is None or high > bounds.after)
        and (bounds.to is None or high <= bounds.to)
    )


def same_text(criterion: Criterion, row: IndexRow) -> bool:
    return any(
        system in (None, row.system or "")
        if criterion.starts and row.value.startswith(value)
        else row.value == value and system in (None, row.system or "")
        for system, value in ((None if criterion.starts else system, value) for system, value in criterion.alternatives)
    )


def meets(stock: Sequence[Stored], one: Stored, criterion: AnyCriterion) -> bool:
    rows = [row for row in one.rows if row.name == getattr(criterion, "name", None)]
    match criterion:
        case Criterion(name="_id"):
            return any(one.id == value for system, value in criterion.alternatives if not system)
        case Criterion():
            found = any(same_text(criterion, row) for row in rows if isinstance(row, IndexRow))
            return found is not criterion.negated
        case Within(name="_lastUpdated"):
            return any(holds(each, one.updated, one.updated) for each in criterion.alternatives)
        case Within():
            return any(
                holds(each, row.low, row.high) and each.code in (None, row.code or "")
                for each in criterion.alternatives
                for row in rows
                if isinstance(row, RangeRow)
            )
        case Missing():
            return bool(rows) is not criterion.missing
        case Linked():
            wanted = {row.value for row in rows if isinstance(row, IndexRow)}
            targets = [
                other for other in stock if f"{other.type}/{other.id}" in wanted and other.type == criterion.type
            ]
            return any(shown(stock, other, criterion.criteria) for other in targets)
        case LinkedFrom():
            me = f"{one.type}/{one.id}"
            sources = [
                other
                for other in stock
                if other.type == criterion.type
                and any(
                    isinstance(row, IndexRow) and (row.name, row.value) == (criterion.name, me) for row in other.rows
                )
            ]
            return any(shown(stock, other, criterion.criteria) for other in sources)
        case AnyOf():
            return any(meets(stock, one, each) for each in criterion.criteria)


def shown(stock: Sequence[Stored], one: Stored, criteria: Sequence[AnyCriterion]) -> bool:
    return not one.silent and all(meets(stock, one, each) for each in criteria)


def key(one: Stored, order: Order) -> Any:
    if order.name == ID:
        return one.id
    if order.name == LAST_UPDATED:
        return one.updated
    pick = max if order.descending else min
    values: list[Any] = [
        row.value if isinstance(row, IndexRow) else row.low for row in one.rows if row.name == order.name
    ]
    return pick(values, default=None)


def expected(stock: Sequence[Stored], asked: Search) -> list[str]:
    found = [one for one in stock if one.type == asked.type and shown(stock, one, asked.criteria)]
    found.sort(key=lambda one: one.id, reverse=asked.order[-1].descending)
    for order in reversed(asked.order):
        having = [one for one in found if key(one, order) is not None]
        having.sort(key=lambda one, order=order: key(one, order), reverse=order.descending)  # type: ignore[misc]
        found = having + [one for one in found if key(one, order) is None]
    return [one.id for one in found]


def pages(store: Store, asked: Search) -> Iterator[list[str]]:
    after, more = None, True
    while more:
        with store.reader() as reader:
            page = reader.documents.search(
                Search(
                    type=asked.type, criteria=asked.criteria, order=asked.order, count=asked.count, after=after,
                    total=asked.total,
                )
            )  # fmt: skip
        yield [found.id for found in page.documents]
        after, more = page.next, page.next is not None


@pytest.fixture(params=[0, 2, 1000], ids=lambda few: f"few={few}")
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """From how many matches on documents are walked through instead of sorted."""
    monkeypatch.setattr(searching, "FEW", request.param)
    return int(request.param)


def put(store: Store, stock: Sequence[Stored]) -> None:
    with store.unit_of_work() as uow:
        for one in stock:
            document = Document(
                type=one.type, id=one.id, version=1, body=Plain(b"{}"),
                last_updated=at((one.updated - microseconds(at(0))) / 1e6),
            )  # fmt: skip
            uow.documents.create(document, one.rows, silent=one.silent)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stock=stocks(), data=st.data())
def test_a_search_finds_what_looking_at_each_document_finds(
    migrated_url: str, store: Store, few: int, stock: list[Stored], data: st.DataObject
) -> None:
    empty(store)
    put(store, stock)
    for _ in range(12):
        asked = Search(
            type=data.draw(st.sampled_from(TYPES)),
            criteria=tuple(data.draw(st.lists(criteria(), max_size=2)) + data.draw(st.lists(updated(), max_size=1))),
            order=data.draw(orders()),
            count=data.draw(st.sampled_from([2, 50])),
            total=Total.ACCURATE,
        )
        wanted = expected(stock, asked)
        found = list(pages(store, asked))
        assert [one for page in found for one in page] == wanted
        assert all(len(page) == asked.count for page, _ in pairwise(found))
        with store.reader() as reader:
            assert reader.documents.search(asked).total == len(wanted)


def empty(store: Store) -> None:
    with store._engines.writer.begin() as connection:
        for table in ("documents", "document_index", "document_ranges"):
            connection.exec_driver_sql(f"DELETE FROM {table}")

"""What the databases do for each kind of search: the statements that are really run, as `EXPLAIN` shows them.

A search is indexed when it enters every table by an index: with bounds on its leading columns, more of them than the
type of the resource and the name of the parameter, or in the order of the index, up to the end of the page. What is
looked up for each row that it comes by is looked up by its id, or by the value that refers to it.
"""

import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Index, PrimaryKeyConstraint, event

from audit import search as searching
from audit.schema import document_index, document_ranges, documents
from audit.store import Store, open_store
from audit.unit_of_work import SqlReader
from audit.upgrade import upgrade
from tests.audit.conftest import create_database
from tests.bench.search import SEARCHES, WALKS, Stock, ask, load, parsed, path_of

STOCK = Stock(70)
EVERY_SEARCH = {**SEARCHES, **WALKS}
RUN = 1
MANY = 10
FINDABLE = {"documents", "document_index", "document_ranges"}
# With so few in all, the documents of the type are fetched and sorted: no criterion leaves less of them.
ALL = {"all", "all, newest date first", "10 reports, with results"}

# The lists that a search may go along: all documents of a type, in the order of one parameter or not.
WALKED = {"documents": ({"type"},), "document_ranges": ({"type", "name"},)}
INDEX_COLUMNS = {
    str(index.name): [column.name for column in index.columns]
    for table in (documents, document_index, document_ranges)
    for index in (table.primary_key, *table.indexes)
    if isinstance(index, Index | PrimaryKeyConstraint)
}

# An index of a few pages PostgreSQL reads whole, rather than enter another one five times.
_AS_IF_MANY = "SET LOCAL cpu_index_tuple_cost = 1"
# What enters a table in SQLite's plans: `SEARCH t USING COVERING INDEX i (a=? AND b>?)`, `SCAN t`.
_SQLITE_ENTRY = re.compile(
    r"(?:SEARCH|SCAN) (?P<table>[a-z_]+?)(?:_\d+)?(?: USING (?P<index>.*?)(?: \((?P<bounds>.*)\))?)?$"
)
_SQLITE_BOUND = re.compile(r"(\w+)\)?([=<>])")
_LITERAL = re.compile(r"'[^']*'")
_POSTGRESQL_BOUND = re.compile(r"\(?(?:ROW\()?\(?(\w+)(?:, \w+\))?\)? (=|<|>|<=|>=) ")


@dataclass(frozen=True)
class Entry:
    """How a plan comes into a table. bounds: (column, operator). inner: again for each row of something else."""

    table: str
    index: str | None
    bounds: frozenset[tuple[str, str]]
    inner: bool

    def is_indexed(self, *, is_walk: bool) -> bool:
        """is_walk: it may go along an index, because it stops at the end of the page and nothing is sorted."""
        if self.index is None or "AUTOMATIC" in self.index:
            return False
        if self.inner:
            return bool(self.bounds & {("id", "="), ("value", "=")})
        columns = {column for column, _ in self.bounds}
        return (is_walk and columns in WALKED.get(self.table, ())) or bool(columns - {"type", "name"})


@dataclass(frozen=True)
class Plan:
    """Of one statement."""

    statement: str
    entries: tuple[Entry, ...]
    sorts: bool
    text: str

    @property
    def is_indexed(self) -> bool:
        is_walk = "LIMIT" in self.statement and not self.sorts
        return bool(self.entries) and all(entry.is_indexed(is_walk=is_walk) for entry in self.entries)


def plan_of(connection: Connection, statement: str, values: Any) -> Plan:
    if connection.dialect.name == "sqlite":
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
        return sqlite_plan(statement, [(row[0], row[1], row[3]) for row in rows])
    (shown,) = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", values).scalar_one()
    nodes = list(postgresql_nodes(shown["Plan"], inner=False))
    sorts = any("Sort" in node["Node Type"] for node, _ in nodes)
    entries = tuple(postgresql_entry(node, inner=inner) for node, inner in nodes if "Relation Name" in node)
    return Plan(statement, entries, sorts, str(shown))


def sqlite_plan(statement: str, rows: Sequence[tuple[int, int, str]]) -> Plan:
    """rows: (id, id of the row that it is below, text); loops that are nested stand one after the other."""
    texts = {row: text for row, _, text in rows}
    entries: list[Entry] = []
    entered: set[int] = set()
    for _, above, text in rows:
        found = _SQLITE_ENTRY.match(text)
        if found is None:
            continue
        inner = above in entered or "CORRELATED" in texts.get(above, "")
        entered.add(above)
        if found["table"] in FINDABLE:
            bounds = frozenset(_SQLITE_BOUND.findall(found["bounds"] or ""))
            entries.append(Entry(found["table"], found["index"], bounds, inner))
    shown = "\n".join(text for *_, text in rows)
    return Plan(statement, tuple(entries), "ORDER BY" in shown, shown)


def postgresql_nodes(node: dict[str, Any], *, inner: bool) -> Iterator[tuple[dict[str, Any], bool]]:
    inner = inner or node.get("Parent Relationship") in ("Inner", "SubPlan")
    yield node, inner
    for child in node.get("Plans", ()):
        yield from postgresql_nodes(child, inner=inner)


def postgresql_entry(node: dict[str, Any], *, inner: bool) -> Entry:
    """The condition also names columns that follow an unbounded one: those only filter what the index is read for."""
    condition = _LITERAL.sub("?", node.get("Index Cond", ""))
    bounds = dict(_POSTGRESQL_BOUND.findall(condition))
    leading = takewhile(bounds.__contains__, INDEX_COLUMNS.get(node.get("Index Name", ""), ()))
    return Entry(
        node["Relation Name"], node.get("Index Name"), frozenset((name, bounds[name]) for name in leading), inner
    )


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def stocked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store of each kind with three thousand documents."""
    if request.param == "sqlite":
        file = tmp_path_factory.mktemp("plans") / "ecg.sqlite"
        template: Path = request.getfixturevalue("sqlite_template")
        shutil.copy(template, file)
        url = f"sqlite:///{file}"
    else:
        url = create_database(request.getfixturevalue("postgresql"))
        upgrade(url)
    load(url, STOCK)
    store = open_store(url, chain_id="plans")
    yield store
    store.close()


@pytest.fixture(params=[MANY, 10_000], ids=["many", "few"])
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Ten are few, so that most searches walk; or all are."""
    monkeypatch.setattr(searching, "FEW", request.param)
    return int(request.param)


def plans_of(store: Store, path: str) -> list[Plan]:
    """Of every statement that is run for a path below the base."""
    ran: list[tuple[str, Any]] = []

    def note(_c: object, _k: object, statement: str, values: Any, _x: object, _m: bool) -> None:
        ran.append((statement, values))

    with store._engines.reader.connect() as connection, connection.begin():
        event.listen(connection, "before_cursor_execute", note)
        ask(SqlReader(connection), path)
        event.remove(connection, "before_cursor_execute", note)
        # In the same transaction: the settings that PostgreSQL was given hold to its end.
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(_AS_IF_MANY)
        return [plan_of(connection, *one) for one in ran if one[0].startswith("SELECT")]


@pytest.mark.parametrize("name", EVERY_SEARCH)
def test_every_statement_of_a_search_is_answered_by_indexes(stocked: Store, few: int, name: str) -> None:
    if few > MANY and name in ALL:
        return  # where all are few, all are read
    plans = plans_of(stocked, with_few_entries(path_of(STOCK, EVERY_SEARCH[name], RUN)))
    assert plans
    assert [f"{plan.statement}\n{plan.text}" for plan in plans if not plan.is_indexed] == []


def with_few_entries(path: str) -> str:
    """A page that is not half of all there is, which PostgreSQL would rather read whole."""
    kind, _, asked = path.removesuffix("&_count=10").partition("?")
    return path if "/" in kind else f"{kind}?{asked}&_count=5"


UNINDEXED = {
    "another column": "SELECT id FROM documents WHERE silent LIMIT 5",
    "all of a type": "SELECT id FROM documents WHERE type = 'Observation'",
    "all of a type, sorted": "SELECT id FROM documents WHERE type = 'Observation' ORDER BY version LIMIT 5",
    "all of a name": "SELECT id FROM document_ranges WHERE type = 'Observation' AND name = 'date'",
    "a value without its name": "SELECT name FROM document_index WHERE type = 'Observation' AND value = 'final'",
    "a bound for each row": "SELECT type FROM document_index a WHERE type = 'Patient' AND id = '1' AND NOT EXISTS "
    "(SELECT * FROM documents b WHERE b.type = a.type AND b.id < a.id)",
}


@pytest.mark.parametrize("statement", UNINDEXED.values(), ids=UNINDEXED)
def test_a_statement_that_no_index_answers_is_recognised(stocked: Store, statement: str) -> None:
    with stocked._engines.reader.connect() as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(searching._AS_WRITTEN)
        plan = plan_of(connection, statement, ())
    assert not plan.is_indexed, plan.text


def test_two_bounds_on_the_time_of_storing_hold_together(stocked: Store, few: int) -> None:
    path = path_of(STOCK, SEARCHES["stored on one day"], RUN)
    day = STOCK.asked(RUN)["day"]
    stored = [one.document for one in STOCK.documents() if f"{one.document.last_updated:%Y-%m-%d}" == day]
    wanted = sorted((each.id for each in stored if each.type == "Observation"), reverse=True)
    with stocked.reader() as reader:
        found = reader.documents.search(replace(parsed(path), count=len(wanted)))
    assert [each.id for each in found.documents] == wanted
    assert found.next is None

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from threading import Barrier, Event

import pytest

from audit import search as searching
from audit.criteria import Criterion, IndexRow, Interval, Order, RangeRow, Row, Search, Within
from audit.cursor import seal
from audit.records import Document, Page
from audit.store import Store, open_store
from inference.errors import Duplicate, Gone, NotFound, SearchInvalid, VersionConflict
from tests.audit.values import at, document


def test_a_document_reads_back_byte_for_byte(store: Store) -> None:
    with store.unit_of_work() as uow:
        uow.documents.create(document("r-1"), [])
    with store.reader() as reader:
        assert reader.documents.read("DiagnosticReport", "r-1") == document("r-1")
        assert reader.documents.read("DiagnosticReport", "r-1", 1) == document("r-1")


def test_an_absent_document_or_version_is_not_found_and_a_deleted_one_is_gone(store: Store) -> None:
    with store.unit_of_work() as uow:
        uow.documents.create(document("r-1"), [])
        uow.documents.create(document("r-2", deleted=True), [])
        for kind, name, version in (
            ("DiagnosticReport", "r-9", None),
            ("DiagnosticReport", "r-1", 2),
            ("Observation", "r-1", None),
            ("DiagnosticReport", "r-1\0", None),
        ):
            with pytest.raises(NotFound):
                uow.documents.read(kind, name, version)
        with pytest.raises(Gone):
            uow.documents.read("DiagnosticReport", "r-2")


def test_an_id_is_created_once_and_the_transaction_goes_on(store: Store) -> None:
    with store.unit_of_work() as uow:
        uow.documents.create(document("r-1"), [])
        with pytest.raises(Duplicate):
            uow.documents.create(document("r-1", content=b"other"), [])
        assert uow.documents.read("DiagnosticReport", "r-1") == document("r-1")


def test_several_documents_are_created_at_once_or_the_unit_of_work_is_given_up(store: Store) -> None:
    index = [IndexRow(name="subject", value="Patient/1")]
    with store.unit_of_work() as uow:
        uow.documents.create_all([(document("r-1"), index), (document("r-2"), []), (document("r-3"), index)])
        uow.documents.create_all([])
    with pytest.raises(Duplicate), store.unit_of_work() as uow:
        uow.documents.create_all([(document("r-4"), index), (document("r-2"), index)])
    about = Criterion(name="subject", alternatives=((None, "Patient/1"),))
    with store.reader() as reader:
        found = reader.documents.search(Search(type="DiagnosticReport", criteria=(about,)))
        assert [each.id for each in found.documents] == ["r-3", "r-1"]
        assert reader.documents.search(Search(type="DiagnosticReport")).total == 3


def test_a_claimed_key_names_its_holder(store: Store) -> None:
    with store.unit_of_work() as uow:
        assert uow.documents.claim("identifier", "sys|1", "Observation/o-1", "d1") is None
        assert uow.documents.claim("identifier", "sys|1", "Observation/o-2", "d2") == ("Observation/o-1", "d1")
        assert uow.documents.claim("other", "sys|1", "Observation/o-2", "d2") is None
    with store.reader() as reader:
        assert reader.documents.owner("identifier", "sys|1") == "Observation/o-1"
        assert reader.documents.owner("identifier", "sys|2") is None
        assert reader.documents.held("identifier", "sys|2") is None


def test_of_eight_threads_that_claim_one_key_exactly_one_gets_it(migrated_url: str) -> None:
    stores = [open_store(migrated_url, chain_id=f"chain-{n}") for n in range(8)]
    start = Barrier(8)

    def claim(n: int) -> list[tuple[str, str] | None]:
        held = []
        for key in range(5):
            start.wait(timeout=30)
            with stores[n].unit_of_work() as uow:
                held.append(uow.documents.claim("identifier", str(key), f"Observation/{n}", "d"))
        return held

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(claim, range(8)))
    for store in stores:
        store.close()
    for of_key in zip(*answers, strict=True):
        assert of_key.count(None) == 1
        winner = (f"Observation/{of_key.index(None)}", "d")
        assert {answer for answer in of_key if answer} == {winner}


def version(id: str, number: int, *, seconds: float = 0, deleted: bool = False) -> Document:
    return replace(document(id, seconds=seconds, deleted=deleted, content=b'{"v":%d}' % number), version=number)


def subject(value: str) -> list[Row]:
    return [IndexRow(name="subject", value=value), RangeRow(name="date", low=len(value), high=len(value) + 1)]


def about(value: str) -> Search:
    return Search(type="DiagnosticReport", criteria=(Criterion(name="subject", alternatives=((None, value),)),))


def found(store: Store, search: Search) -> list[tuple[str, int]]:
    with store.reader() as reader:
        return [(each.id, each.version) for each in reader.documents.search(search).documents]


def test_a_replaced_version_stays_readable_and_only_the_new_one_is_found(store: Store) -> None:
    with store.unit_of_work() as uow:
        uow.documents.create(version("r-1", 1), subject("Patient/1"))
        uow.documents.create(version("r-2", 1), subject("Patient/1"))
    with store.unit_of_work() as uow:
        uow.documents.replace(version("r-1", 2, seconds=1), subject("Patient/20"))
    with store.reader() as reader:
        assert reader.documents.read("DiagnosticReport", "r-1") == version("r-1", 2, seconds=1)
        assert reader.documents.read("DiagnosticReport", "r-1", 1) == version("r-1", 1)
        assert reader.documents.newest("DiagnosticReport", "r-1") == version("r-1", 2, seconds=1)
        assert reader.documents.newest("DiagnosticReport", "r-9") is None
    assert found(store, about("Patient/1")) == [("r-2", 1)]
    assert found(store, about("Patient/20")) == [("r-1", 2)]
    dated = Within(name="date", alternatives=(Interval(from_=9, before=10),))
    assert found(store, Search(type="DiagnosticReport", criteria=(dated,))) == [("r-2", 1)]


def test_a_deleted_document_is_found_by_nothing_and_can_come_back(store: Store) -> None:
    with store.unit_of_work() as uow:
        uow.documents.create(version("r-1", 1), subject("Patient/1"))
        uow.documents.replace(version("r-1", 2, deleted=True), subject("Patient/1"))
    assert found(store, about("Patient/1")) == found(store, Search(type="DiagnosticReport")) == []
    with store.reader() as reader:
        newest = reader.documents.newest("DiagnosticReport", "r-1")
        assert newest is not None
        assert newest.deleted
        with pytest.raises(Gone):
            reader.documents.read("DiagnosticReport", "r-1")
    with store.unit_of_work() as uow:
        uow.documents.replace(version("r-1", 3), subject("Patient/1"))
    assert found(store, about("Patient/1")) == [("r-1", 3)]


@pytest.mark.parametrize(("name", "number"), [("r-1", 1), ("r-1", 2), ("r-1", 4), ("r-9", 2)])
def test_only_the_version_that_follows_the_current_one_is_stored(store: Store, name: str, number: int) -> None:
    with store.unit_of_work() as uow:
        uow.documents.create(version("r-1", 1), subject("Patient/1"))
        uow.documents.replace(version("r-1", 2), subject("Patient/1"))
    with store.unit_of_work() as uow:
        with pytest.raises(VersionConflict):
            uow.documents.replace(version(name, number), subject("Patient/20"))
        assert uow.documents.read("DiagnosticReport", "r-1") == version("r-1", 2)
    assert found(store, about("Patient/1")) == [("r-1", 2)]
    assert found(store, about("Patient/20")) == []


@pytest.mark.parametrize("silent", [True, False])
def test_a_new_version_is_as_silent_as_the_one_before(store: Store, silent: bool) -> None:
    with store.unit_of_work() as uow:
        uow.documents.create(version("r-1", 1), subject("Patient/1"), silent=silent)
        uow.documents.replace(version("r-1", 2), subject("Patient/1"))
    assert found(store, about("Patient/1")) == ([] if silent else [("r-1", 2)])
    assert found(store, replace(about("Patient/1"), include_silent=True)) == [("r-1", 2)]


def test_of_two_threads_that_replace_one_version_exactly_one_wins(migrated_url: str) -> None:
    stores = [open_store(migrated_url, chain_id=f"chain-{n}") for n in range(2)]
    start = Barrier(2)
    with stores[0].unit_of_work() as uow:
        uow.documents.create(version("r-1", 1), [])

    def change(n: int) -> list[bool]:
        won = []
        for number in range(2, 7):
            start.wait(timeout=30)
            try:
                with stores[n].unit_of_work() as uow:
                    uow.documents.replace(version("r-1", number), subject(f"Patient/{n}"))
                won.append(True)
            except VersionConflict:
                won.append(False)
        return won

    with ThreadPoolExecutor(2) as threads:
        outcomes = list(threads.map(change, range(2)))
    assert all(sorted(pair) == [False, True] for pair in zip(*outcomes, strict=True))
    winner = outcomes[1][-1]
    assert found(stores[0], about(f"Patient/{int(winner)}")) == [("r-1", 6)]
    assert found(stores[0], about(f"Patient/{int(not winner)}")) == []
    for store in stores:
        store.close()


def history(
    store: Store, id: str | None = None, *, since: datetime | None = None, count: int = 50, after: str | None = None
) -> Page:
    with store.reader() as reader:
        return reader.documents.history("DiagnosticReport", id, since=since, count=count, after=after)


def names(page: Page) -> list[str]:
    return [f"{one.id}/{one.version}{'-' if one.deleted else ''}" for one in page.documents]


@pytest.fixture
def changed(store: Store) -> Store:
    """a: three versions, the last deleted; b: two at the same time as a's first; c: silent, two versions."""
    with store.unit_of_work() as uow:
        uow.documents.create(version("a", 1), [])
        uow.documents.create(version("b", 1), [])
        uow.documents.create(version("c", 1), [], silent=True)
        uow.documents.create(replace(version("a", 1), type="Observation"), [])
        uow.documents.replace(version("b", 2), [])
        uow.documents.replace(version("a", 2, seconds=1), [])
        uow.documents.replace(version("a", 3, seconds=2, deleted=True), [])
        uow.documents.replace(version("c", 2, seconds=3), [])
    return store


def test_a_history_has_every_version_newest_first_and_deletions_too(changed: Store) -> None:
    page = history(changed, "a")
    assert names(page) == ["a/3-", "a/2", "a/1"]
    assert page.documents[1] == version("a", 2, seconds=1)
    assert page.next is None
    assert names(history(changed, "nobody")) == []


def test_the_history_of_a_type_leaves_silent_ones_out_but_their_own_has_them(changed: Store) -> None:
    assert names(history(changed)) == ["a/3-", "a/2", "b/2", "b/1", "a/1"]
    assert names(history(changed, "c")) == ["c/2", "c/1"]


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, ["a/3-", "a/2", "b/2", "b/1", "a/1"]), (1, ["a/3-", "a/2"]), (1.5, ["a/3-"]), (3, [])]
)
def test_a_history_since_a_time_has_what_was_changed_at_it_or_later(
    changed: Store, seconds: float, expected: list[str]
) -> None:
    assert names(history(changed, since=at(seconds))) == expected


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("id", [None, "a"])
def test_the_pages_of_a_history_have_each_version_once(changed: Store, id: str | None, count: int) -> None:
    seen: list[str] = []
    after, more = None, True
    while more:
        page = history(changed, id, since=at(0), count=count, after=after)
        assert len(page.documents) <= count
        seen += names(page)
        after, more = page.next, page.next is not None
    assert seen == names(history(changed, id))


def test_a_history_of_no_versions_has_no_next_page(changed: Store) -> None:
    page = history(changed, count=0)
    assert (page.documents, page.next) == ((), None)


def test_the_cursor_of_another_history_is_refused(changed: Store) -> None:
    first = history(changed, "a", count=1)
    for one, since in (("b", None), (None, None), ("a", at(0))):
        with pytest.raises(SearchInvalid, match="another"):
            history(changed, one, since=since, after=first.next)


@pytest.mark.parametrize(
    "place",
    [
        [],
        [1.0, "a"],
        ["1", "a", 1.0],
        [1.0, 2.0, 1.0],
        [1.0, "a", None],
        [float("nan"), "a", 1.0],
        [1.0, "a", float("inf")],
        [1.0, "a", 1e300],
    ],
)
def test_a_forged_place_in_a_history_is_refused(changed: Store, place: list[str | float | None]) -> None:
    forged = seal(place, ("history", "DiagnosticReport", None, None))
    with pytest.raises(SearchInvalid, match="cannot be read"):
        history(changed, after=forged)


def test_a_time_beyond_all_times_ends_a_history(changed: Store) -> None:
    asked = ("history", "DiagnosticReport", None, None)
    assert names(history(changed, after=seal([-1e300, "a", 1.0], asked))) == []
    assert names(history(changed, after=seal([1e300, "a", 1.0], asked))) == names(history(changed))


def test_who_is_alone_keeps_another_transaction_waiting_on_postgresql(emptied_postgresql: str) -> None:
    stores = [open_store(emptied_postgresql, chain_id=f"chain-{n}") for n in range(2)]
    alone, entered = Event(), Event()

    def enter() -> None:
        assert alone.wait(timeout=30)
        with stores[1].unit_of_work() as uow:
            uow.documents.alone("another scope")
            uow.documents.alone("scope")
            assert uow.documents.newest("DiagnosticReport", "r-1") is not None  # what the first one did is seen
            entered.set()

    with ThreadPoolExecutor(1) as threads:
        with stores[0].unit_of_work() as uow:
            uow.documents.alone("scope")
            uow.documents.alone("scope")
            waiting = threads.submit(enter)
            alone.set()
            assert not entered.wait(timeout=0.5)
            uow.documents.create(document("r-1"), [])
        waiting.result(timeout=30)
    assert entered.is_set()
    for store in stores:
        store.close()


def test_to_be_alone_changes_nothing_for_one_transaction(store: Store) -> None:
    with store.unit_of_work() as uow:
        uow.documents.alone("scope")
        uow.documents.create(document("r-1"), [])
    assert found(store, Search(type="DiagnosticReport")) == [("r-1", 1)]


def test_an_owner_exchanges_its_keys(store: Store) -> None:
    with store.unit_of_work() as uow:
        for key in ("1", "2", "3"):
            assert uow.documents.claim("identifier", key, "Observation/a", "d1") is None
        assert uow.documents.claim("other", "1", "Observation/b", "d") is None
        uow.documents.reclaim("identifier", "Observation/a", "d2", ["4", "2"], before=["1", "2"])
    with store.unit_of_work() as uow:
        owners = {key: uow.documents.owner("identifier", key) for key in "1234"}
        assert owners == {"1": None, "2": "Observation/a", "3": "Observation/a", "4": "Observation/a"}
        assert uow.documents.claim("identifier", "2", "Observation/c", "d") == ("Observation/a", "d2")
        assert uow.documents.owner("other", "1") == "Observation/b"


def test_a_key_of_another_owner_is_not_given_up(store: Store) -> None:
    with store.unit_of_work() as uow:
        assert uow.documents.claim("identifier", "1", "Observation/a", "d1") is None
        assert uow.documents.claim("identifier", "2", "Observation/b", "d2") is None
    with pytest.raises(Duplicate), store.unit_of_work() as uow:
        uow.documents.reclaim("identifier", "Observation/a", "d3", ["2"], before=["1", "2"])
    with store.reader() as reader:
        assert reader.documents.owner("identifier", "1") == "Observation/a"
        assert reader.documents.owner("identifier", "2") == "Observation/b"


@pytest.mark.parametrize("few", [0, 1000])
@pytest.mark.parametrize(
    ("criterion", "order"),
    [
        (Criterion(name="code", alternatives=((None, "x"),)), Order(name="_id")),
        (Criterion(name="code", alternatives=((None, "x"),)), Order(name="date", ranges=True)),
        (Criterion(name="code", alternatives=(("urn:t", ""),)), Order(name="_id")),
        (Criterion(name="code", alternatives=((None, ""),)), Order(name="date", ranges=True, descending=True)),
    ],
)
def test_documents_with_several_rows_alike_are_all_found_once(
    store: Store, monkeypatch: pytest.MonkeyPatch, few: int, criterion: Criterion, order: Order
) -> None:
    monkeypatch.setattr(searching, "FEW", few)
    codes: list[Row] = [IndexRow(name="code", value="x", system=system) for system in (None, "urn:s", "urn:t")]
    dates: list[Row] = [RangeRow(name="date", low=1, high=2, code=code) for code in (None, "a", "b")]
    with store.unit_of_work() as uow:
        for name in "abcdefg":
            uow.documents.create(document(name), codes + dates)
    seen: list[str] = []
    after, more = None, True
    while more:
        search = Search(type="DiagnosticReport", criteria=(criterion,), order=(order,), count=3, after=after)
        with store.reader() as reader:
            page = reader.documents.search(search)
        assert page.total in (None, 7)
        seen += [one.id for one in page.documents]
        after, more = page.next, page.next is not None
    assert seen == sorted("abcdefg", reverse=order.descending)

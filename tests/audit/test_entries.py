from dataclasses import replace

import pytest

from audit.cursor import seal
from audit.records import EntrySearch
from audit.store import Store
from inference.errors import NotFound, SearchInvalid
from tests.audit.values import at, entry


@pytest.fixture
def stocked(store: Store) -> Store:
    for seconds in range(5):
        with store.unit_of_work() as uow:
            uow.trail.append(replace(entry(f"DiagnosticReport/{seconds % 2}"), recorded_at=at(seconds)))
    return store


def seqs(store: Store, search: EntrySearch) -> list[int]:
    with store.reader() as reader:
        return [one.seq for one in reader.entries.search(search).entries]


def test_the_newest_come_first(stocked: Store) -> None:
    assert seqs(stocked, EntrySearch(events=("ecg.analysed",))) == [6, 5, 4, 3, 2]


def test_all_that_is_given_must_hold(stocked: Store) -> None:
    assert seqs(stocked, EntrySearch(subjects=("DiagnosticReport/1",))) == [5, 3]
    assert seqs(stocked, EntrySearch(periods=((at(1), at(3)),), events=("ecg.analysed",))) == [4, 3]
    assert seqs(stocked, EntrySearch(periods=((None, at(1)), (at(4), None)), events=("ecg.analysed",))) == [6, 2]
    assert seqs(stocked, EntrySearch(periods=())) == seqs(stocked, EntrySearch(events=())) == []
    assert seqs(stocked, EntrySearch(subjects=("DiagnosticReport/9",))) == []


def test_pages_show_each_entry_once_though_others_come_meanwhile(stocked: Store) -> None:
    seen, after, more = list[int](), None, True
    while more:
        with stocked.reader() as reader:
            page = reader.entries.search(EntrySearch(events=("ecg.analysed",), count=2, after=after))
        seen += [one.seq for one in page.entries]
        after, more = page.next, page.next is not None
        with stocked.unit_of_work() as uow:
            uow.trail.append(replace(entry(), recorded_at=at(100)))
    assert seen == [6, 5, 4, 3, 2]


@pytest.mark.parametrize("place", [["x"], [1.0, "c", 1.5], [1.0, "c", -1.0], ["1", "c", 1.0], []])
def test_a_cursor_that_we_did_not_give_is_refused(stocked: Store, place: list[str | float | None]) -> None:
    with stocked.reader() as reader, pytest.raises(SearchInvalid):
        reader.entries.search(EntrySearch(after=seal(place, ("entries", None, None, None))))


def test_one_entry_is_read_by_its_chain_and_number(stocked: Store) -> None:
    with stocked.reader() as reader:
        found = reader.entries.get("chain-a", 2)
        assert (found.event, found.subject, found.payload) == ("ecg.analysed", "DiagnosticReport/0", entry().payload)
        with pytest.raises(NotFound):
            reader.entries.get("chain-a", 99)

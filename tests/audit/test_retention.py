import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from sqlalchemy import Connection, event

from audit import retention
from audit.engine import connect
from audit.records import AcknowledgementState, AuditEvent, InboxRow, ProcessingState
from audit.retention_records import RetentionLimits
from audit.store import Store
from inference.errors import Duplicate
from tests.audit.conftest import run_statements
from tests.audit.values import at, entry, received

OLD = "o" * 1000
ALL = RetentionLimits(payloads_before=at(1000), items_before=at(1000))
HALF = RetentionLimits(payloads_before=at(10), items_before=at(10))


def fill(store: Store, *seconds: float, processing: ProcessingState = ProcessingState.ANALYSED) -> list[int]:
    """An item and an entry at each time; gives the ids of the items."""
    items = []
    for n in seconds:
        with store.unit_of_work() as uow:
            item = replace(received(f"{n} {OLD}".encode(), control_id=f"M{n}"), received_at=at(n))
            items.append(uow.inbox.add(item, processing, AcknowledgementState.DELIVERED, answer=b"AA"))
            uow.trail.append(replace(entry(f"inbox/{n}"), recorded_at=at(n)))
    return items


def rows(store: Store) -> list[InboxRow]:
    with store.reader() as reader:
        return sorted(reader.inbox.list(100), key=lambda row: row.id)


def forget(store: Store, limits: RetentionLimits) -> int:
    return len(list(store.forget(limits)))


def test_old_payloads_go_and_the_chain_still_verifies(store: Store) -> None:
    fill(store, 0, 5, 10, 20)
    before = store.expired(HALF)
    assert (before.payloads, before.payload_bytes) == (2, 2 * len(entry().payload))
    forget(store, RetentionLimits(payloads_before=at(10), items_before=None))
    report = store.verify()
    assert (report.entries, report.problems, report.payloads_gone) == (5, (), 2)
    with store.reader() as reader:
        assert [reader.entries.get("chain-a", seq).payload is None for seq in range(1, 6)] == [
            False, True, True, False, False,
        ]  # fmt: skip
    assert not any(row.content_gone for row in rows(store))


def test_old_contents_go_and_all_else_of_the_item_stays(store: Store) -> None:
    fill(store, 0, 20)
    kept = rows(store)
    found = store.expired(HALF)
    assert found.items == 1
    assert found.item_bytes > 0
    forget(store, RetentionLimits(payloads_before=None, items_before=at(10)))
    gone, young = rows(store)
    assert gone == replace(kept[0], received=replace(kept[0].received, content=b""))
    assert (gone.content_gone, young.content_gone) == (True, False)
    assert young == kept[1]
    assert store.verify().payloads_gone == 0


def test_an_item_that_was_empty_is_not_said_to_be_gone(store: Store) -> None:
    with store.unit_of_work() as uow:
        uow.inbox.add(received(b""), ProcessingState.FAILED, AcknowledgementState.DELIVERED)
    forget(store, ALL)
    assert [row.content_gone for row in rows(store)] == [False]
    assert store.expired(ALL).items == 0


def test_an_item_without_its_content_is_still_recognised(store: Store) -> None:
    (item,) = fill(store, 0)
    forget(store, ALL)
    again = received(f"0 {OLD}".encode(), control_id="M0")
    with store.unit_of_work() as uow:
        with pytest.raises(Duplicate):
            uow.inbox.add(again, ProcessingState.ANALYSED, AcknowledgementState.DELIVERED)
        assert [row.id for row in uow.inbox.find("mllp", "MUSE|WARD", "M0")] == [item]
        other = replace(again, content=b"other")
        assert uow.inbox.add(other, ProcessingState.ANALYSED, AcknowledgementState.DELIVERED) != item


@pytest.mark.parametrize("state", [ProcessingState.RECEIVED, ProcessingState.CLAIMED])
def test_what_waits_for_its_analysis_is_kept_however_old(store: Store, state: ProcessingState) -> None:
    fill(store, 0, processing=state)
    assert store.expired(ALL).items == 0
    forget(store, ALL)
    assert not rows(store)[0].content_gone


@pytest.mark.parametrize(
    "kept",
    [AuditEvent.RETENTION_APPLIED, AuditEvent.SERVICE_STARTED, AuditEvent.MODEL_ACTIVATED, AuditEvent.RULES_ACTIVATED],
)
def test_what_names_other_chains_what_retention_did_and_what_results_were_made_by_is_kept(
    store: Store, kept: AuditEvent
) -> None:
    with store.unit_of_work() as uow:
        uow.trail.append(replace(entry(), event=kept))
    assert store.expired(ALL).payloads == 0
    forget(store, ALL)
    assert store.verify().payloads_gone == 0


def test_a_second_time_there_is_nothing_to_do(store: Store) -> None:
    fill(store, 0, 5)
    assert forget(store, ALL) > 0
    assert forget(store, ALL) == 0
    assert store.expired(ALL).payloads == store.expired(ALL).items == 0


def test_more_than_a_page_goes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PAGE_ROWS", 3)
    fill(store, *range(8))
    forget(store, ALL)
    assert store.verify().payloads_gone == 8
    assert all(row.content_gone for row in rows(store))


def test_one_that_was_interrupted_is_finished_by_the_next(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH_SECONDS", 0.0)  # at least one row, so that it ends
    fill(store, 0, 1, 2)

    with pytest.raises(ZeroDivisionError):
        stopped_after(store, 2)
    assert store.verify().payloads_gone == 0
    monkeypatch.setattr(retention, "BATCH_SECONDS", 0.015)
    forget(store, ALL)
    assert store.verify().payloads_gone == 3


def stopped_after(store: Store, transactions: int) -> None:
    for number, _ in enumerate(store.forget(ALL)):
        if number == transactions:
            raise ZeroDivisionError


@contextmanager
def committed(store: Store) -> Iterator[list[float]]:
    """The seconds from the begin to the end of each transaction of the writer."""
    seconds: list[float] = []
    begun: list[float] = []

    def begin(connection: Connection) -> None:
        begun.append(time.perf_counter())

    def commit(connection: Connection) -> None:
        seconds.append(time.perf_counter() - begun[-1])

    engine = store._engines.writer
    event.listen(engine, "begin", begin)
    event.listen(engine, "commit", commit)
    yield seconds
    event.remove(engine, "begin", begin)
    event.remove(engine, "commit", commit)


def test_the_deletions_are_several_small_transactions_and_others_get_in_between(store: Store) -> None:
    content = bytes(range(256)) * 300  # 75 KB that do not pack
    with store.unit_of_work() as uow:
        for n in range(300):
            item = received(n.to_bytes(8) + content, control_id=f"M{n}")
            uow.inbox.add(item, ProcessingState.ANALYSED, AcknowledgementState.DELIVERED)
            uow.trail.append(entry(f"inbox/{n}"))
    with committed(store) as seconds:
        for number, _ in enumerate(store.forget(ALL)):
            if number == 0:
                with store.unit_of_work() as uow:
                    uow.trail.append(replace(entry("between"), recorded_at=at(5000)))
    assert len(seconds) > 2
    assert sorted(seconds)[len(seconds) // 2] < 0.05  # the median: what else runs here may hold one up
    assert (store.expired(ALL).items, store.expired(ALL).payloads) == (0, 0)
    assert store.verify().problems == ()


def test_deleted_bytes_are_not_left_in_an_sqlite_file(store: Store, migrated_url: str) -> None:
    if not migrated_url.startswith("sqlite"):
        pytest.skip("PostgreSQL's vacuum gives pages back in its own time")
    secret = b"4711-MUSTER-EVA"
    with store.unit_of_work() as uow:
        uow.trail.append(replace(entry(), payload=b'{"x":"' + secret + b'"}'))
    store.checkpoint()
    forget(store, ALL)
    while (found := store.checkpoint()) is not None and found.moved_bytes < found.log_bytes:
        pass
    with store.unit_of_work() as uow:  # begins the log anew
        uow.trail.append(entry())
    file = migrated_url.removeprefix("sqlite:///")
    with open(file, "rb") as stream:
        assert secret not in stream.read()


def test_an_item_that_was_taken_up_since_it_was_looked_for_is_kept(store: Store, migrated_url: str) -> None:
    first, second = fill(store, 0, 1)
    run_statements(migrated_url, "UPDATE inbox SET processing = 'analysed'")
    engines = connect(migrated_url)
    kind = retention._items(ALL)
    assert kind is not None
    keys = [key for page in retention._due(engines.reader, kind) for key in page]
    assert keys == [(first,), (second,)]
    run_statements(migrated_url, f"UPDATE inbox SET processing = 'claimed' WHERE id = {second}")
    list(retention._emptied(engines.writer, kind, keys, lambda _: None))
    engines.dispose()
    assert [row.content_gone for row in rows(store)] == [True, False]


def test_limits_of_nothing_delete_nothing(store: Store) -> None:
    fill(store, 0)
    none = RetentionLimits(payloads_before=None, items_before=None)
    assert store.expired(none).payloads == store.expired(none).items == 0
    assert forget(store, none) == 0

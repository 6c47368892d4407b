from collections.abc import Iterator
from datetime import timedelta

import orjson
import pytest

from audit.records import AcknowledgementState, AuditEntry, AuditEvent, EntrySearch, ProcessingState, Received
from audit.retention_records import RetentionLimits
from audit.store import Store
from interop.retention import apply
from tests.fakes import NOW
from tests.interop.service import file_store

LIMITS = RetentionLimits(payloads_before=NOW - timedelta(days=3650), items_before=NOW - timedelta(days=365))
OLD = NOW - timedelta(days=4000)


@pytest.fixture
def store() -> Iterator[Store]:
    with file_store() as found:
        yield found.store


def fill(store: Store) -> None:
    """An old item and an old entry."""
    received = Received(
        door="mllp", content=b"MSH|" * 10, media_type="x", received_at=OLD, correlation_id="c", control_id="M1"
    )
    old = AuditEntry(event=AuditEvent.ECG_ANALYSED, recorded_at=OLD, subject="x", correlation_id="c")
    with store.unit_of_work() as uow:
        uow.inbox.add(received, ProcessingState.ANALYSED, AcknowledgementState.DELIVERED)
        uow.trail.append(old)


def told(store: Store) -> list[dict[str, object]]:
    with store.reader() as reader:
        found = reader.entries.search(EntrySearch(events=(AuditEvent.RETENTION_APPLIED.value,))).entries
    return [orjson.loads(entry.payload or b"") for entry in found]


def test_what_was_deleted_by_whom_and_up_to_when_is_in_the_trail(store: Store) -> None:
    fill(store)
    report = apply(store, LIMITS, at=NOW, by="anna", dry_run=False)
    (entry,) = told(store)
    assert entry["by"] == "anna"
    assert entry["payloads_before"] == (NOW - timedelta(days=3650)).isoformat()
    assert entry["items_before"] == (NOW - timedelta(days=365)).isoformat()
    assert entry["expired"] == report["expired"]
    assert (report["expired"]["payloads"], report["expired"]["items"]) == (1, 1)
    assert report["transactions"] == 2
    assert report["longest_ms"] > 0
    assert store.verify().payloads_gone == 1


def test_a_dry_run_changes_nothing(store: Store) -> None:
    fill(store)
    report = apply(store, LIMITS, at=NOW, by="anna", dry_run=True)
    assert (report["expired"]["payloads"], report["transactions"], report["dry_run"]) == (1, 0, True)
    assert told(store) == []
    assert store.verify().payloads_gone == 0


def test_where_nothing_is_old_nothing_is_written(store: Store) -> None:
    apply(store, LIMITS, at=NOW, by="anna", dry_run=False)
    assert told(store) == []
    assert store.verify().entries == 0


class Failing:
    """A store that fails as soon as something is deleted."""

    def __init__(self, store: Store) -> None:
        self.unit_of_work = store.unit_of_work
        self.expired = store.expired

    def forget(self, limits: RetentionLimits) -> Iterator[float]:
        raise ZeroDivisionError
        yield 0.0


def test_nothing_is_deleted_before_the_trail_says_so(store: Store) -> None:
    fill(store)
    with pytest.raises(ZeroDivisionError):
        apply(Failing(store), LIMITS, at=NOW, by="anna", dry_run=False)
    assert len(told(store)) == 1

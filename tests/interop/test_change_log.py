"""The change log, on both databases."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from audit.records import AuditEntry, AuditEvent
from audit.retention_records import RetentionLimits
from audit.store import Store, open_store
from interop.change_log import Change, changes, read_entries, recorded_rules
from tests.audit.conftest import emptied_postgresql, migrated_postgresql, migrated_url, postgresql, sqlite_template
from tests.fakes import NOW

__all__ = ["emptied_postgresql", "migrated_postgresql", "migrated_url", "postgresql", "sqlite_template"]

FIRST = {"name": "m", "version": "1.0.0", "status": "champion", "sha256": "a" * 64, "waived": None}
SECOND = {**FIRST, "version": "2.0.0", "sha256": "b" * 64}
RULES = {"name": "default", "version": "1", "sha256": "c" * 64}
OTHER = {"name": "hospital", "version": "1", "sha256": "d" * 64}
BY_ADA = {"at": "", "by": "Ada", "step": "activate", "before": "m/1.0.0", "to": "m/2.0.0", "reason": "better"}


@pytest.fixture
def store(migrated_url: str) -> Iterator[Store]:
    opened = open_store(migrated_url, chain_id="chain-a")
    yield opened
    opened.close()


def entry(event: AuditEvent, minute: int, **payload: Any) -> AuditEntry:
    return AuditEntry(
        event=event, recorded_at=NOW + timedelta(minutes=minute), subject="service", correlation_id="c",
        payload=orjson.dumps(payload),
    )  # fmt: skip


def started(minute: int, model: Any = FIRST, policy: Any = RULES, mode: str = "live", **more: Any) -> AuditEntry:
    return entry(AuditEvent.SERVICE_STARTED, minute, model=model, policy=policy, mode=mode, **{"shadow": None, **more})


def write(store: Store, *entries: AuditEntry) -> None:
    with store.unit_of_work() as uow:
        for one in entries:
            uow.trail.append(one)


def told(store: Store) -> list[Change]:
    with store.reader() as reader:
        return list(changes(read_entries(reader)))


def short(found: list[Change]) -> list[tuple[str, Any, Any, str | None, str]]:
    return [(it.thing.name.lower(), it.before, it.after, it.by, it.step) for it in found]


def test_the_first_start_tells_what_was_there_first(store: Store) -> None:
    write(store, started(0))
    assert short(told(store)) == [
        ("model", None, FIRST, None, "start"), ("rules", None, RULES, None, "start"),
        ("mode", None, "live", None, "start"),
    ]  # fmt: skip


def test_a_start_with_all_as_before_changes_nothing(store: Store) -> None:
    write(store, started(0))
    write(store, started(1))
    assert len(told(store)) == 3


def test_an_activation_says_who_and_why_and_where_it_stands(store: Store) -> None:
    write(store, started(0))
    write(store, entry(AuditEvent.MODEL_ACTIVATED, 1, model=SECOND, before=FIRST, change=BY_ADA, mode="live"))
    (change,) = told(store)[3:]
    assert (change.before, change.after, change.by, change.reason, change.step) == (
        FIRST, SECOND, "Ada", "better", "activate",
    )  # fmt: skip
    assert (change.at, change.chain_id, change.seq) == (NOW + timedelta(minutes=1), "chain-a", 3)


def test_a_model_that_was_exchanged_while_no_service_ran_is_told_at_the_next_start(store: Store) -> None:
    write(store, started(0))
    write(store, started(1, model=SECOND, change=BY_ADA))
    assert short(told(store)[3:]) == [("model", FIRST, SECOND, "Ada", "activate")]


def test_other_rules_are_told_once_by_their_own_entry(store: Store) -> None:
    write(store, started(0))
    write(store, entry(AuditEvent.RULES_ACTIVATED, 1, policy=OTHER, before=RULES), started(1, policy=OTHER))
    (change,) = told(store)[3:]
    assert (change.thing.name, change.before, change.after, change.seq) == ("RULES", RULES, OTHER, 3)


def test_a_candidate_that_makes_the_service_silent_is_two_changes(store: Store) -> None:
    write(store, started(0))
    write(store, entry(AuditEvent.MODEL_ACTIVATED, 1, model=SECOND, before=FIRST, change=BY_ADA, mode="silent"))
    assert short(told(store)[3:]) == [
        ("model", FIRST, SECOND, "Ada", "activate"), ("mode", "live", "silent", None, "model.activated"),
    ]  # fmt: skip


def test_a_model_in_the_shadow_comes_and_goes(store: Store) -> None:
    write(store, started(0))
    write(store, started(1, shadow=SECOND))
    write(store, started(2))
    assert short(told(store)[3:]) == [
        ("shadow", None, SECOND, None, "start"), ("shadow", SECOND, None, None, "start"),
    ]  # fmt: skip


def test_what_else_is_in_the_trail_is_passed_over_and_pages_are_put_together(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interop.change_log.PAGE", 2)
    for minute in range(5):
        other = replace(entry(AuditEvent.ECG_ANALYSED, minute, model=SECOND), subject="DiagnosticReport/1")
        write(store, started(minute, mode="live" if minute % 2 else "silent"), other)
    assert [it.after for it in told(store) if it.thing.name == "MODE"] == ["silent", "live"] * 2 + ["silent"]


def test_the_newest_rules_on_record_are_those_of_the_last_entry_that_names_any(store: Store) -> None:
    with store.reader() as reader:
        assert recorded_rules(reader) is None
    write(store, started(0))
    write(store, entry(AuditEvent.RULES_ACTIVATED, 1, policy=OTHER, before=RULES))
    write(store, entry(AuditEvent.MODEL_ACTIVATED, 2, model=SECOND, before=FIRST, change=None, mode="live"))
    with store.reader() as reader:
        assert recorded_rules(reader) == OTHER


def test_retention_leaves_it_whole(store: Store) -> None:
    write(store, started(0))
    write(store, entry(AuditEvent.RULES_ACTIVATED, 1, policy=OTHER, before=RULES), started(1, policy=OTHER))
    before = told(store)
    list(store.forget(RetentionLimits(payloads_before=NOW + timedelta(days=1), items_before=None)))
    assert told(store) == before

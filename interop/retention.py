"""Retention as one deed: counted, written into the audit trail, then done."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from datetime import datetime
from typing import Any, Protocol

import orjson

from audit.records import AuditEntry, AuditEvent, UnitOfWork
from audit.retention_records import Expired, RetentionLimits
from interop.logs import new_correlation_id


class Store(Protocol):
    """What of `audit.store.Store` is needed."""

    def unit_of_work(self) -> AbstractContextManager[UnitOfWork]:
        """One transaction."""

    def expired(self, limits: RetentionLimits) -> Expired:
        """How much there is to delete."""

    def forget(self, limits: RetentionLimits) -> Iterator[float]:
        """Delete it; gives the seconds of each transaction."""


def apply(store: Store, limits: RetentionLimits, *, at: datetime, by: str, dry_run: bool) -> Mapping[str, Any]:
    """Delete what is expired. The entry is durable before anything is deleted, so that nothing ever goes without one:
    its numbers are those of what was found. Nothing found, no entry. Raises StorageUnavailable."""
    found = store.expired(limits)
    told = {
        "payloads_before": _text(limits.payloads_before),
        "items_before": _text(limits.items_before),
        "expired": asdict(found),
    }
    seconds: list[float] = []
    if not dry_run and (found.payloads or found.items):
        with store.unit_of_work() as uow:
            uow.trail.append(
                AuditEntry(
                    event=AuditEvent.RETENTION_APPLIED,
                    recorded_at=at,
                    subject="service",
                    correlation_id=new_correlation_id(),
                    payload=orjson.dumps({**told, "by": by}),
                )
            )
        seconds.extend(store.forget(limits))
    longest = round(max(seconds, default=0.0) * 1000, 1)
    return {**told, "dry_run": dry_run, "transactions": len(seconds), "longest_ms": longest}


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()

"""The change log: by which model, rules and mode results were made, since when, and who changed it.

It is told from the audit trail. A service writes what it runs by when it starts (`service.started`), and what is
exchanged while it runs (`model.activated`); other rules than those before get an entry of their own
(`rules.activated`). What changed while no service ran shows at the next start. The payloads of these entries outlive
retention.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson

from audit.records import AuditEvent, EntrySearch, Reader, StoredEntry

EVENTS = (
    AuditEvent.SERVICE_STARTED,
    AuditEvent.MODEL_ACTIVATED,
    AuditEvent.RULES_ACTIVATED,
    AuditEvent.MODE_CHANGED,
)
SUBJECT = "service"  # of every such entry; found by an index, however long the trail is
PAGE = 500

Json = Mapping[str, Any]


class Thing(StrEnum):
    """What may change; the value is its name in a payload."""

    MODEL = "model"
    RULES = "policy"
    MODE = "mode"
    SHADOW = "shadow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """before, after: as in the payloads; before is None for the first that is recorded. by: None where only the start
    of a service tells of it. step: what brought it about. chain_id, seq: the entry that tells it."""

    at: datetime
    thing: Thing
    before: Any
    after: Any
    by: str | None
    step: str
    reason: str
    chain_id: str
    seq: int

    def to_json(self) -> dict[str, Any]:
        """For a program; the rules are called rules."""
        return {**asdict(self), "thing": self.thing.name.lower()}


def read_entries(reader: Reader) -> list[StoredEntry]:
    """All entries that tell of changes, oldest first. Raises StorageUnavailable."""
    found: list[StoredEntry] = []
    after: str | None = None
    while True:
        page = reader.entries.search(_search(EVENTS, PAGE, after))
        found.extend(page.entries)
        after = page.next
        if after is None:
            return found[::-1]


def changes(entries: Iterable[StoredEntry]) -> Iterator[Change]:
    """What changed, from entries that are all there from the first on, oldest first."""
    known: dict[Thing, Any] = {}
    for entry in entries:
        payload = orjson.loads(entry.payload) if entry.payload else {}
        for thing in Thing:
            if thing not in payload or (thing in known and known[thing] == payload[thing]):
                continue
            first = thing not in known
            before = None if first else known[thing]
            known[thing] = payload[thing]
            if first and payload[thing] is None:  # never had a model in the shadow, and has none
                continue
            yield _change(entry, thing, before, payload)


def recorded_rules(reader: Reader) -> Json | None:
    """The rules that the newest entry about rules names; None where there is none. Raises StorageUnavailable."""
    search = _search((AuditEvent.SERVICE_STARTED, AuditEvent.RULES_ACTIVATED), 1, None)
    for entry in reader.entries.search(search).entries:
        found: Json | None = orjson.loads(entry.payload or b"{}").get(Thing.RULES)
        return found
    return None


def _search(events: tuple[AuditEvent, ...], count: int, after: str | None) -> EntrySearch:
    return EntrySearch(subjects=(SUBJECT,), events=events, count=count, after=after)


def _change(entry: StoredEntry, thing: Thing, before: Any, payload: Json) -> Change:
    """Who and why: known of a model, from the history of the pointer; the mode follows from it."""
    told = (payload.get("change") if thing is Thing.MODEL else None) or {}
    started = entry.event in (AuditEvent.SERVICE_STARTED, AuditEvent.RULES_ACTIVATED)
    return Change(
        at=entry.recorded_at,
        thing=thing,
        before=before,
        after=payload[thing],
        by=told.get("by"),
        step=told.get("step") or ("start" if started else str(entry.event)),
        reason=told.get("reason") or "",
        chain_id=entry.chain_id,
        seq=entry.seq,
    )

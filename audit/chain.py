"""The hash chain that makes later changes of the audit trail visible.

Each process writes its own chain: entries numbered from 1, each carrying the hash of the one before, the first 64
zeros. The hash of an entry is the SHA-256 over these texts in UTF-8, each preceded by its length in bytes as eight
big-endian bytes:

    "ecg-audit-1", chain_id, seq in decimal, prev_hash, event, recorded_at, subject, correlation_id, payload_sha256

with recorded_at as `2026-01-31T12:00:00.000000+00:00` and hashes in lower-case hexadecimal. The payload enters by its
SHA-256, so that retention may delete payloads and the chain still verifies.

A chain alone cannot show that its end was cut off. Anchors can: a chain's newest hash is written to `audit_heads`, is
exported to where the database's administrator cannot reach, and is named in the first entry of every later chain.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from audit.records import AuditEntry, AuditEvent, ChainProblem, ChainReport

FORMAT = "ecg-audit-1"
GENESIS_HASH = "0" * 64
# A wholly broken trail is broken after this many findings too; a report of millions would only exhaust the memory.
MAX_PROBLEMS = 1000


@dataclass(frozen=True, slots=True)
class Head:
    """The newest entry of a chain. seq 0: nothing is written yet."""

    seq: int = 0
    hash: str = GENESIS_HASH


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """An entry in its chain, as stored. event is text: a later version may know more events."""

    chain_id: str
    seq: int
    prev_hash: str
    hash: str
    event: str
    recorded_at: datetime
    subject: str
    correlation_id: str
    payload_sha256: str
    payload: bytes | None

    def columns(self) -> dict[str, object]:
        """The row to store."""
        return {name: getattr(self, name) for name in self.__slots__}

    def digest(self) -> str:
        """What `hash` must be."""
        return _digest(
            self.chain_id,
            self.seq,
            self.prev_hash,
            self.event,
            self.recorded_at,
            self.subject,
            self.correlation_id,
            self.payload_sha256,
        )


@dataclass(frozen=True, slots=True)
class Anchor:
    """A head that was noted elsewhere, and where."""

    chain_id: str
    head: Head
    source: str


def link(chain_id: str, head: Head, entry: AuditEntry) -> Link:
    """The entry as the successor of `head`."""
    seq = head.seq + 1
    payload_sha256 = hashlib.sha256(entry.payload).hexdigest()
    texts = (entry.subject, entry.correlation_id, payload_sha256)
    return Link(
        chain_id=chain_id,
        seq=seq,
        prev_hash=head.hash,
        hash=_digest(chain_id, seq, head.hash, entry.event, entry.recorded_at, *texts),
        event=entry.event,
        recorded_at=entry.recorded_at,
        subject=entry.subject,
        correlation_id=entry.correlation_id,
        payload_sha256=payload_sha256,
        payload=entry.payload,
    )


def first_entry(chain_id: str, heads: Mapping[str, Head], because: AuditEntry) -> AuditEntry:
    """The entry that opens a chain and names the heads of others, made at the time of the first ordinary one."""
    named = {chain: [head.seq, head.hash] for chain, head in sorted(heads.items())}
    return AuditEntry(
        event=AuditEvent.CHAIN_STARTED,
        recorded_at=because.recorded_at,
        subject=chain_id,
        correlation_id=because.correlation_id,
        payload=json.dumps({"heads": named}).encode(),
    )


def named_heads(payload: bytes) -> dict[str, Head]:
    """The heads that a first entry names; empty for a payload that is none of ours (its hash will not match)."""
    try:
        named = json.loads(payload)["heads"].items()
        return {chain_id: Head(int(seq), str(digest)) for chain_id, (seq, digest) in named}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}


def _digest(chain_id: str, seq: int, prev_hash: str, event: str, recorded_at: datetime, *texts: str) -> str:
    time = recorded_at.astimezone(UTC).isoformat(timespec="microseconds")
    digest = hashlib.sha256()
    for text in (FORMAT, chain_id, str(seq), prev_hash, event, time, *texts):
        encoded = text.encode()
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()


class Verifier:
    """Checks links given chain by chain, each chain in the order of seq, against themselves and against anchors."""

    def __init__(self, anchors: Iterable[Anchor], starts: Mapping[str, Head] | None = None) -> None:
        """starts: the entry before the first one that is given, of chains that are not given from their beginning."""
        self._anchors: dict[str, list[Anchor]] = {}
        for anchor in anchors:
            self._anchors.setdefault(anchor.chain_id, []).append(anchor)
        self._heads: dict[str, Head] = dict(starts or {})
        self._problems: list[ChainProblem] = []
        self._entries = 0
        self._payloads_gone = 0

    def check(self, link: Link) -> None:
        """Check the next link."""
        before = self._heads.get(link.chain_id, Head())
        self._check_place(link, before)
        self._check_content(link)
        for anchor in self._anchors.get(link.chain_id, ()):
            if anchor.head.seq == link.seq and anchor.head.hash != link.hash:
                self._report(link.chain_id, link.seq, f"is not the entry that {anchor.source} names")
        self._heads[link.chain_id] = Head(link.seq, link.hash)
        self._entries += 1
        self._payloads_gone += link.payload is None

    def finish(self) -> ChainReport:
        """Check the ends against the anchors, and give the report."""
        for chain_id, anchors in self._anchors.items():
            seq = self._heads.get(chain_id, Head()).seq
            for anchor in anchors:
                if anchor.head.seq > seq:
                    self._report(chain_id, seq + 1, f"is missing: {anchor.source} names entry {anchor.head.seq}")
        heads = {chain_id: (head.seq, head.hash) for chain_id, head in self._heads.items()}
        return ChainReport(
            entries=self._entries, heads=heads, problems=tuple(self._problems), payloads_gone=self._payloads_gone
        )

    def _check_place(self, link: Link, before: Head) -> None:
        if link.seq != before.seq + 1:
            self._report(link.chain_id, before.seq + 1, f"is missing: the next one stored is entry {link.seq}")
        elif link.prev_hash != before.hash:
            self._report(link.chain_id, link.seq, "does not follow the entry before it")

    def _check_content(self, link: Link) -> None:
        if link.digest() != link.hash:
            self._report(link.chain_id, link.seq, "was changed")
        if link.payload is not None and hashlib.sha256(link.payload).hexdigest() != link.payload_sha256:
            self._report(link.chain_id, link.seq, "has a changed payload")

    def _report(self, chain_id: str, seq: int, text: str) -> None:
        if len(self._problems) < MAX_PROBLEMS:
            self._problems.append(ChainProblem(chain_id=chain_id, seq=seq, text=f"entry {seq} {text}"))

"""Frozen values and protocols of the store, without SQLAlchemy.

Everything here is written through a `UnitOfWork`: one transaction, run in the writer thread. Identities are strings
(`fhir id` rules: [A-Za-z0-9-.]{1,64}); times are aware UTC; contents are bytes, stored compressed.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from audit.card_records import Cards
from audit.criteria import Row, Search
from audit.monitoring_records import Alerts, Observed, Reports
from audit.packed import Body, Hashed
from audit.shadow_records import Shadows

SHA256_OF_NOTHING = hashlib.sha256(b"").hexdigest()


class ProcessingState(StrEnum):
    """Where the processing of a received item stands; independent of whether its acknowledgement was delivered."""

    RECEIVED = "received"
    CLAIMED = "claimed"
    ANALYSED = "analysed"
    NOTHING_TO_ANALYSE = "nothing-to-analyse"
    FAILED = "failed"
    REPLAYED = "replayed"


class AcknowledgementState(StrEnum):
    """Where the answer to a received item stands."""

    PENDING = "pending"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    NOT_OWED = "not-owed"


class QueueState(StrEnum):
    """Where an outbound message stands. `held`: no destination is configured."""

    HELD = "held"
    WAITING = "waiting"
    SENT = "sent"
    DEAD = "dead"


class AuditEvent(StrEnum):
    """Every kind of entry in the audit trail."""

    ECG_ANALYSED = "ecg.analysed"
    ECG_UNINTERPRETABLE = "ecg.uninterpretable"
    MESSAGE_FAILED = "message.failed"
    MESSAGE_IGNORED = "message.ignored"
    ECG_WITHDRAWN = "ecg.withdrawn"
    REPORT_OVERREAD = "report.overread"
    CARDS_SHOWN = "cards.shown"
    CARD_FEEDBACK = "card.feedback"
    OBSERVATION_STORED = "observation.stored"
    RESOURCE_CREATED = "resource.created"
    RESOURCE_UPDATED = "resource.updated"
    RESOURCE_DELETED = "resource.deleted"
    SERVICE_STARTED = "service.started"
    MODE_CHANGED = "mode.changed"
    MODEL_ACTIVATED = "model.activated"
    RULES_ACTIVATED = "rules.activated"
    RESULT_DELIVERED = "result.delivered"
    RESULT_DEAD = "result.dead"
    RETENTION_APPLIED = "retention.applied"
    CHAIN_STARTED = "chain.started"


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One item as it came through a door. patient_key: `authority|value` or a FHIR reference, for order per patient.
    packed: the content again, where it was packed before it reaches the store."""

    door: str
    content: bytes
    media_type: str
    received_at: datetime
    correlation_id: str
    sender: str | None = None
    control_id: str | None = None
    patient_key: str | None = None
    packed: Hashed | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxRow:
    """A stored received item. content_sha256: hex, of the content as it came, also when retention has deleted it.
    answer: the bytes that were (or are to be) sent back."""

    id: int
    received: Received
    content_sha256: str
    processing: ProcessingState
    acknowledgement: AcknowledgementState
    analysis_id: str | None
    answer: bytes | None
    error: str | None

    @property
    def content_gone(self) -> bool:
        """Whether retention has deleted the content."""
        return not self.received.content and self.content_sha256 != SHA256_OF_NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One version of a stored FHIR resource. body: JSON bytes, with id and meta already in place."""

    type: str
    id: str
    version: int
    body: Body = field(repr=False)
    last_updated: datetime
    deleted: bool = False

    @property
    def content(self) -> bytes:
        """The JSON; made of the body each time that it is asked for."""
        return self.body.content


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of a search or a history. total counts all matches, None where they were not counted; next is the
    cursor of the following page, None at the end. included: what `Search.includes` asks for."""

    documents: tuple[Document, ...]
    total: int | None
    next: str | None
    included: tuple[Document, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    """One outbound message. destination: `host:port`, None while none is configured. priority: 0 S, 1 A, 2 R."""

    destination: str | None
    patient_key: str
    priority: int
    control_id: str
    content: bytes
    analysis_id: str
    created_at: datetime
    id: int | None = None
    state: QueueState = QueueState.WAITING
    attempts: int = 0
    next_attempt_at: datetime | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisRow:
    """The columns of an Analysis that monitoring reads; `detail` is the whole Analysis as JSON bytes. features: what
    the model saw beside the signal, little-endian float32; None where nothing was classified, and of older ones."""

    id: str
    inbox_id: int
    door: str
    sender: str | None
    analyzed_at: datetime
    recorded_at: datetime | None
    age: float | None
    sex: str
    urgency: str
    interpretable: bool
    mode: str
    model_name: str | None
    model_version: str | None
    probabilities: Mapping[str, float] | None
    detail: bytes
    features: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class OverreadRow:
    """The columns of an over-read that monitoring reads. findings: superclass -> whether the clinician found it, None
    where that was not told. detail: the whole as JSON bytes."""

    id: str
    report_id: str
    at: datetime
    practitioner: str
    status_before: str
    status_after: str
    agreed: bool | None
    findings: Mapping[str, bool | None]
    detail: bytes


@dataclass(frozen=True, slots=True)
class FeatureRow:
    """What was calculated of a recording. key: 32 bytes, a digest of all that the rest depends on. checksum: CRC-32 of
    the others. measurements, probabilities: little-endian float64. features: little-endian float32. NaN is unknown."""

    key: bytes
    checksum: int
    measurements: bytes
    probabilities: bytes
    features: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One entry of the trail, before it is chained. payload: JSON bytes; the chain hashes its SHA-256, so that
    retention may delete payloads and the chain still verifies."""

    event: AuditEvent
    recorded_at: datetime
    subject: str
    correlation_id: str
    payload: bytes = b"{}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEntry:
    """An entry of the trail as it is stored. payload: None once retention has deleted it."""

    chain_id: str
    seq: int
    event: str
    recorded_at: datetime
    subject: str
    correlation_id: str
    payload: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntrySearch:
    """A search in the trail: all that is given must hold. periods: (from, before) of recorded_at, one of which holds;
    None is open. subjects, events: one of them. Newest first. after: the opaque cursor of an earlier page."""

    periods: tuple[tuple[datetime | None, datetime | None], ...] | None = None
    subjects: tuple[str, ...] | None = None
    events: tuple[str, ...] | None = None
    count: int = 50
    after: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPage:
    """One page of the trail; next is the cursor of the following one, None at the end."""

    entries: tuple[StoredEntry, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainProblem:
    """One thing that `audit verify` found wrong."""

    chain_id: str
    seq: int | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainReport:
    """What `audit verify` found. heads: chain id -> (seq, hash hex). payloads_gone: of entries whose payload retention
    has deleted."""

    entries: int
    heads: Mapping[str, tuple[int, str]]
    problems: tuple[ChainProblem, ...] = field(default=())
    payloads_gone: int = 0


class Inbox(Protocol):
    """Received items."""

    def add(
        self,
        received: Received,
        processing: ProcessingState,
        acknowledgement: AcknowledgementState,
        *,
        analysis_id: str | None = None,
        answer: bytes | None = None,
        error: str | None = None,
    ) -> int:
        """Store one item, give back its id. Raises Duplicate for the same door, sender, control_id and content."""

    def find(self, door: str, sender: str | None, control_id: str) -> Sequence[InboxRow]:
        """Every item with this control id of this sender, newest first."""

    def list(self, limit: int) -> Sequence[InboxRow]:
        """The newest items, newest first."""

    def get(self, id: int) -> InboxRow:
        """One item. Raises NotFound."""

    def waiting(self, door: str, before: datetime, limit: int) -> Sequence[InboxRow]:
        """Items of a door that came before a time and wait for their analysis, oldest first."""

    def oldest_waiting(self) -> datetime | None:
        """When the oldest of the items that wait for their analysis came, None when none waits."""

    def finish(self, id: int, processing: ProcessingState, answer: bytes | None, error: str | None) -> None:
        """An item that waited is processed. Raises NotFound where it does not wait any more."""

    def set_answer(self, id: int, answer: bytes, acknowledgement: AcknowledgementState) -> None:
        """Record the answer."""

    def set_acknowledgement(self, id: int, acknowledgement: AcknowledgementState) -> None:
        """Record whether the answer reached the sender."""


class Documents(Protocol):
    """Versioned JSON with index rows."""

    def create(self, document: Document, index: Sequence[Row], *, silent: bool = False) -> None:
        """Store version 1. Raises Duplicate when type/id exists."""

    def create_all(self, new: Sequence[tuple[Document, Sequence[Row]]], *, silent: bool = False) -> None:
        """Store several with two statements, which takes half the time of one by one. Raises Duplicate when one of
        them exists; the unit of work has to be given up then."""

    def replace(self, document: Document, index: Sequence[Row]) -> None:
        """Store the version that follows the current one, whose rows go; a deleted one has no rows. It is silent where
        that was. Raises VersionConflict when the current version is another."""

    def read(self, type: str, id: str, version: int | None = None) -> Document:
        """The current or the named version. Raises NotFound, Gone."""

    def newest(self, type: str, id: str) -> Document | None:
        """The current version, also one that says that it was deleted."""

    def search(self, search: Search) -> Page:
        """The documents that match. Raises SearchInvalid for an unusable cursor."""

    def history(self, type: str, id: str | None, *, since: datetime | None, count: int, after: str | None) -> Page:
        """Every version of one document or of all of a type, newest first, deletions too; silent ones are left out of
        the history of a type. Raises SearchInvalid for an unusable cursor."""

    def alone(self, scope: str) -> None:
        """Wait until no other transaction holds `scope`, and hold it to the end of this one. What is searched
        afterwards has been committed by all who held it before."""

    def claim(self, scope: str, key: str, owner: str, digest: str) -> tuple[str, str] | None:
        """Take a unique key (a business identifier) for `owner` (`Type/id`) with a content digest.

        None: the key is now ours. Else the (owner, digest) that already hold it. Exact under concurrency.
        """

    def owner(self, scope: str, key: str) -> str | None:
        """Who has claimed a key, as far as this transaction sees."""

    def held(self, scope: str, key: str) -> tuple[str, str] | None:
        """Who has claimed a key and with which digest, as far as this transaction sees."""

    def reclaim(self, scope: str, owner: str, digest: str, keys: Sequence[str], before: Sequence[str]) -> None:
        """From now on `owner` holds just these keys, with this digest; before: those that it held. Raises Duplicate
        where another holds one."""


class Outbox(Protocol):
    """Outbound messages."""

    def add(self, row: QueueRow) -> int:
        """Queue one message."""

    def due(self, now: datetime, limit: int, busy: Collection[str] = ()) -> Sequence[QueueRow]:
        """The next messages: at most the oldest waiting one per (destination, patient_key); by priority, then age.
        busy: destinations of which none is wanted."""

    def sent(self, id: int) -> None:
        """It was accepted. Raises NotFound where no message with this id waits."""

    def failed(self, id: int, error: str, next_attempt_at: datetime | None) -> None:
        """It was not: try again at that time, or None: it is dead. Raises NotFound where none with this id waits."""

    def list(self, state: QueueState | None, limit: int) -> Sequence[QueueRow]:
        """Newest first."""

    def counts(self) -> Mapping[QueueState, int]:
        """How many messages are in each state that has any."""

    def retry(self, id: int, destination: str | None, now: datetime) -> None:
        """Make a dead or held one wait again, to `destination` if given. Raises NotFound."""


class Analyses(Protocol):
    """The results."""

    def add(self, row: AnalysisRow) -> None:
        """Store one."""

    def get(self, id: str) -> AnalysisRow:
        """One result. Raises NotFound."""

    def count(self, mode: str, since: datetime) -> int:
        """How many were made in a mode since then."""


class Features(Protocol):
    """What was calculated of recordings before."""

    def add(self, row: FeatureRow, at: datetime) -> None:
        """Store one, unless its key is there already: then it holds the same."""

    def find(self, key: bytes) -> FeatureRow | None:
        """The row of a key."""

    def prune(self, newest: int, at_most: int) -> int:
        """Delete rows that are not among the newest, the oldest first; gives how many. Only so many at a time, so that
        nobody waits long for the writer."""


class Overreads(Protocol):
    """What clinicians made of results."""

    def add(self, row: OverreadRow) -> None:
        """Store one."""

    def of(self, report_id: str) -> Sequence[OverreadRow]:
        """Those of one report, oldest first."""


class Entries(Protocol):
    """The audit trail, to be read."""

    def get(self, chain_id: str, seq: int) -> StoredEntry:
        """One entry. Raises NotFound."""

    def search(self, search: EntrySearch) -> EntryPage:
        """A page of them. Raises SearchInvalid for an unusable cursor."""


class Trail(Protocol):
    """The audit trail; chained at commit."""

    def append(self, entry: AuditEntry) -> None:
        """Add one entry to this process's chain, inside the transaction."""


class UnitOfWork(Protocol):
    """One transaction. Leaving without an error commits; an error rolls back all of it."""

    inbox: Inbox
    documents: Documents
    outbox: Outbox
    analyses: Analyses
    features: Features
    overreads: Overreads
    shadows: Shadows
    cards: Cards
    reports: Reports
    alerts: Alerts
    trail: Trail


class Reader(Protocol):
    """One consistent, read-only view; its parts refuse to write."""

    inbox: Inbox
    documents: Documents
    outbox: Outbox
    analyses: Analyses
    features: Features
    overreads: Overreads
    shadows: Shadows
    cards: Cards
    reports: Reports
    alerts: Alerts
    observed: Observed
    entries: Entries

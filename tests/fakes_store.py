"""The store's protocols (audit/records.py) in memory: one transaction, never rolled back."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import cast

from audit.criteria import ID, AnyCriterion, Criterion, IndexRow, Row, Search
from audit.records import (
    AcknowledgementState,
    AnalysisRow,
    AuditEntry,
    Document,
    FeatureRow,
    InboxRow,
    Page,
    ProcessingState,
    QueueRow,
    QueueState,
    Received,
    UnitOfWork,
)
from inference.errors import Duplicate, NotFound


@dataclass(slots=True)
class FakeInbox:
    """Received items; ids from 1."""

    rows: list[InboxRow] = field(default_factory=list)

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
        row = InboxRow(
            id=len(self.rows) + 1,
            received=received,
            content_sha256="",
            processing=processing,
            acknowledgement=acknowledgement,
            analysis_id=analysis_id,
            answer=answer,
            error=error,
        )
        self.rows.append(row)
        return row.id

    def find(self, door: str, sender: str | None, control_id: str) -> Sequence[InboxRow]:
        wanted = (door, sender, control_id)
        found = [r for r in self.rows if (r.received.door, r.received.sender, r.received.control_id) == wanted]
        return found[::-1]

    def list(self, limit: int) -> Sequence[InboxRow]:
        return self.rows[::-1][:limit]

    def get(self, id: int) -> InboxRow:
        if not 1 <= id <= len(self.rows):
            raise NotFound("no such item")
        return self.rows[id - 1]

    def set_answer(self, id: int, answer: bytes, acknowledgement: AcknowledgementState) -> None:
        self.rows[id - 1] = replace(self.rows[id - 1], answer=answer, acknowledgement=acknowledgement)

    def set_acknowledgement(self, id: int, acknowledgement: AcknowledgementState) -> None:
        self.rows[id - 1] = replace(self.rows[id - 1], acknowledgement=acknowledgement)


@dataclass(slots=True)
class FakeDocuments:
    """Documents by `Type/id`, their rows, which of them are silent, and the claims."""

    stored: dict[str, Document] = field(default_factory=dict)
    index: dict[str, tuple[Row, ...]] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    claims: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)

    def create(self, document: Document, index: Sequence[Row], *, silent: bool = False) -> None:
        key = f"{document.type}/{document.id}"
        if key in self.stored:
            raise Duplicate(f"{key} exists")
        self.stored[key] = document
        self.index[key] = tuple(index)
        if silent:
            self.silent.add(key)

    def create_all(self, new: Sequence[tuple[Document, Sequence[Row]]], *, silent: bool = False) -> None:
        for document, index in new:
            self.create(document, index, silent=silent)

    def read(self, type: str, id: str, version: int | None = None) -> Document:
        document = self.stored.get(f"{type}/{id}")
        if document is None or version not in (None, document.version):
            raise NotFound(f"no such {type}")
        return document

    def search(self, search: Search) -> Page:
        found = [
            document
            for key, document in self.stored.items()
            if document.type == search.type
            and (search.include_silent or key not in self.silent)
            and all(self._meets(key, criterion) for criterion in search.criteria)
        ]
        found.sort(key=lambda document: document.last_updated, reverse=True)
        return Page(documents=tuple(found[: search.count]), total=len(found), next=None)

    def _meets(self, key: str, criterion: AnyCriterion) -> bool:
        assert isinstance(criterion, Criterion), "the real store knows the others"
        rows = [row for row in self.index[key] if row.name == criterion.name]
        if criterion.name == ID:
            rows = [IndexRow(name=ID, value=key.partition("/")[2])]
        return any(
            isinstance(row, IndexRow) and row.value == value and system in (None, row.system or "")
            for row in rows
            for system, value in criterion.alternatives
        )

    def claim(self, scope: str, key: str, owner: str, digest: str) -> tuple[str, str] | None:
        held = self.claims.get((scope, key))
        if held is None:
            self.claims[(scope, key)] = (owner, digest)
        return held

    def owner(self, scope: str, key: str) -> str | None:
        held = self.claims.get((scope, key))
        return held[0] if held else None


@dataclass(slots=True)
class FakeOutbox:
    """Outbound messages; ids from 1."""

    rows: list[QueueRow] = field(default_factory=list)

    def add(self, row: QueueRow) -> int:
        self.rows.append(replace(row, id=len(self.rows) + 1))
        return len(self.rows)

    def due(self, now: datetime, limit: int) -> Sequence[QueueRow]:
        waiting = [r for r in self.rows if r.state is QueueState.WAITING and (r.next_attempt_at or now) <= now]
        oldest = {(r.destination, r.patient_key): r for r in reversed(waiting)}
        return sorted(oldest.values(), key=lambda r: (r.priority, r.id or 0))[:limit]

    def sent(self, id: int) -> None:
        self.rows[id - 1] = replace(self.rows[id - 1], state=QueueState.SENT)

    def failed(self, id: int, error: str, next_attempt_at: datetime | None) -> None:
        row = self.rows[id - 1]
        state = QueueState.WAITING if next_attempt_at else QueueState.DEAD
        self.rows[id - 1] = replace(
            row, state=state, error=error, attempts=row.attempts + 1, next_attempt_at=next_attempt_at
        )

    def list(self, state: QueueState | None, limit: int) -> Sequence[QueueRow]:
        return [row for row in reversed(self.rows) if state in (None, row.state)][:limit]

    def counts(self) -> Mapping[QueueState, int]:
        return Counter(row.state for row in self.rows)

    def retry(self, id: int, destination: str | None, now: datetime) -> None:
        if not 1 <= id <= len(self.rows):
            raise NotFound("no such message")
        row = self.rows[id - 1]
        self.rows[id - 1] = replace(
            row, state=QueueState.WAITING, destination=destination or row.destination, next_attempt_at=now
        )


@dataclass(slots=True)
class FakeAnalyses:
    """Analysis rows by id."""

    rows: dict[str, AnalysisRow] = field(default_factory=dict)

    def add(self, row: AnalysisRow) -> None:
        self.rows[row.id] = row

    def get(self, id: str) -> AnalysisRow:
        if id not in self.rows:
            raise NotFound("no such analysis")
        return self.rows[id]


@dataclass(slots=True)
class FakeFeatures:
    """Rows of the feature cache by key, the oldest first."""

    rows: dict[bytes, FeatureRow] = field(default_factory=dict)

    def add(self, row: FeatureRow, at: datetime) -> None:
        self.rows.setdefault(row.key, row)

    def find(self, key: bytes) -> FeatureRow | None:
        return self.rows.get(key)

    def prune(self, newest: int, at_most: int) -> int:
        old = list(self.rows)[: max(0, min(at_most, len(self.rows) - newest))]
        for key in old:
            del self.rows[key]
        return len(old)


@dataclass(slots=True)
class FakeTrail:
    """Audit entries in order."""

    entries: list[AuditEntry] = field(default_factory=list)

    def append(self, entry: AuditEntry) -> None:
        self.entries.append(entry)


@dataclass(slots=True)
class FakeUnitOfWork:
    """A whole store, to look into."""

    inbox: FakeInbox = field(default_factory=FakeInbox)
    documents: FakeDocuments = field(default_factory=FakeDocuments)
    outbox: FakeOutbox = field(default_factory=FakeOutbox)
    analyses: FakeAnalyses = field(default_factory=FakeAnalyses)
    features: FakeFeatures = field(default_factory=FakeFeatures)
    trail: FakeTrail = field(default_factory=FakeTrail)

    @property
    def uow(self) -> UnitOfWork:
        """Itself, as what it stands for: a protocol with attributes takes exactly their types, not narrower ones."""
        return cast(UnitOfWork, self)

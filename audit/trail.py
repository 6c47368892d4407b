"""The audit trail in the database: writing chains, noting their heads, verifying them."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, and_, func, select, update

from audit.chain import GENESIS_HASH, Anchor, Head, Link, Verifier, first_entry, link, named_heads
from audit.columns import storable
from audit.insert import insert_all, insert_if_absent
from audit.records import AuditEntry, ChainReport
from audit.schema import audit_entries, audit_heads

STREAM_ROWS = 1000  # keeps memory flat while a trail of any length is verified

_entries = audit_entries.c


class BufferedTrail:
    """`audit.records.Trail`: keeps the entries of one unit of work until its transaction chains them, so that a unit
    that fails leaves no gap in the chain."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []

    def append(self, entry: AuditEntry) -> None:
        """Add one entry to this process's chain, inside the transaction. Raises ValueError for a naive time: found only
        when the entries are written, it would cost all units of work of the commit."""
        if entry.recorded_at.tzinfo is None:
            raise ValueError("an audit entry's time must be aware")
        self.entries.append(entry)


class Chain:
    """This process's chain. Used by the writer thread only."""

    def __init__(self, chain_id: str, index_revision: int | None = None) -> None:
        self.chain_id = storable(chain_id)
        self._index_revision = index_revision
        self._head: Head | None = None
        self._connections = 0
        self._head_of = 0

    def reconnected(self) -> None:
        """There is a new connection: behind it may be a database that was restored to an earlier moment, or a standby
        that lacks the last commits, and the head is what is found there. Called by any thread."""
        self._connections += 1

    def write(self, connection: Connection, entries: Sequence[AuditEntry]) -> Head:
        """Insert the entries as successors of the head; the new head counts once `advance` is told of the commit.

        Until then the head is unknown and would be read again: whether a failed commit took effect, only the database
        knows.
        """
        head = self._current(connection)
        self._head = None
        cleaned = [_cleaned(entry) for entry in entries]
        if head.seq == 0:
            cleaned.insert(0, first_entry(self.chain_id, _unnamed_heads(connection), cleaned[0]))
            _announce(connection, self.chain_id, cleaned[0].recorded_at, self._index_revision)
        links: list[Link] = []
        for entry in cleaned:
            links.append(link(self.chain_id, head, entry))
            head = Head(links[-1].seq, links[-1].hash)
        insert_all(connection, audit_entries, [each.columns() for each in links])
        return head

    def advance(self, head: Head) -> None:
        """The transaction that wrote up to `head` is committed."""
        self._head = head

    def _current(self, connection: Connection) -> Head:
        """The newest entry, as far as this database goes."""
        if self._head_of != self._connections:
            self._head, self._head_of = None, self._connections
        return self._head or _newest(connection, self.chain_id)

    def note_head(self, connection: Connection, now: datetime) -> Head:
        """Write the head and the time to `audit_heads`, also where the head has not moved: a commit each time."""
        head = self._current(connection)
        if head.seq > 0:
            noted = update(audit_heads).where(audit_heads.c.chain_id == self.chain_id, audit_heads.c.seq <= head.seq)
            connection.execute(noted.values(seq=head.seq, hash=head.hash, written_at=now))
        return head


def read_heads(connection: Connection) -> dict[str, Head]:
    """The newest entry of every chain."""
    of_chain = audit_entries.alias("of_chain")
    newest = select(func.max(of_chain.c.seq)).where(of_chain.c.chain_id == audit_heads.c.chain_id).scalar_subquery()
    same = and_(_entries.chain_id == audit_heads.c.chain_id, _entries.seq == newest)
    query = select(_entries.chain_id, _entries.seq, _entries.hash).select_from(audit_heads.join(audit_entries, same))
    return {row.chain_id: Head(row.seq, row.hash) for row in connection.execute(query)}


def verify(connection: Connection, expected: Mapping[str, tuple[int, str]]) -> ChainReport:
    """Walk through every entry. expected: heads that were kept outside the database, chain id -> (seq, hash hex)."""
    kept = [Anchor(chain_id, Head(*head), "the heads file") for chain_id, head in expected.items()]
    verifier = Verifier([*kept, *_anchors(connection)])
    query = select(audit_entries).order_by(_entries.chain_id, _entries.seq)
    for row in connection.execution_options(yield_per=STREAM_ROWS).execute(query):
        verifier.check(Link(**row._mapping))
    return verifier.finish()


def _anchors(connection: Connection) -> Iterator[Anchor]:
    for row in connection.execute(select(audit_heads).where(audit_heads.c.seq > 0)):
        yield Anchor(row.chain_id, Head(row.seq, row.hash), "audit_heads")
    firsts = select(_entries.chain_id, _entries.payload).where(_entries.seq == 1, _entries.payload.is_not(None))
    for row in connection.execute(firsts):
        for chain_id, head in named_heads(row.payload).items():
            yield Anchor(chain_id, head, f"the first entry of chain {row.chain_id}")


def _unnamed_heads(connection: Connection) -> dict[str, Head]:
    """The heads that no chain names yet: each is named once, so that first entries do not grow with the years."""
    first = and_(_entries.chain_id == audit_heads.c.chain_id, _entries.seq == 1)
    firsts = select(_entries.payload).select_from(audit_heads.join(audit_entries, first))
    payloads = connection.execute(firsts.where(_entries.payload.is_not(None))).scalars()
    named = {named for payload in payloads for named in named_heads(payload).items()}
    return {chain_id: head for chain_id, head in read_heads(connection).items() if (chain_id, head) not in named}


def _newest(connection: Connection, chain_id: str) -> Head:
    query = select(_entries.seq, _entries.hash).where(_entries.chain_id == chain_id)
    row = connection.execute(query.order_by(_entries.seq.desc()).limit(1)).first()
    return Head() if row is None else Head(row.seq, row.hash)


def _announce(connection: Connection, chain_id: str, now: datetime, index_revision: int | None) -> None:
    """List the chain, so that chains are found without a walk through all entries."""
    values = {"chain_id": chain_id, "seq": 0, "hash": GENESIS_HASH, "written_at": now, "index_revision": index_revision}
    insert_if_absent(connection, audit_heads, values)


def _cleaned(entry: AuditEntry) -> AuditEntry:
    """The entry with texts that read back exactly as they were hashed."""
    return AuditEntry(
        event=entry.event,
        recorded_at=entry.recorded_at,
        subject=storable(entry.subject),
        correlation_id=storable(entry.correlation_id),
        payload=entry.payload,
    )

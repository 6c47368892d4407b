"""The store: one database, opened once per process."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, event

from audit import reindex, retention, trail
from audit.criteria import IndexDefinitions
from audit.engine import PAGE_BYTES, Engines, connect, sqlite_file
from audit.failures import Contended, storage_errors
from audit.features import SqlFeatures
from audit.leader import Leader
from audit.log_file import reserve
from audit.period import Period
from audit.records import ChainReport, FeatureRow, Reader, UnitOfWork
from audit.reindex import RowsOf
from audit.retention_records import Expired, RetentionLimits
from audit.unit_of_work import SqlReader, transaction
from audit.upgrade import require_usable
from inference.errors import EcgError, InternalError, StorageUnavailable

T = TypeVar("T")

# Above this a checkpoint also empties the log file, for which writers wait 70 ms. Only a reader that holds on to an old
# snapshot lets it come to that.
MAX_WAL_BYTES = 128 * 1024 * 1024
# How long that may take, readers of old snapshots included, before it is left to the next checkpoint.
CHECKPOINT_TIMEOUT_SECONDS = 1.0
# A job that another process was in the way of is done again alone. Two jobs that are alone cannot block each other
# (they claim in one order), so only batches of that process can still be in the way, each time after a second at least.
CONTENDED_RETRIES = 5


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint found: bytes in SQLite's write-ahead log, and how many of them are now in the database."""

    log_bytes: int
    moved_bytes: int


class Store:
    """One database. Everything that writes is called by one thread, the readers' methods by any."""

    def __init__(
        self, engines: Engines, chain_id: str, file: Path | None, definitions: IndexDefinitions | None = None
    ) -> None:
        self._engines = engines
        self._definitions = definitions
        self._chain = trail.Chain(chain_id, definitions.revision if definitions else None)
        self._file = file
        self._leader = Leader(engines.writer)
        event.listen(engines.writer, "connect", lambda *_: self._chain.reconnected())

    @contextmanager
    def unit_of_work(self) -> Iterator[UnitOfWork]:
        """One transaction: commits at the end of the block, rolls back on any error.

        Raises StorageUnavailable when the database fails; then it is unknown whether a commit took effect.
        """
        with transaction(self._engines.writer, self._chain) as running, running.unit_of_work() as uow:
            yield uow

    def run_batch(self, jobs: Sequence[Callable[[UnitOfWork], T]]) -> list[T | Exception]:
        """Run each job in its own savepoint (one alone needs none), commit once, give each one's result or error in the
        jobs' order.

        A job that raises undoes only itself. When the commit fails, or the connection is lost on the way,
        every job gets StorageUnavailable. A job that was undone because another process was in its way (a deadlock)
        runs again, in a transaction of its own.
        """
        outcomes = self._batch(jobs)
        for place, outcome in enumerate(outcomes):
            if isinstance(outcome, Contended):
                outcomes[place] = self._again(jobs[place], outcome)
        return outcomes

    def _again(self, job: Callable[[UnitOfWork], T], contended: Exception) -> T | Exception:
        outcome: T | Exception = contended
        for _ in range(CONTENDED_RETRIES):
            (outcome,) = self._batch([job])
            if not isinstance(outcome, Contended):
                break
        return outcome

    def _batch(self, jobs: Sequence[Callable[[UnitOfWork], T]]) -> list[T | Exception]:
        if len(jobs) == 1:
            return [self._alone(jobs[0])]
        try:
            with transaction(self._engines.writer, self._chain) as running:
                return [running.attempt(job) for job in jobs]
        except EcgError as error:
            return [_copy(error) for _ in jobs]

    def _alone(self, job: Callable[[UnitOfWork], T]) -> T | Exception:
        """Without a savepoint: a job that fails has nothing to undo but its own transaction."""
        try:
            with self.unit_of_work() as uow:
                return job(uow)
        except Exception as error:  # noqa: BLE001  whatever a job raises belongs to its caller, who gets it
            return error

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """A read-only snapshot. Raises StorageUnavailable."""
        with self._read_connection() as connection:
            yield SqlReader(connection)

    def known_features(self, key: bytes) -> FeatureRow | None:
        """What was calculated under a key before. Called by any thread. Raises StorageUnavailable."""
        with storage_errors(), self._engines.single.connect() as connection:
            return SqlFeatures(connection).find(key)

    def check(self) -> None:
        """Raises StorageUnavailable when the database cannot be read, ConfigurationError when it is not migrated."""
        with self._read_connection() as connection:
            require_usable(connection)

    def write_heads(self, now: datetime) -> Mapping[str, tuple[int, str]]:
        """Note the head of this process's chain in `audit_heads`; gives chain id -> (seq, hash hex) for the log."""
        with storage_errors(), self._engines.writer.begin() as connection:
            head = self._chain.note_head(connection, now)
        return {self._chain.chain_id: (head.seq, head.hash)} if head.seq else {}

    def export_heads(self) -> Mapping[str, tuple[int, str]]:
        """The newest entry of every chain, to be kept outside the database and given to `verify` later."""
        with self._read_connection() as connection:
            return {chain_id: (head.seq, head.hash) for chain_id, head in trail.read_heads(connection).items()}

    def verify(self, expected_heads: Mapping[str, tuple[int, str]] | None = None) -> ChainReport:
        """Walk through the whole audit trail: changed fields, changed payloads, missing entries, cut ends."""
        with self._read_connection() as connection:
            return trail.verify(connection, expected_heads or {})

    @contextmanager
    def period(self, begin: datetime, end: datetime) -> Iterator[Period]:
        """The audit entries of a period, in one snapshot. Raises StorageUnavailable."""
        with self._read_connection() as connection:
            yield Period(connection, begin, end)

    def expired(self, limits: RetentionLimits) -> Expired:
        """How much retention has to delete. Raises StorageUnavailable."""
        with self._read_connection() as connection:
            return retention.expired(connection, limits)

    def forget(self, limits: RetentionLimits) -> Iterator[float]:
        """Delete it, in transactions of some milliseconds; gives the seconds that each took. Beside a running service.

        Raises StorageUnavailable; what was deleted until then stays so."""
        with storage_errors():
            yield from retention.forget(self._engines.reader, self._engines.writer, limits)

    def serves_index(self) -> bool:
        """Whether documents are found by the rows there are. Raises StorageUnavailable."""
        with self._read_connection() as connection:
            return reindex.serves(reindex.index_state(connection), self._own_definitions())

    def index_anew(self, now: datetime, rows_of: RowsOf) -> None:
        """Make the rows of all documents stored until now by this program's definitions, some in each transaction.

        Interrupted, it begins again the next time. Other processes may go on storing. Raises StorageUnavailable."""
        self._index(now, rows_of)

    def index_missed(self, now: datetime, types: Iterable[str], rows_of: RowsOf) -> bool:
        """The same for documents of these types that other versions of the program have stored meanwhile; False where
        there can be none. Raises StorageUnavailable."""
        with self._read_connection() as connection:
            since = reindex.missed_since(connection, self._own_definitions())
        if since is None:
            return False
        self._index(now, rows_of, types, since)
        return True

    def _index(
        self, now: datetime, rows_of: RowsOf, types: Iterable[str | None] = (None,), since: datetime | None = None
    ) -> None:
        for type_ in types:
            work = partial(reindex.reindex_after, rows_of=rows_of, until=now, type=type_, since=since)
            place: reindex.Place | None = ("", "")
            while place is not None:
                place = self._index_batch(work, place)
        with storage_errors(), self._engines.writer.begin() as connection:
            reindex.note(connection, self._own_definitions(), now)

    def _index_batch(
        self, work: Callable[[Connection, reindex.Place], reindex.Place | None], place: reindex.Place
    ) -> reindex.Place | None:
        """One transaction, again where it stood in another process's way."""
        for attempt in range(CONTENDED_RETRIES + 1):
            try:
                with storage_errors(), self._engines.writer.begin() as connection:
                    return work(connection, place)
            except Contended:
                if attempt == CONTENDED_RETRIES:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _own_definitions(self) -> IndexDefinitions:
        if self._definitions is None:
            raise InternalError("this store was opened without definitions of its index")
        return self._definitions

    def checkpoint(self) -> Checkpoint | None:
        """Move SQLite's write-ahead log into the database file; to be called every second, by any one thread. Called by
        the writer's thread it lets the next commit begin the log anew.

        Does not hold up writers unless the log has grown over MAX_WAL_BYTES. None on PostgreSQL, which does its own.
        """
        if self._file is None:
            return None
        try:
            return _checkpoint(self._file)
        except sqlite3.Error as error:
            raise StorageUnavailable(f"database: {error.sqlite_errorname}") from None

    def leads(self) -> bool:
        """Whether this process, among those that share the database, is the one to deliver results; it takes the lead
        when nobody has it. Called by any thread. Raises StorageUnavailable."""
        return self._leader.leads()

    def reserve_log(self) -> None:
        """Give SQLite's write-ahead log its working size, so that commits need not lengthen it. Nothing on PostgreSQL.

        Raises StorageUnavailable."""
        if self._file is not None:
            with storage_errors(), self._engines.writer.begin():
                reserve(self._file)

    def close(self) -> None:
        """Close every connection."""
        self._leader.resign()
        self._engines.dispose()

    @contextmanager
    def _read_connection(self) -> Iterator[Connection]:
        with storage_errors(), self._engines.reader.connect() as connection, connection.begin():
            yield connection


def open_store(url: str, *, chain_id: str, definitions: IndexDefinitions | None = None) -> Store:
    """Open a migrated database. chain_id: the name of this process's audit chain, never used before. definitions: by
    which this process makes the rows that documents are found by; None where it stores no documents.

    Raises ConfigurationError for an unusable URL and for a database that is not migrated (see `audit.upgrade`),
    StorageUnavailable when it cannot be reached.
    """
    store = Store(connect(url), chain_id, sqlite_file(url), definitions)
    try:
        store.check()
    except EcgError:
        store.close()
        raise
    return store


def _copy(error: EcgError) -> EcgError:
    """One object for each job: their tracebacks are extended by different callers."""
    copy = type(error)(error.message)
    copy.__cause__ = error.__cause__
    return copy


def _checkpoint(file: Path) -> Checkpoint:
    with closing(sqlite3.connect(file, timeout=CHECKPOINT_TIMEOUT_SECONDS, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = FULL").close()
        _, pages, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if pages * PAGE_BYTES > MAX_WAL_BYTES:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
    return Checkpoint(pages * PAGE_BYTES, moved * PAGE_BYTES)

"""Units of work, alone or several in one commit."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from audit.alerts import SqlAlerts
from audit.analyses import SqlAnalyses
from audit.card_records import Cards
from audit.cards import SqlCards
from audit.chain import Head
from audit.documents import SqlDocuments
from audit.driver import run
from audit.entries import SqlEntries
from audit.failures import storage_errors, translated
from audit.features import SqlFeatures
from audit.monitoring_records import Alerts, Observed, Reports
from audit.observed import SqlObserved
from audit.overreads import SqlOverreads
from audit.queues import SqlInbox, SqlOutbox
from audit.records import (
    Analyses,
    AuditEntry,
    Documents,
    Entries,
    Features,
    Inbox,
    Outbox,
    Overreads,
    Trail,
    UnitOfWork,
)
from audit.reports import SqlReports
from audit.shadow_records import Shadows
from audit.shadows import SqlShadows
from audit.trail import BufferedTrail, Chain
from inference.errors import StorageUnavailable

T = TypeVar("T")


class SqlReader:
    """`audit.records.Reader` on a connection."""

    def __init__(self, connection: Connection) -> None:
        self.inbox: Inbox = SqlInbox(connection)
        self.documents: Documents = SqlDocuments(connection)
        self.outbox: Outbox = SqlOutbox(connection)
        self.analyses: Analyses = SqlAnalyses(connection)
        self.features: Features = SqlFeatures(connection)
        self.overreads: Overreads = SqlOverreads(connection)
        self.shadows: Shadows = SqlShadows(connection)
        self.cards: Cards = SqlCards(connection)
        self.reports: Reports = SqlReports(connection)
        self.alerts: Alerts = SqlAlerts(connection)
        self.observed: Observed = SqlObserved(connection)
        self.entries: Entries = SqlEntries(connection)


class SqlUnitOfWork(SqlReader):
    """`audit.records.UnitOfWork` on a connection."""

    def __init__(self, connection: Connection, trail: Trail) -> None:
        super().__init__(connection)
        self.trail: Trail = trail


class Transaction:
    """One transaction of the writer thread."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.entries: list[AuditEntry] = []

    @contextmanager
    def unit_of_work(self) -> Iterator[UnitOfWork]:
        """A unit that stands or falls with the transaction."""
        trail = BufferedTrail()
        yield SqlUnitOfWork(self._connection, trail)
        self.entries.extend(trail.entries)

    def attempt(self, job: Callable[[UnitOfWork], T]) -> T | Exception:
        """Run a job in its own savepoint; one that fails undoes only itself.

        Gives back what the job returns or raises. Raises StorageUnavailable when the savepoint itself fails: then the
        connection is lost, or the database has rolled back the whole transaction (SQLite may when the disk is full).
        """
        self._run("SAVEPOINT job")
        try:
            with self.unit_of_work() as uow:
                result = job(uow)
        except SQLAlchemyError as error:
            failure = translated(error)
            self._undo_job(failure)
            return failure
        except Exception as error:  # noqa: BLE001  whatever a job raises belongs to its caller, who gets it
            self._undo_job(error)
            return error
        self._run("RELEASE SAVEPOINT job")
        return result

    def _undo_job(self, failure: Exception) -> None:
        reason = failure.message if isinstance(failure, StorageUnavailable) else "the transaction is lost"
        self._run("ROLLBACK TO SAVEPOINT job", reason)
        self._run("RELEASE SAVEPOINT job", reason)

    def _run(self, statement: str, reason: str = "the transaction is lost") -> None:
        # To a database that has given up the transaction the savepoint is simply unknown.
        try:
            run(self._connection, statement, ())
        except SQLAlchemyError:
            raise StorageUnavailable(reason) from None


@contextmanager
def transaction(engine: Engine, chain: Chain) -> Iterator[Transaction]:
    """Begin, run the block, chain its audit entries, commit; roll back on any error.

    Raises StorageUnavailable where the database fails, Duplicate where a constraint is broken.
    """
    with storage_errors():
        with engine.begin() as connection:
            running = Transaction(connection)
            yield running
            head = _chained(connection, chain, running.entries) if running.entries else None
        if head is not None:
            chain.advance(head)


def _chained(connection: Connection, chain: Chain, entries: list[AuditEntry]) -> Head:
    try:
        return chain.write(connection, entries)
    except IntegrityError:
        # The entries' own key is (chain_id, seq): a second process extends a chain of the same name.
        raise StorageUnavailable("another process has extended this process's audit chain") from None

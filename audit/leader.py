"""One process among several on a PostgreSQL database does what must be done once at a time, such as delivering results.

It holds an advisory lock in a session of its own. PostgreSQL frees the lock when that session ends, however the process
ended, and then the next process that asks has it. (A connection pooler between us and the database must not share
sessions: PgBouncer's session mode, not its transaction mode.)
"""

from threading import Lock

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from audit.failures import storage_errors

DELIVERY_LOCK = 0x45_43_47_02


class Leader:
    """This process's part in the question who leads."""

    def __init__(self, engine: Engine, key: int = DELIVERY_LOCK) -> None:
        self._engine = engine
        self._key = key
        self._session: Connection | None = None
        self._turn = Lock()

    def leads(self) -> bool:
        """Whether this process leads now; it takes the lead when nobody has it. Raises StorageUnavailable."""
        if self._engine.dialect.name == "sqlite":
            return True  # there is one serving process only, by its lock file
        with self._turn, storage_errors():
            if self._session is not None and self._lives(self._session):
                return True
            session = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            if session.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": self._key}).scalar_one():
                self._session = session
                return True
            session.close()
            return False

    def resign(self) -> None:
        """Let another process lead."""
        with self._turn:
            self._drop()

    def _lives(self, session: Connection) -> bool:
        try:
            session.execute(text("SELECT 1"))
        except DBAPIError:
            self._drop()
            return False
        return True

    def _drop(self) -> None:
        if self._session is not None:
            self._session.invalidate()  # the lock belongs to the session: back in the pool it would stay
            self._session.close()
            self._session = None

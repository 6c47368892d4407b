"""Column types that SQLAlchemy does not bring, and the form in which text from outside is stored."""

import hashlib
from datetime import UTC, datetime

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, LargeBinary, Text
from sqlalchemy.types import TypeDecorator

from audit.packed import Packed, compressed, decompressed
from audit.records import AcknowledgementState

# At up to four bytes each, three such texts fit in one index entry of PostgreSQL (at most 2,704 bytes).
MAX_KEY_CHARACTERS = 200

_LETTERS = {
    AcknowledgementState.PENDING: "P",
    AcknowledgementState.DELIVERED: "D",
    AcknowledgementState.UNDELIVERED: "U",
    AcknowledgementState.NOT_OWED: "N",
}
_STATES = {letter: state for state, letter in _LETTERS.items()}

Key = Text().with_variant(Text(collation="C"), "postgresql")
"""A text that is compared by code points, on both databases: in the order of Python's strings, and so that an index
answers what a value begins with."""

RowId = BigInteger().with_variant(Integer(), "sqlite")
"""A generated number. SQLite generates numbers only for a column declared exactly INTEGER."""


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time, stored in UTC with microseconds and read back aware. A naive one is refused with ValueError."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored time must be aware")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Aware again."""
        if value is None:
            return None
        # SQLite keeps no offset; PostgreSQL answers in the zone of its session.
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Payload(TypeDecorator[bytes]):
    """Bytes, also where SQLite gives text, which it keeps in any column: somebody wrote it there, and has to be found
    out by its digest."""

    impl = LargeBinary
    cache_ok = True

    def process_result_value(self, value: bytes | str | None, dialect: Dialect) -> bytes | None:
        """As bytes."""
        return value.encode() if isinstance(value, str) else value


class Compressed(TypeDecorator[bytes]):
    """Bytes, stored as one Zstandard frame. What was packed already is stored as it is."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: bytes | Packed | None, dialect: Dialect) -> bytes | None:
        """Pack."""
        if isinstance(value, Packed):
            return value.frame
        return None if value is None else compressed(value)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        """Unpack."""
        return None if value is None else decompressed(value)


class AcknowledgementLetter(TypeDecorator[AcknowledgementState]):
    """The state of an acknowledgement as one letter. It changes after each message, and SQLite writes a row that keeps
    its length in one page; one that grows is written anew with the whole message in it, 38 pages for an ECG."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: AcknowledgementState | None, dialect: Dialect) -> str | None:
        """To its letter."""
        return None if value is None else letter(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> AcknowledgementState | None:
        """From its letter."""
        return None if value is None else _STATES[value]


def letter(state: AcknowledgementState) -> str:
    """The state as `AcknowledgementLetter` stores it."""
    return _LETTERS[state]


def storable(text: str) -> str:
    """The text with what no database takes (NUL, lone surrogates) replaced by U+FFFD."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").replace("\0", "\ufffd")


def as_key(text: str) -> str:
    """The text as it is stored in an indexed column: itself, or `sha256:` and its digest where it is too long for an
    index or holds what no database takes. Equal texts give equal keys, so that comparison still works."""
    if len(text) <= MAX_KEY_CHARACTERS and ((text.isascii() and "\0" not in text) or storable(text) == text):
        return text
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

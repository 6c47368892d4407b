"""Cursors of searches and histories: opaque to those who follow them, checked when they come back."""

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TypeAlias

from audit.columns import as_key
from audit.criteria import ID, LAST_UPDATED, Order, Search
from inference.errors import SearchInvalid

Key: TypeAlias = str | float | None


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last document shown. keys: what it was sorted by; times in microseconds."""

    keys: tuple[Key, ...]
    id: str

    def written(self, search: Search) -> str:
        """As it goes into a link."""
        return seal([*self.keys, self.id], _asked(search))

    @classmethod
    def read(cls, cursor: str, search: Search) -> "Cursor":
        """Raises SearchInvalid for one that cannot be read or belongs to another search."""
        *keys, last = unseal(cursor, _asked(search)) or [None]
        fit = len(keys) == len(search.order) and all(_fits(*each) for each in zip(keys, search.order, strict=True))
        if not fit or not isinstance(last, str):
            raise SearchInvalid("this page link cannot be read")
        return cls(tuple(keys), as_key(last))

    def precedes(self, keys: Sequence[Key], id: str, order: Sequence[Order]) -> bool:
        """Whether a document with these keys comes after the one shown last. Absent values come last."""
        for mine, other, by in zip(self.keys, keys, order, strict=True):
            if mine != other:
                if mine is None or other is None:
                    return other is None
                return bool(mine > other if by.descending else mine < other)  # type: ignore[operator]
        return self.id > id if order[-1].descending else self.id < id


def _fits(key: object, order: Order) -> bool:
    if order.name == LAST_UPDATED or order.ranges:
        return isinstance(key, float) or (key is None and order.ranges)
    return isinstance(key, str) or (key is None and order.name != ID)


def seal(place: Sequence[Key], asked: object) -> str:
    """A place in what was asked, as text for a URL."""
    text = json.dumps([_digest(asked), *place])
    return base64.urlsafe_b64encode(text.encode()).decode("ascii").rstrip("=")


def unseal(cursor: str, asked: object) -> list[Key]:
    """The place again. Raises SearchInvalid for one that cannot be read or belongs to something else."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        digest, *place = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if any(isinstance(key, float) and not isfinite(key) for key in place):
            raise ValueError("no place has such a number")
    except (binascii.Error, ValueError, TypeError, RecursionError):
        raise SearchInvalid("this page link cannot be read") from None
    if digest != _digest(asked):
        raise SearchInvalid("this page link belongs to another search")
    return list(place)


def _asked(search: Search) -> object:
    return search.type, search.criteria, search.order, search.include_silent


def _digest(asked: object) -> str:
    return hashlib.sha256(repr(asked).encode("utf-8", "surrogatepass")).hexdigest()[:16]

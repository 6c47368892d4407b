"""A `Search` as SQL, and its cursors.

Pages are cut by key, not by offset: a cursor names the last document shown (time and id), and the next page starts
after it, so that documents stored meanwhile neither repeat nor push out any. It also carries a digest of the search:
with another search its place would mean nothing.

Ids need no index: documents are stored by them. Else the first criterion leads: its documents are looked up in the
index, then tested for the others. So the most selective one (an identifier, a subject) should come first. Left the
choice, SQLite walks through all documents by time.
"""

import base64
import binascii
import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, and_, exists, false, func, join, or_, select, tuple_

from audit.columns import as_key
from audit.records import ID, Criterion, Document, Search
from audit.schema import document_index, documents
from inference.errors import SearchInvalid

_index = document_index.c
_PLACE = tuple_(documents.c.last_updated, documents.c.id)


def matching(search: Search) -> tuple[Select[Any], Select[int]]:
    """Queries for all current documents that match, and for their number."""
    conditions = [documents.c.type == search.type, documents.c.is_current, documents.c.deleted.is_(False)]
    if not search.include_silent:
        conditions.append(documents.c.silent.is_(False))
    named = [criterion for criterion in search.criteria if criterion.name == ID]
    indexed = [criterion for criterion in search.criteria if criterion.name != ID]
    conditions.extend(_is_one_of(criterion) for criterion in named)
    leads = bool(indexed) and not named
    conditions.extend(_also_meets(criterion) for criterion in indexed[leads:])
    source = _meeting(search.type, indexed[0]) if leads else documents
    found = select(documents).select_from(source).where(*conditions)
    return found, select(func.count()).select_from(source).where(*conditions)


def on_page(found: Select[Any], search: Search) -> Select[Any]:
    """The rows of one page and one more, which tells that there is a next page. Raises SearchInvalid."""
    if search.after is not None:
        found = found.where(tuple_(*_decode(search.after, search)) > _PLACE)
    return found.order_by(documents.c.last_updated.desc(), documents.c.id.desc()).limit(search.count + 1)


def cursor_after(last: Document, search: Search) -> str:
    """The cursor of the page that follows `last`."""
    place = json.dumps([_digest(search), last.last_updated.isoformat(), last.id])
    return base64.urlsafe_b64encode(place.encode()).decode("ascii").rstrip("=")


def _meeting(type: str, criterion: Criterion) -> FromClause:
    ids = select(_index.id).where(_index.type == type, _index.name == criterion.name, _one_of(criterion)).distinct()
    found = ids.subquery("found")
    return join(found, documents, and_(documents.c.type == type, documents.c.id == found.c.id))


def _is_one_of(criterion: Criterion) -> ColumnElement[bool]:
    """By the documents' own ids, which have no system."""
    return documents.c.id.in_([as_key(value) for system, value in criterion.alternatives if not system])


def _also_meets(criterion: Criterion) -> ColumnElement[bool]:
    same = and_(_index.type == documents.c.type, _index.name == criterion.name, _index.id == documents.c.id)
    return exists().where(same, _one_of(criterion))


def _one_of(criterion: Criterion) -> ColumnElement[bool]:
    return or_(false(), *(_equals(system, value) for system, value in criterion.alternatives))


def _equals(system: str | None, value: str) -> ColumnElement[bool]:
    same = _index.value == as_key(value)
    return same if system is None else and_(same, _index.system == as_key(system))


def _decode(cursor: str, search: Search) -> tuple[datetime, str]:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        digest, time, last = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        place = datetime.fromisoformat(time).astimezone(UTC), as_key(str(last))
    except (binascii.Error, ValueError, TypeError, OverflowError):
        raise SearchInvalid("this page link cannot be read") from None
    if digest != _digest(search):
        raise SearchInvalid("this page link belongs to another search")
    return place


def _digest(search: Search) -> str:
    asked = repr((search.type, search.criteria, search.include_silent))
    return hashlib.sha256(asked.encode("utf-8", "surrogatepass")).hexdigest()[:16]

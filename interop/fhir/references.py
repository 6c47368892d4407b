"""What the changes of a transaction mean by their references (FHIR R4 http.html section 3.1.0.11.2).

An entry may refer to another by its `fullUrl`, to what we hold by a search (`Patient?identifier=...`), and may itself
be found to be here already. Ids are given out first; then every reference is written anew, and nothing else of the
text.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from actions.ports import Ids
from audit.criteria import Search
from audit.records import Documents
from inference.errors import EcgError, InvalidContent, MultipleMatches
from interop.fhir.change import Change, Method, located
from interop.fhir.conditional import holder, matching
from interop.resources.codes import Json
from interop.resources.identifiers import identifiers_of

Names = Mapping[str, str]
Condition = Callable[[str, str], Search]

_REFERENCE = re.compile(rb'("reference"\s*:\s*")([^"\\]*)"')
_RESTFUL = re.compile(r"https?://\S+/(?P<name>[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64})")
_UNRESOLVED = ("urn:uuid:", "urn:oid:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A change and the resource it is about. matched: the id of what met its condition."""

    change: Change
    id: str
    matched: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """All changes, what their names stand for, and what was looked up for it: each search with what it found."""

    each: tuple[Resolved, ...]
    names: Names = field(default_factory=dict)
    looked_up: tuple[tuple[Search, str], ...] = ()


def resolve(documents: Documents | None, changes: Sequence[Change], ids: Ids, condition: Condition) -> Resolution:
    """Look up what is meant. documents: None where the changes have no conditions and no entries to refer to.
    condition: the search of a type and a query.

    Raises MultipleMatches, InvalidContent for references that lead nowhere, each with the place of its entry.
    """
    if documents is None:
        return Resolution(each=tuple(Resolved(change=one, id=one.id or str(ids())) for one in changes))
    each = tuple(_of_entry(documents, change, ids) for change in changes)
    names = {old: new for one in each for old, new in _names(one)}
    looked_up: list[tuple[Search, str]] = []
    for one in each:
        for reference in _references(one.change):
            if "?" in reference and reference not in names and reference[:1].isupper():
                search, found = _looked_up(documents, one.change, reference, condition)
                names[reference] = found
                looked_up.append((search, found))
            elif reference.startswith(_UNRESOLVED) and reference not in names:
                raise located(InvalidContent(f"{reference[:100]} is no fullUrl of this Bundle"), one.change)
    return Resolution(each=each, names=names, looked_up=tuple(looked_up))


def renamed(change: Change, names: Names) -> Change:
    """The change with its references as they are to be stored."""
    if not names or change.content is None or not change.place:
        return change

    def written(match: re.Match[bytes]) -> bytes:
        new = names.get(match[2].decode(errors="replace"))
        return match[0] if new is None else match[1] + new.encode() + b'"'

    return replace(change, content=_REFERENCE.sub(written, change.content))


def still_meant(documents: Documents, found: Resolution) -> bool:
    """Whether what was looked up is found again."""
    return all(_name(search, matching(documents, search)) == name for search, name in found.looked_up)


def _of_entry(documents: Documents, change: Change, ids: Ids) -> Resolved:
    try:
        matched = _matched(documents, change)
    except EcgError as error:
        raise located(error, change) from error
    if change.method is Method.POST:
        return Resolved(change=change, id=matched or _held(documents, change) or str(ids()), matched=matched)
    if change.condition is None:
        return Resolved(change=change, id=change.id or "")
    own = _peeked(change).get("id") if matched is None and change.content else None
    name = matched or own or str(ids())
    # A delete looks again by its condition, an update has to agree with the id of what it found.
    return Resolved(change=change if matched is None else replace(change, id=matched), id=name, matched=matched)


def _matched(documents: Documents, change: Change) -> str | None:
    if change.condition is None:
        return None
    found = matching(documents, change.condition)
    return found.id if found else None


def _held(documents: Documents, change: Change) -> str | None:
    """The ECG of a Bundle that is here already by its own identifiers; whether it is the same is asked later."""
    if change.type != "Observation" or not change.place:
        return None
    identifiers = identifiers_of(_listed(_peeked(change).get("identifier")))
    found = holder(documents, identifiers) if identifiers else None
    return None if found is None or found.deleted else found.id


def _names(one: Resolved) -> Iterator[tuple[str, str]]:
    change = one.change
    if change.name is None or change.method is Method.DELETE:
        return
    new = f"{change.type}/{one.matched or one.id}"
    yield change.name, new
    restful = _RESTFUL.fullmatch(change.name)
    if restful:  # then its neighbours may refer to it without the base
        yield restful["name"], new


def _references(change: Change) -> Iterator[str]:
    if change.content is not None and change.place:
        for match in _REFERENCE.finditer(change.content):
            yield match[2].decode(errors="replace")


def _looked_up(documents: Documents, change: Change, reference: str, condition: Condition) -> tuple[Search, str]:
    type_, _, query = reference.partition("?")
    try:
        search = condition(type_, query)
        found = matching(documents, search)
    except MultipleMatches as error:
        raise located(MultipleMatches(f"{reference[:100]}: {error.message}"), change) from error
    except EcgError as error:
        raise located(error, change) from error
    if found is None:
        raise located(InvalidContent(f"{reference[:100]} finds nothing"), change)
    return search, f"{type_}/{found.id}"


def _name(search: Search, found: Any) -> str | None:
    return f"{search.type}/{found.id}" if found else None


def _peeked(change: Change) -> Json:
    """The resource before it is checked: nothing if it cannot be read, which is told later."""
    try:
        raw = orjson.loads(change.content or b"{}")
    except orjson.JSONDecodeError:
        return {}
    return raw if isinstance(raw, dict) else {}


def _listed(value: object) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []

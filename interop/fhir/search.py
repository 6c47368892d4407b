"""A FHIR search as `audit.records.Search`, and its answer as a searchset Bundle (FHIR R4 search.html).

References: `subject=1`, `subject=Patient/1` and `subject=Patient:1` forms are made one; an absolute URL is looked up as
it was given, and without our own base where it has it. Unknown parameters become a warning in the Bundle, or an error
when the client prefers strict handling; an unknown modifier is always an error, as section 3.1.1.4.5 demands.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import orjson

from audit.records import Criterion, Document, Page, Search
from inference.errors import SearchInvalid
from interop.fhir.outcome import Issue, outcome
from interop.fhir.parameters import COUNT, CURSOR, GENERAL, PARAMETERS, Kind, Parameter, parameter

DEFAULT_COUNT = 50
# An ECG Observation is 300 kB; a page of these is the most that a client should get at once.
MAX_COUNT = 200
SILENT = "silent"

Pairs = Sequence[tuple[str, str]]
Alternative = tuple[str | None, str]

_SEPARATOR = re.compile(r"(?<!\\),")
_PIPE = re.compile(r"(?<!\\)\|")
_ESCAPED = re.compile(r"\\([,|$\\])")


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed search. understood: the parameters that were used, for the self link. unknown: names that were not."""

    search: Search
    understood: tuple[tuple[str, str], ...]
    unknown: tuple[str, ...]


def parse(type: str, pairs: Pairs, base: str, *, strict: bool = False) -> Query:
    """The search for the parameters of a URL or a form. base: our own, `.../fhir`.

    Raises SearchInvalid for values and modifiers that cannot be used, and for unknown names when strict.
    """
    given = [(name, value) for name, value in pairs if value]
    known = [(name, value) for name, value in given if name in GENERAL or parameter(type, _split(name)[0])]
    unknown = tuple(dict.fromkeys(name for name, value in given if (name, value) not in known))
    if unknown and strict:
        raise SearchInvalid(f"{type} cannot be searched by {', '.join(unknown)}; {_offer(type)}", element=unknown[0])
    criteria = [_criterion(type, name, value, base) for name, value in known if name not in GENERAL]
    general = {name: value for name, value in known if name in GENERAL}
    search = Search(
        type=type,
        criteria=tuple(criteria),
        count=_count(general.get(COUNT)),
        after=general.get(CURSOR),
        include_silent=any(_asks_for_silent(c) for c in criteria),
    )
    return Query(search, tuple(known), unknown)


def bundle(query: Query, page: Page, base: str) -> bytes:
    """The searchset Bundle of one page. The documents go in as the bytes that are stored."""
    url = f"{base}/{query.search.type}"
    document: dict[str, Any] = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": page.total,
        "link": [_link("self", url, query.understood)],
    }
    if page.next is not None and query.search.count:
        others = [(name, value) for name, value in query.understood if name != CURSOR]
        document["link"].append(_link("next", url, [*others, (CURSOR, page.next)]))
    entries = [_match(stored, base) for stored in page.documents]
    if query.unknown:
        entries.append(_warning(query))
    if entries:  # FHIR has no empty lists
        document["entry"] = entries
    return orjson.dumps(document)


def _criterion(type: str, name: str, value: str, base: str) -> Criterion:
    plain, modifier = _split(name)
    found = parameter(type, plain)
    assert found is not None  # `parse` let only these through
    readers = {Kind.TOKEN: _token, Kind.REFERENCE: _reference}
    parts = [part for part in _SEPARATOR.split(value) if part]
    alternatives = [a for part in parts for a in readers[found.kind](found, modifier, part, base)]
    if not alternatives:
        raise SearchInvalid(f"{name} has no value", element=name)
    return Criterion(name=_row_name(found, modifier), alternatives=tuple(alternatives))


def _row_name(found: Parameter, modifier: str) -> str:
    return f"{found.row_name}:identifier" if modifier == "identifier" else found.row_name


def _token(found: Parameter, modifier: str, text: str, base: str) -> Iterable[Alternative]:
    """`system|code`, `|code` (no system), `code` (any system)."""
    if modifier:
        raise SearchInvalid(f"modifier :{modifier} of {found.name} is not supported", element=found.name)
    system, pipe, value = _at_pipe(text)
    if not value:
        raise SearchInvalid(f"{found.name} needs a value after the |", element=found.name)
    return [(system if pipe else None, value)]


def _reference(found: Parameter, modifier: str, text: str, base: str) -> Iterable[Alternative]:
    """`id`, `Type/id` or a URL; by `:identifier` the token of a reference without a target."""
    if modifier == "identifier":
        return _token(found, "", text, base)
    if modifier and not modifier[0].isupper():
        raise SearchInvalid(f"modifier :{modifier} of {found.name} is not supported", element=found.name)
    value = _unescaped(text)
    ours = value.removeprefix(f"{base}/")
    if "/" not in ours and ":" not in ours:
        return [(None, f"{modifier or found.target}/{ours}")]
    return [(None, form) for form in dict.fromkeys((ours, value))]


def _asks_for_silent(criterion: Criterion) -> bool:
    return criterion.name == "_tag" and any(value == SILENT for _, value in criterion.alternatives)


def _count(text: str | None) -> int:
    if text is None:
        return DEFAULT_COUNT
    if not (text.isascii() and text.isdigit()):
        raise SearchInvalid(f"{COUNT} is no number", element=COUNT)
    return min(int(text[:9]), MAX_COUNT)


def _split(name: str) -> tuple[str, str]:
    """`subject:Patient` -> its name and its modifier."""
    plain, _, modifier = name.partition(":")
    return plain, modifier


def _at_pipe(text: str) -> tuple[str, bool, str]:
    parts = _PIPE.split(text, maxsplit=1)
    return ("", False, _unescaped(text)) if len(parts) == 1 else (_unescaped(parts[0]), True, _unescaped(parts[1]))


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)


def _offer(type: str) -> str:
    return f"known are {', '.join(found.name for found in PARAMETERS[type])}"


def _link(relation: str, url: str, pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    query = urlencode(list(pairs))
    return {"relation": relation, "url": f"{url}?{query}" if query else url}


def _match(stored: Document, base: str) -> dict[str, Any]:
    return {
        "fullUrl": f"{base}/{stored.type}/{stored.id}",
        "resource": orjson.Fragment(stored.content),
        "search": {"mode": "match"},
    }


def _warning(query: Query) -> dict[str, Any]:
    searched = query.search.type
    offer = _offer(searched)
    issues = [
        Issue("warning", "not-supported", f"{searched} cannot be searched by {name}, which was ignored; {offer}")
        for name in query.unknown
    ]
    return {"resource": outcome(*issues), "search": {"mode": "outcome"}}

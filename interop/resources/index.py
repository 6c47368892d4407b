"""The rows that a resource is found by, one set for each search parameter (FHIR R4 search.html section 3.1.1.4).

References are found by `Type/id`, and by identifier under the name `parameter:identifier`, so that a patient whom we
know by number only is found as well. Ids have no rows: the store finds a document by its own (`audit.criteria.ID`).
"""

import unicodedata
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from audit.criteria import BY_IDENTIFIER, IndexRow, RangeRow, Row
from audit.times import FIRST, LAST, microseconds
from interop.resources.search_parameters import SEARCH_PARAMETERS, Kind, SearchParameter
from interop.resources.times import span

TAG = "_tag"
# Shorter ones are told apart by it; more of a note need not be indexed to be found.
MAX_STRING = 200

_BOUNDS: Mapping[str, tuple[bool, bool]] = {
    "<": (True, False),
    "<=": (True, False),
    ">": (False, True),
    ">=": (False, True),
}


def index_rows(resource: Mapping[str, Any]) -> tuple[Row, ...]:
    """The rows of one resource, without repetitions."""
    rows = [
        row for path, make in _plan(resource["resourceType"]) for value in _at(resource, path) for row in make(value)
    ]
    tags = [row for tag in resource.get("meta", {}).get("tag", ()) for row in _token(TAG, {"coding": [tag]})]
    return tuple(dict.fromkeys([*rows, *tags]))


Make = Callable[[Any], Iterator[Row]]


@lru_cache(maxsize=64)  # one entry for each type
def _plan(type: str) -> tuple[tuple[tuple[str, ...], Make], ...]:
    """Where to look and what to make of what is there; parameters that share rows are looked at once."""
    found = {parameter.row_name: parameter for parameter in SEARCH_PARAMETERS[type].values()}
    return tuple((tuple(path.split(".")), _maker(one)) for one in found.values() for path in one.paths)


def _maker(parameter: SearchParameter) -> Make:
    reader, name = _READERS[parameter.kind], parameter.row_name
    if parameter.system is None:
        return lambda value: reader(name, value)
    return lambda value: reader(name, value) if value.get("system") == parameter.system else iter(())


def _at(value: Any, path: tuple[str, ...]) -> Iterator[Any]:
    """Every value at a path."""
    if isinstance(value, list):
        for item in value:
            yield from _at(item, path)
    elif not path:
        yield value
    elif isinstance(value, Mapping) and path[0] in value:
        yield from _at(value[path[0]], path[1:])


def _token(name: str, value: Any) -> Iterator[IndexRow]:
    """A code, a boolean, an Identifier, a Coding, a ContactPoint, or each Coding of a CodeableConcept."""
    if isinstance(value, bool):
        yield IndexRow(name=name, value="true" if value else "false")
    elif isinstance(value, str):
        yield IndexRow(name=name, value=value)
    elif "coding" in value:
        for coding in value["coding"]:
            if "code" in coding:
                yield IndexRow(name=name, value=coding["code"], system=coding.get("system"))
    elif "code" in value:
        yield IndexRow(name=name, value=value["code"], system=value.get("system"))
    elif "value" in value:
        # The system of a ContactPoint says phone or email, and a search names none.
        contact = "rank" in value or value.get("system") in CONTACTS
        yield IndexRow(name=name, value=value["value"], system=None if contact else value.get("system"))


CONTACTS = frozenset({"phone", "fax", "email", "pager", "url", "sms", "other"})


def _reference(name: str, value: Any) -> Iterator[IndexRow]:
    literal = value.get("reference", "#")
    if not literal.startswith("#"):
        yield IndexRow(name=name, value=literal.partition("/_history/")[0])
    if "identifier" in value:
        yield from _token(f"{name}{BY_IDENTIFIER}", value["identifier"])


def _string(name: str, value: Any) -> Iterator[IndexRow]:
    """A text, or each text of a HumanName or an Address."""
    if isinstance(value, str):
        yield IndexRow(name=name, value=folded(value), system=value[:MAX_STRING])
    elif isinstance(value, Mapping):
        for member, part in value.items():
            if member not in NOT_TEXT:
                for text in part if isinstance(part, list) else [part]:
                    yield from _string(name, text)


# Members of a HumanName or an Address that are codes, times or no content.
NOT_TEXT = frozenset({"id", "extension", "use", "type", "period"})


def folded(text: str) -> str:
    """A text as strings are compared: without case, accents and repeated spaces (FHIR R4 section 3.1.1.4.8)."""
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return " ".join(plain.casefold().split())[:MAX_STRING]


def _date(name: str, value: Any) -> Iterator[RangeRow]:
    """A date, dateTime, instant or Period, as the time that it covers; a Timing has no such."""
    if isinstance(value, str):
        low, high = _covered(value)
    elif "start" in value or "end" in value:
        low = _covered(value["start"])[0] if "start" in value else microseconds(FIRST)
        high = _covered(value["end"])[1] if "end" in value else microseconds(LAST)
    else:
        return
    yield RangeRow(name=name, low=low, high=high, wide=high - low > Kind.DATE.span)


@lru_cache(maxsize=64)  # the documents of one analysis have two times between them
def _covered(text: str) -> tuple[float, float]:
    low, high = span(text)
    return microseconds(low), microseconds(high)


def _quantity(name: str, value: Any) -> Iterator[RangeRow]:
    """A value; one that is only bounded covers all that it may be. A unit that is shown otherwise than it is coded is
    found by both: what is shown has no system."""
    if "value" in value:
        below, above = _BOUNDS.get(value.get("comparator", ""), (False, False))
        number = float(value["value"])
        low, high = -_ENDLESS if below else number, _ENDLESS if above else number
        code, unit, wide = value.get("code"), value.get("unit"), below or above
        yield RangeRow(name=name, low=low, high=high, wide=wide, code=code or unit, system=value.get("system"))
        if code and unit and unit != code:
            yield RangeRow(name=name, low=low, high=high, wide=wide, code=unit)


# No number in a database, infinity is none in JSON, ends later.
_ENDLESS = 1e308

_READERS: dict[Kind, Callable[[str, Any], Iterator[Row]]] = {
    Kind.TOKEN: _token,
    Kind.REFERENCE: _reference,
    Kind.DATE: _date,
    Kind.STRING: _string,
    Kind.QUANTITY: _quantity,
}

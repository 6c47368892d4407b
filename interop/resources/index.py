"""What each resource type can be searched by, as data (FHIR R4 search parameter registry, 4.0.1).

References are found by `Type/id`, and by identifier under the name `parameter:identifier`, so that a patient whom we
know by number only is found as well. Ids have no rows: the store finds a document by its own (`audit.records.ID`).
"""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from audit.records import IndexRow
from interop.resources.times import instant, moment

# search parameter -> (element, or the forms of a choice)
TOKENS = "token"
REFERENCES = "reference"
DATES = "date"

SEARCH_PARAMETERS: dict[str, dict[str, tuple[str, tuple[str, ...]]]] = {
    "Observation": {
        "identifier": (TOKENS, ("identifier",)),
        "subject": (REFERENCES, ("subject",)),
        "code": (TOKENS, ("code",)),
        "status": (TOKENS, ("status",)),
        "date": (DATES, ("effectiveDateTime", "effectiveInstant", "effectivePeriod")),
        "derived-from": (REFERENCES, ("derivedFrom",)),
    },
    "DiagnosticReport": {
        "identifier": (TOKENS, ("identifier",)),
        "subject": (REFERENCES, ("subject",)),
        "result": (REFERENCES, ("result",)),
        "code": (TOKENS, ("code",)),
        "status": (TOKENS, ("status",)),
        "conclusion": (TOKENS, ("conclusionCode",)),
        "date": (DATES, ("effectiveDateTime", "effectivePeriod")),
        "based-on": (REFERENCES, ("basedOn",)),
    },
    "ServiceRequest": {
        "subject": (REFERENCES, ("subject",)),
        # R4 has no parameter for reasonReference; `reason` is ours.
        "reason": (REFERENCES, ("reasonReference",)),
        "code": (TOKENS, ("code",)),
        "priority": (TOKENS, ("priority",)),
        "status": (TOKENS, ("status",)),
        "intent": (TOKENS, ("intent",)),
        "authored": (DATES, ("authoredOn",)),
    },
    "Provenance": {
        "target": (REFERENCES, ("target",)),
    },
    "Device": {
        "identifier": (TOKENS, ("identifier",)),
    },
}


def index_rows(resource: Mapping[str, Any]) -> tuple[IndexRow, ...]:
    """The rows of one resource, without repetitions."""
    rows = [
        row
        for name, (kind, elements) in SEARCH_PARAMETERS[resource["resourceType"]].items()
        for element in elements
        if element in resource
        for value in _each(resource[element])
        for row in _READERS[kind](name, value)
    ]
    tags = [row for tag in resource.get("meta", {}).get("tag", ()) for row in _token("_tag", {"coding": [tag]})]
    return tuple(dict.fromkeys([*rows, *tags]))


def _each(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _token(name: str, value: Any) -> Iterator[IndexRow]:
    """A code, an Identifier, or each Coding of a CodeableConcept."""
    if isinstance(value, str):
        yield IndexRow(name=name, value=value)
    elif "coding" in value:
        for coding in value["coding"]:
            if "code" in coding:
                yield IndexRow(name=name, value=coding["code"], system=coding.get("system"))
    elif "value" in value:
        yield IndexRow(name=name, value=value["value"], system=value.get("system"))


def _reference(name: str, value: Any) -> Iterator[IndexRow]:
    literal = value.get("reference", "#")
    if not literal.startswith("#"):
        yield IndexRow(name=name, value=literal.partition("/_history/")[0])
    if "identifier" in value:
        yield from _token(f"{name}:identifier", value["identifier"])


def _date(name: str, value: Any) -> Iterator[IndexRow]:
    """A dateTime, or the start of a Period."""
    text = value if isinstance(value, str) else value.get("start")
    if text:
        yield IndexRow(name=name, value=_in_utc(text))


@lru_cache(maxsize=64)  # the documents of one analysis have two times between them
def _in_utc(text: str) -> str:
    return instant(moment(text).at)


_READERS: dict[str, Callable[[str, Any], Iterator[IndexRow]]] = {
    TOKENS: _token,
    REFERENCES: _reference,
    DATES: _date,
}

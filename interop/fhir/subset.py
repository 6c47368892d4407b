"""Parts of a resource: `_summary` and `_elements` (FHIR R4 search.html, sections 3.1.1.5.8 and 9); and `_pretty`.

Mandatory elements stay, and so do modifiers, without which the rest would read as something else. What was cut is
tagged SUBSETTED, so that nobody takes it for the whole and stores it. The values that stay keep their very text. Which
element is in a summary comes from `summary.json`, which `scripts/fhir_summary.py` writes from the official definitions
of 4.0.1; the samples of SampledData and the data of an Attachment are in none, so the summary of an ECG is small.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from typing import Any

import orjson

from inference.errors import SearchInvalid
from interop.resources.members import items, joined, members, parsed, written

SUMMARY, ELEMENTS = "_summary", "_elements"
SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
# What a client cannot do without: which resource this is, and that it is not whole.
ALWAYS = frozenset({"resourceType", "id", "meta"})

Row = Mapping[str, Any]

TYPES: Mapping[str, Mapping[str, Row]] = orjson.loads(
    resources.files("interop.resources").joinpath("summary.json").read_bytes()
)
_UNKNOWN: Row = {}


class Summary(StrEnum):
    """The values of `_summary`."""

    TRUE = "true"
    TEXT = "text"
    DATA = "data"
    COUNT = "count"
    FALSE = "false"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subset:
    """What of each resource is wanted. elements: top-level names, a choice by its stem; they count without summary."""

    summary: Summary | None = None
    elements: frozenset[str] = frozenset()

    @classmethod
    def of(cls, summary: str | None, elements: str | None) -> "Subset | None":
        """The parameters of a URL; None when whole resources are wanted. Raises SearchInvalid."""
        if summary and elements:
            raise SearchInvalid(f"{SUMMARY} and {ELEMENTS} cannot be combined", element=ELEMENTS)
        if elements:
            names = (name.strip().removesuffix("[x]") for name in elements.split(","))
            return cls(elements=frozenset(name for name in names if name))
        chosen = _summary(summary) if summary else Summary.FALSE
        return None if chosen is Summary.FALSE else cls(summary=chosen)

    @property
    def is_count(self) -> bool:
        """Whether only the number of matches is wanted, which makes sense in a search alone."""
        return self.summary is Summary.COUNT

    def keeps(self, name: str, row: Row) -> bool:
        """Whether a top-level member that nothing forces to stay is wanted."""
        if self.summary is None:
            return name in self.elements or row.get("choice") in self.elements
        return _KEPT[self.summary](name, row)


def subset(content: bytes, wanted: Subset) -> bytes:
    """The part of a stored resource. One of a type that `summary.json` does not have stays whole, as a server may
    decide, and so does each under `_summary=count`."""
    found = members(content.decode())
    rows = TYPES.get(json.loads(found["resourceType"]))
    if rows is None or wanted.is_count:
        return content
    kept = {name: text for name, text in found.items() if _stays(name, _row(rows, name), wanted)}
    if wanted.summary is Summary.TRUE:
        kept = {name: _summarised(text, _row(rows, name).get("type")) for name, text in kept.items()}
    return joined(kept | {"meta": _tagged(found.get("meta", "{}"))}).encode()


def pretty(content: bytes) -> bytes:
    """The same JSON, indented by two."""
    return written(parsed(content), indent=True)


_KEPT: Mapping[Summary, Callable[[str, Row], bool]] = {
    Summary.TRUE: lambda name, row: row.get("summary", False),
    Summary.TEXT: lambda name, row: name == "text",
    Summary.DATA: lambda name, row: name != "text",
}


def _summary(text: str) -> Summary:
    try:
        return Summary(text)
    except ValueError:
        raise SearchInvalid(f"{SUMMARY} is one of {', '.join(Summary)}", element=SUMMARY) from None


def _row(rows: Mapping[str, Row], name: str) -> Row:
    """The row of a member; `_birthDate`, which holds the extensions of a primitive, goes with `birthDate`."""
    return rows.get(name.removeprefix("_"), _UNKNOWN)


def _stays(name: str, row: Row, wanted: Subset) -> bool:
    plain = name.removeprefix("_")
    return plain in ALWAYS or _is_needed(row) or wanted.keeps(plain, row)


def _is_needed(row: Row) -> bool:
    return bool(row.get("min") or row.get("modifier"))


def _summarised(text: str, type: str | None) -> str:
    """An element, or a list of them, without what its type keeps out of summaries. One that would be left empty, which
    FHIR forbids, stays as it is."""
    if type is None:
        return text
    if text.startswith("["):
        return f"[{','.join(_summarised(item, type) for item in items(text))}]"
    kept = {
        name: _summarised(value, row.get("type"))
        for name, value in members(text).items()
        if (row := _row(TYPES[type], name)).get("summary") or _is_needed(row)
    }
    return joined(kept) if kept else text


def _tagged(meta: str) -> str:
    """meta with the tag SUBSETTED, its other members as they were."""
    found = members(meta)
    tags = list(items(found.get("tag", "[]")))
    if not any(SUBSETTED.items() <= json.loads(tag).items() for tag in tags):
        tags.append(written(SUBSETTED).decode())
    return joined(found | {"tag": f"[{','.join(tags)}]"})

"""What each resource type can be searched by (FHIR R4 search parameter registry, 4.0.1).

One table for the index, the search, its documentation and the CapabilityStatement: `search_parameters.json`, which
`scripts/fhir_search_parameters.py` writes from the official definitions. A parameter that looks at the same elements as
another (`patient` and `subject`) shares its rows.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from typing import Any

import orjson

from audit.criteria import IndexDefinitions

# To be raised with every change of the definitions, and when `interop.resources.index` makes other rows of them. Rows
# of a later revision must also serve searches of the one before: in a rolling update both find documents by them.
INDEX_REVISION = 2


DAY = 86_400e6


class Kind(StrEnum):
    """The types of search parameters (value set search-param-type), as far as they are served."""

    TOKEN = "token"
    REFERENCE = "reference"
    DATE = "date"
    STRING = "string"
    QUANTITY = "quantity"

    @property
    def ranges(self) -> bool:
        """Whether its rows are `audit.criteria.RangeRow`s."""
        return self in (Kind.DATE, Kind.QUANTITY)

    @property
    def span(self) -> float:
        """The length that a range of this kind has at most, unless it is wide: a day in microseconds, or none."""
        return DAY if self is Kind.DATE else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchParameter:
    """paths: of elements below the resource, dotted. url: canonical. targets: the types that a reference may lead to,
    none for any. row_name: of its rows. system: only ContactPoints of this system."""

    name: str
    kind: Kind
    paths: tuple[str, ...]
    url: str
    targets: tuple[str, ...] = ()
    row_name: str
    system: str | None = None


def _load() -> tuple[Mapping[str, Mapping[str, SearchParameter]], IndexDefinitions]:
    content = resources.files(__package__).joinpath("search_parameters.json").read_bytes()
    digest = hashlib.sha256(content + str(INDEX_REVISION).encode()).hexdigest()
    made = IndexDefinitions(revision=INDEX_REVISION, digest=digest)
    return {type_: _of_type(found) for type_, found in orjson.loads(content).items()}, made


def _of_type(found: Mapping[str, Mapping[str, Any]]) -> Mapping[str, SearchParameter]:
    shared: dict[tuple[object, ...], str] = {}
    return {
        name: SearchParameter(
            name=name,
            kind=Kind(one["kind"]),
            paths=tuple(one["paths"]),
            url=one["url"],
            targets=tuple(one.get("targets", ())),
            row_name=shared.setdefault((one["kind"], *one["paths"], one.get("system")), name),
            system=one.get("system"),
        )
        for name, one in found.items()
    }


SEARCH_PARAMETERS, INDEX_DEFINITIONS = _load()
"""Type -> name -> parameter; and what tells whether stored rows were made of just these."""

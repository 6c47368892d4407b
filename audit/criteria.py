"""What a search may ask of documents: frozen values without SQLAlchemy.

Documents are found by their index rows. A row has a text with an optional system (`IndexRow`: tokens, references,
strings, URIs) or is a range of numbers (`RangeRow`: dates in microseconds since 1970 UTC, quantities with the precision
they were written with). A criterion with alternatives holds when one of them does; the criteria of a search must all
hold.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

# What follows the name of those rows that hold the identifier of a reference.
BY_IDENTIFIER = ":identifier"
# The names that need no index rows: documents are stored by them.
ID = "_id"
LAST_UPDATED = "_lastUpdated"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexDefinitions:
    """By what a version of the program makes rows. revision: grows from version to version that makes others; digest:
    tells two apart that claim the same revision."""

    revision: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexRow:
    """One searchable text of a document. name: the FHIR search parameter. Token: system + value. Reference: value
    `Type/id` (system None). String: normalised value, as it was written in `system`."""

    name: str
    value: str
    system: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeRow:
    """One searchable range [low, high) of a document. wide: it is longer than most of its kind, which are looked for
    by where they begin. code, system: of a quantity's unit."""

    name: str
    low: float
    high: float
    wide: bool = False
    code: str | None = None
    system: str | None = None


Row: TypeAlias = IndexRow | RangeRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """A document has a row with one of the alternatives (system, value): system None matches any, '' rows without one;
    value '' matches any. negated: it has none. starts: the value only begins so."""

    name: str
    alternatives: tuple[tuple[str | None, str], ...]
    negated: bool = False
    starts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Bounds on a range row; each that is given must hold. from_, before: low >= from_, low < before. after, to:
    high > after, high <= to. code, system: of the unit; None is any, system '' is none."""

    from_: float | None = None
    before: float | None = None
    after: float | None = None
    to: float | None = None
    code: str | None = None
    system: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Within:
    """A document has a range in one of the intervals. name may be `LAST_UPDATED`. span: the length of ranges that are
    not wide. single: a document has one range of the name, so that two of these can be met by one row only."""

    name: str
    alternatives: tuple[Interval, ...]
    span: float = 0.0
    single: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A document has no row of this name or of its identifiers (missing), or has one. ranges: the name is one of
    `RangeRow`s."""

    name: str
    missing: bool
    ranges: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """The document refers, by rows of this name, to one of `type` that meets all criteria."""

    name: str
    type: str
    criteria: tuple["AnyCriterion", ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedFrom:
    """A document of `type` that meets all criteria refers to this one by rows of the name."""

    name: str
    type: str
    criteria: tuple["AnyCriterion", ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyOf:
    """One of the criteria holds."""

    criteria: tuple["AnyCriterion", ...]


AnyCriterion: TypeAlias = Criterion | Within | Missing | Linked | LinkedFrom | AnyOf


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Sort by this name: `ID`, `LAST_UPDATED` or that of rows, ranges by where they begin. Of several values the least
    counts, the greatest when descending; documents without one come last."""

    name: str
    descending: bool = False
    ranges: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Include:
    """Also give what the matches of `type` refer to by rows of the name; only targets of `target`, if given. reverse:
    the documents of `type` that refer to the matches."""

    type: str
    name: str
    target: str | None = None
    reverse: bool = False


class Total(Enum):
    """How far the number of matches is counted. CHEAP: when it costs nothing."""

    NONE = "none"
    CHEAP = "estimate"
    ACCURATE = "accurate"


NEWEST_FIRST = (Order(name=ID, descending=True),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A search in one resource type. Without another order by id, the greatest (of UUIDv7s: the newest) first; an id
    never changes, so pages neither repeat nor lose a document that is updated meanwhile.
    after: the opaque cursor of an earlier page. include_silent: also documents tagged silent."""

    type: str
    criteria: tuple[AnyCriterion, ...] = ()
    order: tuple[Order, ...] = NEWEST_FIRST
    count: int = 50
    after: str | None = None
    include_silent: bool = False
    includes: tuple[Include, ...] = field(default=())
    total: Total = Total.CHEAP

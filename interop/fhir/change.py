"""What one request, or one entry of a Bundle, asks to be changed, and what came of it."""

from dataclasses import dataclass
from enum import Enum, StrEnum

from audit.criteria import Search
from audit.records import Document
from inference.errors import EcgError, InvalidContent


class Method(StrEnum):
    """The methods that change something (value set http-verb)."""

    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change. id: of the URL, None in a create or where `condition` tells which resource is meant. content: the
    resource, or the patch, as it came. if_match: the version that has to be the current one, as the client knows it;
    based_on: the one that a patch was applied to. place: the FHIRPath expression of the Bundle's entry, empty for a
    request of its own. name: `fullUrl` of the entry."""

    method: Method
    type: str
    id: str | None = None
    content: bytes | None = None
    condition: Search | None = None
    if_match: int | None = None
    based_on: int | None = None
    place: str = ""
    name: str | None = None


class Effect(Enum):
    """What a change did, as an HTTP status."""

    CREATED = 201
    UPDATED = 200
    UNCHANGED = 200.0
    DELETED = 204

    @property
    def status(self) -> int:
        """The HTTP status."""
        return int(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """The outcome of a change. document: the version that is current now, None where nothing was deleted. report: the
    DiagnosticReport of an ECG, None where there is none to show."""

    document: Document | None
    effect: Effect
    report: Document | None = None


def located(error: EcgError, change: Change) -> EcgError:
    """The same error with the expression of the entry before that of the element."""
    if not change.place:
        return error
    if isinstance(error, InvalidContent):
        problems = [(_below(change, element), message) for element, message in error.problems]
        return type(error)(error.message, element=_below(change, error.element), problems=problems)
    return type(error)(error.message, element=_below(change, error.element))


def _below(change: Change, element: str | None) -> str:
    """`Observation.code` of an entry is `Bundle.entry[3].resource.code`; a header or parameter belongs to the entry."""
    if element is not None and element.partition(".")[0] == change.type:
        return f"{change.place}.resource{element.removeprefix(change.type)}"
    return change.place if element is None or not element.startswith("Bundle.") else element

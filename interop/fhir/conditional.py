"""Is this Observation here already? By `If-None-Exist` (FHIR R4 http.html#ccreate) or by its own identifiers."""

from collections.abc import Sequence
from urllib.parse import parse_qsl

from audit.records import Criterion, Document, Documents, Search
from inference.errors import Duplicate, InvalidContent, MultipleMatches, SearchInvalid
from interop.fhir.search import parse
from interop.record import IDENTIFIER_SCOPE
from interop.resources.identifiers import Identifier

TYPE = "Observation"
IDENTIFIER = "identifier"
HEADER = "If-None-Exist"


def condition(header: str | None, own: Sequence[Identifier], base: str) -> Criterion | None:
    """The criterion of the header, None without one.

    It must be one identifier (system|value), and one that the Observation itself carries: only then does the unique
    claim on identifiers make the condition exact when several requests come at once, and a repetition find the first.
    Raises SearchInvalid, InvalidContent.
    """
    if header is None:
        return None
    query = parse(TYPE, parse_qsl(header.strip().removeprefix("?"), keep_blank_values=True), base, strict=True)
    criteria = query.search.criteria
    if [c.name for c in criteria] != [IDENTIFIER] or len(criteria[0].alternatives) != 1:
        raise SearchInvalid(f"{HEADER} must be one {IDENTIFIER}=system|value", element=HEADER)
    ((system, value),) = criteria[0].alternatives
    if not any(one.value == value and system in (None, one.system or "") for one in own):
        raise InvalidContent(
            f"the identifier of {HEADER} is none of the Observation's own", element=f"{TYPE}.identifier"
        )
    return criteria[0]


def matching(documents: Documents, criterion: Criterion) -> Document | None:
    """The one Observation that meets a condition. Raises MultipleMatches."""
    page = documents.search(Search(type=TYPE, criteria=(criterion,), count=2, include_silent=True))
    if page.total > 1:
        raise MultipleMatches(f"{page.total} Observations meet {HEADER}")
    return page.documents[0] if page.documents else None


def holder(documents: Documents, identifiers: Sequence[Identifier]) -> Document | None:
    """The Observation that holds all of these identifiers, None if nobody holds any. Raises Duplicate in between."""
    # Nearly always nobody does, and the claims say so at a tenth of the cost of a search.
    if not any(documents.owner(IDENTIFIER_SCOPE, identifier.key) for identifier in identifiers):
        return None
    found = [_with(documents, identifier) for identifier in identifiers]
    held = {document.id: document for document in found if document is not None}
    if not held:
        return None
    if len(held) > 1 or None in found:
        raise Duplicate("some of the identifiers belong to other ECGs", element=f"{TYPE}.identifier")
    return next(iter(held.values()))


def _with(documents: Documents, identifier: Identifier) -> Document | None:
    alternative = (identifier.system or "", identifier.value)
    criterion = Criterion(name=IDENTIFIER, alternatives=(alternative,))
    page = documents.search(Search(type=TYPE, criteria=(criterion,), count=1, include_silent=True))
    return page.documents[0] if page.documents else None

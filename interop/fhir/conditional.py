"""Which resource is meant by a condition instead of an id (FHIR R4 http.html sections 3.1.0.8.1, 3.1.0.4.3 and
3.1.0.7.1), and which ECG by its own identifiers.

Conditional changes of one type are made one after the other, across all processes, and look for matches only when it is
their turn: so of eight that come at once with the same condition, one creates.
"""

from collections.abc import Sequence
from urllib.parse import parse_qsl

from audit.criteria import Criterion, Search, Total
from audit.records import Document, Documents
from inference.errors import Duplicate, MultipleMatches, SearchInvalid
from interop.fhir.search import parse
from interop.record import IDENTIFIER_SCOPE
from interop.resources.identifiers import Identifier

TYPE = "Observation"
IDENTIFIER = "identifier"


def condition(type: str, query: str, base: str, now: float) -> Search:
    """The search that a condition means. query: `name=value&...`, of a header or a URL. Raises SearchInvalid, also for
    parameters that we do not know: a condition that is only half understood would change the wrong resource."""
    head, mark, rest = query.strip().partition("?")
    # A whole URL is taken, too; a value may have a question mark.
    asked = rest if mark and "=" not in head else query.strip()
    pairs = parse_qsl(asked, keep_blank_values=True)
    blank = [name for name, value in pairs if not value.strip()]
    if blank:
        raise SearchInvalid(f"{blank[0]} has no value in a condition", element=blank[0])
    search = parse(type, pairs, base, now=now, strict=True).search
    if not search.criteria:
        raise SearchInvalid("a condition needs a parameter that narrows it down")
    return Search(type=type, criteria=search.criteria, count=2, include_silent=True, total=Total.NONE)


def matching(documents: Documents, search: Search) -> Document | None:
    """The one resource that meets a condition. Raises MultipleMatches."""
    found = documents.search(search).documents
    if len(found) > 1:
        raise MultipleMatches(f"several {search.type} resources meet the condition")
    return found[0] if found else None


def matching_alone(documents: Documents, search: Search) -> Document | None:
    """The same in a transaction that changes: nobody else changes by a condition of this type until it ends."""
    documents.alone(f"conditional {search.type}")
    return matching(documents, search)


def holder(documents: Documents, identifiers: Sequence[Identifier]) -> Document | None:
    """The ECG that holds all of these identifiers, None if nobody holds any. Raises Duplicate in between."""
    owners = {documents.owner(IDENTIFIER_SCOPE, identifier.key) for identifier in identifiers}
    held = owners - {None}
    if not held:
        return None
    if len(owners) > 1:
        raise Duplicate("some of the identifiers belong to other ECGs", element=f"{TYPE}.identifier")
    (owner,) = held
    assert owner is not None
    return documents.newest(TYPE, owner.partition("/")[2])


def referring(type: str, name: str, reference: str) -> Search:
    """The resources of a type that refer to another."""
    return Search(type=type, criteria=(Criterion(name=name, alternatives=((None, reference),)),), count=1)

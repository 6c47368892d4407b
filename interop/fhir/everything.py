"""`Patient/[id]/$everything` (FHIR R4 patient-operation-everything.html): the patient and all that refers to it.

A page holds resources of one type, the newest first; the link to the next page goes on with the type, or with the next
one. What names the patient by identifier only belongs to it as well.
"""

from collections.abc import Sequence
from dataclasses import replace

import orjson

from audit.criteria import LAST_UPDATED, AnyCriterion, AnyOf, Criterion, Include, Interval, Search, Within
from audit.records import Document, Page, Reader
from audit.times import microseconds
from inference.errors import SearchInvalid
from interop.fhir.bundles import listed, matches
from interop.fhir.parameters import COUNT, CURSOR
from interop.fhir.search import Pairs, count_of
from interop.resources.identifiers import identifiers_of
from interop.resources.search_parameters import SEARCH_PARAMETERS
from interop.resources.times import span

PATIENT = "Patient"
TYPE, SINCE = "_type", "_since"
OF_EVERYTHING = frozenset({TYPE, SINCE, COUNT, CURSOR})
# Their `patient` parameter makes up the patient's compartment here.
TYPES = tuple(name for name, found in SEARCH_PARAMETERS.items() if "patient" in found and name != "Provenance")


def everything(store: Reader, id: str, pairs: Pairs, base: str) -> bytes:
    """One page, a searchset Bundle. Raises NotFound, Gone, SearchInvalid."""
    given = {name: value for name, value in pairs if name in OF_EVERYTHING and value}
    types = _types(given.get(TYPE))
    patient = store.documents.read(PATIENT, id)
    place, after = _place(given.get(CURSOR), types)
    page, following = _page(store, patient, types[place:], after, given)
    if CURSOR not in given:
        page = replace(page, documents=(patient, *page.documents))
    url = f"{base}/{PATIENT}/{id}/$everything"
    return listed(url, matches(page, base), understood=list(given.items()), following=following)


def _page(
    store: Reader, patient: Document, types: Sequence[str], after: str | None, given: dict[str, str]
) -> tuple[Page, str | None]:
    """The next resources there are, and where to go on."""
    for number, kind in enumerate(types):
        search = _search(kind, patient, given)
        page = store.documents.search(replace(search, after=after))
        following = f"{kind}.{page.next}" if page.next else next((f"{t}." for t in types[number + 1 :]), None)
        if page.documents or following is None:
            return page, following
        after = None
    return Page(documents=(), total=None, next=None), None


def _search(kind: str, patient: Document, given: dict[str, str]) -> Search:
    name = SEARCH_PARAMETERS[kind]["patient"].row_name
    named = identifiers_of(orjson.loads(patient.content).get("identifier", ()))
    ways: list[AnyCriterion] = [Criterion(name=name, alternatives=((None, f"{PATIENT}/{patient.id}"),))]
    if named:
        values = tuple((one.system or "", one.value) for one in named)
        ways.append(Criterion(name=f"{name}:identifier", alternatives=values))
    criteria: list[AnyCriterion] = [AnyOf(criteria=tuple(ways))]
    if SINCE in given:
        criteria.append(Within(name=LAST_UPDATED, alternatives=(Interval(from_=_since(given[SINCE])),)))
    return Search(
        type=kind,
        criteria=tuple(criteria),
        count=count_of(given.get(COUNT)) or 1,
        includes=(Include(type="Provenance", name="target", reverse=True),),
    )


def _types(text: str | None) -> tuple[str, ...]:
    wanted = text.split(",") if text else TYPES
    return tuple(kind for kind in TYPES if kind in wanted)


def _place(cursor: str | None, types: Sequence[str]) -> tuple[int, str | None]:
    if cursor is None:
        return 0, None
    kind, _, after = cursor.partition(".")
    if kind not in types:
        raise SearchInvalid("this page link cannot be read")
    return types.index(kind), after or None


def _since(text: str) -> float:
    try:
        return microseconds(span(text)[0])
    except ValueError:
        raise SearchInvalid(f"{SINCE} is an instant", element=SINCE) from None

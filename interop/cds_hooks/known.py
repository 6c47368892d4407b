"""The patient's ECGs that have been analysed here, whichever door they came by.

A patient is found by identifier system and value only: a bare id means somebody else in the next system, and names are
nobody's. Silent analyses are not found, as in every search.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

import orjson

from actions.analysis import Analysis
from actions.report_status import ReportStatus
from actions.serialize import from_json
from audit.criteria import AnyCriterion, AnyOf, Criterion, Linked, Order, Search
from audit.records import Document, OverreadRow, Reader
from interop.resources.codes import Json
from interop.resources.identifiers import Identifier
from interop.resources.received import is_made_here

REPORT = "DiagnosticReport"
# Newest first; of these the withdrawn ones are left out.
LOOKED_AT = 10
_NEWEST_FIRST = (Order(name="date", descending=True, ranges=True),)
MOST_REQUESTS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownEcg:
    """One analysed ECG. requests: its proposals, by their action. overread: the newest, None where no clinician has
    read it."""

    analysis: Analysis
    report: Json
    requests: Mapping[str, Json]
    overread: OverreadRow | None = None

    @property
    def id(self) -> str:
        """Of the Analysis and its report."""
        return str(self.analysis.id)

    @property
    def recorded_at(self) -> datetime | None:
        """When it was recorded."""
        return self.analysis.recorded_at

    @property
    def status(self) -> ReportStatus:
        """Of its report."""
        return ReportStatus(self.report["status"])


def of_patient(store: Reader, identifiers: Sequence[Identifier], most: int) -> tuple[KnownEcg, ...]:
    """The newest ECGs of the patient who has one of these identifiers; an identifier without a system means nobody."""
    named = tuple((one.system, one.value) for one in identifiers if one.system)
    if not named:
        return ()
    patient = Linked(name="subject", type="Patient", criteria=(Criterion(name="identifier", alternatives=named),))
    ways: tuple[AnyCriterion, ...] = (Criterion(name="subject:identifier", alternatives=named), patient)
    search = Search(type=REPORT, criteria=(AnyOf(criteria=ways),), order=_NEWEST_FIRST, count=LOOKED_AT)
    found = (_known(store, one) for one in store.documents.search(search).documents)
    standing = (one for one in found if one is not None and one.status is not ReportStatus.ENTERED_IN_ERROR)
    return tuple(islice(standing, most))


def of_observation(store: Reader, observation_id: str) -> KnownEcg | None:
    """The ECG that is stored as this Observation; None where it was not analysed, or silently."""
    result = Criterion(name="result", alternatives=((None, f"Observation/{observation_id}"),))
    page = store.documents.search(Search(type=REPORT, criteria=(result,), count=LOOKED_AT))
    found = (_known(store, one) for one in page.documents)
    return next((one for one in found if one and one.status is not ReportStatus.ENTERED_IN_ERROR), None)


def _known(store: Reader, document: Document) -> KnownEcg | None:
    report = orjson.loads(document.content)
    if not is_made_here(report):
        return None
    return KnownEcg(
        analysis=from_json(store.analyses.get(document.id).detail),
        report=report,
        requests={one["code"]["text"]: one for one in _requests(store, document.id)},
        overread=next(iter(reversed(store.overreads.of(document.id))), None),
    )


def _requests(store: Reader, report_id: str) -> Iterator[Json]:
    reason = Criterion(name="reason", alternatives=((None, f"{REPORT}/{report_id}"),))
    search = Search(type="ServiceRequest", criteria=(reason,), count=MOST_REQUESTS)
    for document in store.documents.search(search).documents:
        request: Json = orjson.loads(document.content)
        if is_made_here(request):
            yield request

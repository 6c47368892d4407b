"""What an over-read and a withdrawal leave behind, in one transaction: the same for every door."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from actions.overread import Overread, RequestStatus, Statement, overread
from actions.ports import Ids
from actions.report_status import ReportStatus
from audit.criteria import Criterion, Search
from audit.records import AuditEntry, AuditEvent, Document, OverreadRow, UnitOfWork
from interop.resources.documents import Indexed
from interop.resources.overread import changed_request, detail, stored_report
from interop.resources.received import restated

# More reports than this nobody makes of one ECG, nor proposals of one report.
MOST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """When something is done, and for which request."""

    at: datetime
    correlation_id: str
    ids: Ids

    def entry(self, event: AuditEvent, subject: str, payload: dict[str, Any]) -> AuditEntry:
        """An audit entry of it."""
        return AuditEntry(
            event=event,
            recorded_at=self.at,
            subject=subject,
            correlation_id=self.correlation_id,
            payload=orjson.dumps(payload),
        )

    def note(self, uow: UnitOfWork, event: AuditEvent, document: Document) -> None:
        """Put a version of a resource into the audit trail."""
        uow.trail.append(self.entry(event, f"{document.type}/{document.id}", {"version": document.version}))


def record_overread(
    uow: UnitOfWork, current: Document, statement: Statement, report: Indexed, occasion: Occasion
) -> Overread:
    """Store a clinician's version of a report, the proposals that change with it, and the record of it. report: the
    version that follows `current`. Raises what `actions.overread.overread` raises."""
    requests = list(proposals(uow, current.id))
    found = {request.id: orjson.loads(request.content) for request in requests}
    outcome = overread(stored_report(orjson.loads(current.content), current.version, found.values()), statement)
    uow.documents.replace(report.document, report.index)
    fates = {fate.proposal_id: fate for fate in outcome.fates}
    for request in requests:
        if fate := fates.get(request.id):
            _restate(uow, request, occasion, **changed_request(found[request.id], fate))
    _keep(uow, outcome, occasion)
    return outcome


def withdraw(uow: UnitOfWork, observation_id: str, occasion: Occasion) -> list[str]:
    """Take back what was made of an ECG: its reports and their proposals become `entered-in-error`. Gives the ids of
    the reports."""
    withdrawn = []
    for report in _referring(uow, "DiagnosticReport", "result", f"Observation/{observation_id}"):
        if orjson.loads(report.content)["status"] == ReportStatus.ENTERED_IN_ERROR:
            continue
        for document in (report, *proposals(uow, report.id)):
            _restate(uow, document, occasion, status=RequestStatus.ENTERED_IN_ERROR.value)
        entry = occasion.entry(
            AuditEvent.ECG_WITHDRAWN,
            f"DiagnosticReport/{report.id}",
            {"observation": f"Observation/{observation_id}", "version": report.version + 1},
        )
        uow.trail.append(entry)
        withdrawn.append(report.id)
    return withdrawn


def proposals(uow: UnitOfWork, report_id: str) -> Iterator[Document]:
    """The ServiceRequests that a report proposes."""
    return _referring(uow, "ServiceRequest", "reason", f"DiagnosticReport/{report_id}")


def _referring(uow: UnitOfWork, type: str, name: str, reference: str) -> Iterator[Document]:
    criterion = Criterion(name=name, alternatives=((None, reference),))
    yield from uow.documents.search(Search(type=type, criteria=(criterion,), count=MOST, include_silent=True)).documents


def _restate(uow: UnitOfWork, document: Document, occasion: Occasion, **changed: Any) -> None:
    following = restated(document, occasion.at, **changed)
    uow.documents.replace(following.document, following.index)


def _keep(uow: UnitOfWork, outcome: Overread, occasion: Occasion) -> None:
    whole = detail(outcome)
    row = OverreadRow(
        id=str(occasion.ids()),
        report_id=outcome.report_id,
        at=outcome.at,
        practitioner=outcome.who.reference or outcome.who.identifier or "",
        status_before=outcome.status_before.value,
        status_after=outcome.status_after.value,
        agreed=outcome.agreed,
        findings={superclass.value: known for superclass, known in outcome.truth.items()},
        detail=orjson.dumps(whole),
    )
    uow.overreads.add(row)
    payload = {name: whole[name] for name in ("who", "version", "status", "agreed", "requests", "truth")}
    uow.trail.append(
        occasion.entry(
            AuditEvent.REPORT_OVERREAD, f"DiagnosticReport/{outcome.report_id}", payload | {"overread": row.id}
        )
    )

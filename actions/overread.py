"""The second use case: a clinician confirms or corrects an AI-made DiagnosticReport. No I/O.

Its outcome, the Overread, is the ground truth of performance monitoring, so it says no more than the clinician did.
Codes speak for the diagnostic superclasses when they are those of `inference.labels`; any other code may mean any
class, so beside one a class that is not listed is unknown, never absent.

The report's proposed ServiceRequests follow the finding behind them (FHIR R4, value set request-status):

- The clinician's word on a request decides, whatever the findings.
- First reading: `active` when the finding is concluded, `revoked` when the codes tell that it is not. Where they tell
  neither, or no finding stands behind it: `active` when the clinician agreed with the report, else as it was.
- Later readings: the same, but only where they change what is told of the finding: new wording orders nothing.
- Withdrawal: `entered-in-error`. What was done is an order of its own, so the proposal itself may be void.
- `completed`, `entered-in-error` and what others revoked are left alone; a clinician's own `revoked` stays until the
  clinician says otherwise.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from actions.report_status import Demand, ReportStatus, Transition, transition
from inference.errors import InvalidContent, MissingElement, VersionConflict
from inference.labels import CONCLUSION_CODES, ECG_NORMAL, Coding, Superclass

# FHIR R4 section 2.3.0.1, for the two types that name a person.
PRACTITIONER_REFERENCE = re.compile(
    r"(https?://\S+/)?(Practitioner|PractitionerRole)/[A-Za-z0-9\-.]{1,64}(/_history/[A-Za-z0-9\-.]{1,64})?"
)
# `system|value`: a value alone names nobody.
IDENTIFIER = re.compile(r"[^|\s]+\|\S.*")

SUPERCLASS_OF: Mapping[tuple[str, str], Superclass] = {
    (coding.system, coding.code): superclass
    for superclass, coding in (CONCLUSION_CODES | {Superclass.NORM: ECG_NORMAL}).items()
}


class RequestStatus(StrEnum):
    """The statuses of a ServiceRequest in R4."""

    DRAFT = "draft"
    ACTIVE = "active"
    ON_HOLD = "on-hold"
    REVOKED = "revoked"
    COMPLETED = "completed"
    ENTERED_IN_ERROR = "entered-in-error"
    UNKNOWN = "unknown"


class Decision(StrEnum):
    """A clinician's word on one proposed request."""

    ACCEPTED = "accepted"
    DECLINED = "declined"


class DecidedBy(StrEnum):
    """What set the status of a request: the clinician's word, or the finding behind it."""

    CLINICIAN = "clinician"
    FINDING = "finding"


STATUS_OF_DECISION = {Decision.ACCEPTED: RequestStatus.ACTIVE, Decision.DECLINED: RequestStatus.REVOKED}
STATUS_OF_FINDING = {True: RequestStatus.ACTIVE, False: RequestStatus.REVOKED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Practitioner:
    """Who read the ECG. reference: literal, such as `Practitioner/7` or an absolute URL. identifier: `system|value`."""

    reference: str | None = None
    identifier: str | None = None

    @property
    def identified(self) -> bool:
        """Whether this names a person. A reference to something else is not mended by an identifier beside it."""
        if self.reference is not None:
            return PRACTITIONER_REFERENCE.fullmatch(self.reference) is not None
        return self.identifier is not None and IDENTIFIER.fullmatch(self.identifier) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a report concludes. codes: one for each coded conclusion (see `representative`). uncoded: conclusions that
    are stated as codes are, but in words alone."""

    text: str | None = None
    codes: tuple[Coding, ...] = ()
    uncoded: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The text, however it is spaced."""
        return " ".join((self.text or "").split())

    @property
    def findings(self) -> frozenset[tuple[str, str]]:
        """The conclusions, to compare: what a code is called and their order say nothing."""
        return frozenset({(c.system, c.code) for c in self.codes} | {("", words) for words in self.uncoded})

    def agrees_with(self, other: "Reading") -> bool:
        """Whether both conclude the same. Codes decide; where neither has any, the words do."""
        if self.findings or other.findings:
            return self.findings == other.findings
        return self.words == other.words


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A proposed ServiceRequest of the report. diagnosis: the finding behind it, None where a measurement or the signal
    is. decided_by: what set its status in an earlier over-read, None where none did."""

    id: str
    status: RequestStatus
    diagnosis: Superclass | None
    decided_by: DecidedBy | None = None

    @property
    def settled(self) -> bool:
        """Whether nothing is to be decided any more: it was carried out, is void, or was revoked elsewhere."""
        if self.status is RequestStatus.REVOKED:
            return self.decided_by is None
        return self.status in (RequestStatus.COMPLETED, RequestStatus.ENTERED_IN_ERROR)

    @property
    def follows_finding(self) -> bool:
        """Whether the finding may set its status. A clinician's refusal is not undone by a finding."""
        if self.status is RequestStatus.REVOKED:
            return self.decided_by is DecidedBy.FINDING
        return self.status in (RequestStatus.DRAFT, RequestStatus.ACTIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The report as it is stored. id: of the DiagnosticReport, and so of the Analysis."""

    id: str
    version: int
    status: ReportStatus
    reading: Reading
    proposals: tuple[Proposal, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What the clinician states. seen: the version of the report that was read, None when not told. at: aware. why: in
    the clinician's words. decisions: by the id of a proposal."""

    who: Practitioner | None
    seen: int | None
    at: datetime
    status: ReportStatus
    reading: Reading
    why: str | None = None
    decisions: Mapping[str, Decision] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.at.utcoffset() is None:
            raise ValueError("the time of an over-read needs an offset")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What becomes of one proposal; its intent stays `proposal`. decided_by: the next over-read has to know it."""

    proposal_id: str
    before: RequestStatus
    after: RequestStatus
    decided_by: DecidedBy


@dataclass(frozen=True, slots=True, kw_only=True)
class Overread:
    """One over-read. version: of the report that was read. agreed: the clinician concludes what that version did, and
    does not withdraw it; after the first over-read that version is a clinician's own, so whether the model was right is
    for `truth` and the Analysis to tell. fates: of the proposals that change or that the clinician decided on."""

    report_id: str
    version: int
    who: Practitioner
    at: datetime
    status_before: ReportStatus
    status_after: ReportStatus
    before: Reading
    after: Reading
    agreed: bool
    why: str | None
    fates: tuple[Fate, ...]

    @property
    def truth(self) -> dict[Superclass, bool | None]:
        """The ground truth for each superclass; a withdrawn report tells none."""
        withdrawn = self.status_after is ReportStatus.ENTERED_IN_ERROR
        return ground_truth(Reading() if withdrawn else self.after)


def overread(report: Report, statement: Statement) -> Overread:
    """Apply a clinician's statement to a report.

    Raises MissingElement without an identified Practitioner, or without a conclusion where the report had none;
    VersionConflict when another version than the current one was read; InvalidContent for a change of status that
    `actions.report_status` does not allow, and for a decision on a request that is not to be decided.
    """
    who = _identified(statement.who)
    _check_version(report, statement.seen)
    _check_demand(transition(report.status, statement.status), report.reading, statement.reading)
    _check_decisions(report, statement)
    withdrawn = statement.status is ReportStatus.ENTERED_IN_ERROR
    agreed = not withdrawn and statement.reading.agrees_with(report.reading)
    return Overread(
        report_id=report.id,
        version=report.version,
        who=who,
        at=statement.at,
        status_before=report.status,
        status_after=statement.status,
        before=report.reading,
        after=statement.reading,
        agreed=agreed,
        why=statement.why,
        fates=tuple(_fates(report, statement, agreed)),
    )


def ground_truth(reading: Reading) -> dict[Superclass, bool | None]:
    """What the codes of a clinician tell of each superclass: True, False, or None where they do not tell.

    The codes are all that the clinician found, so a class that is not among them is absent, unless one of them is not
    known here or there are none. Codes that contradict each other, normal beside a finding, tell nothing.
    """
    said = {superclass_of(code) for code in reading.codes} | {None for _ in reading.uncoded}
    abnormal = said - {Superclass.NORM, None}
    if abnormal and Superclass.NORM in said:
        return dict.fromkeys(Superclass)
    not_listed = False if said and None not in said else None
    truth = {superclass: True if superclass in said else not_listed for superclass in Superclass}
    return truth | {Superclass.NORM: False} if abnormal else truth


def superclass_of(coding: Coding) -> Superclass | None:
    """The superclass that a code stands for, None for a code that is not known here."""
    return SUPERCLASS_OF.get((coding.system, coding.code))


def representative(codings: Iterable[Coding]) -> Coding | None:
    """The one of a concept's translations that is known here, else the first; None where there is none."""
    translations = tuple(codings)
    return next((c for c in translations if superclass_of(c)), next(iter(translations), None))


def _identified(who: Practitioner | None) -> Practitioner:
    if who is None or not who.identified:
        raise MissingElement(
            "An over-read needs an identified Practitioner: a reference to a Practitioner or PractitionerRole, or an "
            "identifier with system and value.",
            element="DiagnosticReport.resultsInterpreter",
        )
    return who


def _check_version(report: Report, seen: int | None) -> None:
    if seen != report.version:
        read = "it is not told which version was read" if seen is None else f"version {seen} was read"
        raise VersionConflict(f"DiagnosticReport/{report.id} is at version {report.version}, but {read}.")


def _check_demand(move: Transition, before: Reading, after: Reading) -> None:
    if move.demand is Demand.OWN_CONCLUSION:
        concluded = bool(after.words or after.findings)
        if not concluded or (after.words, after.findings) == (before.words, before.findings):
            raise MissingElement(move.reason, element="DiagnosticReport.conclusion")
    elif move.demand is Demand.EARLIER_KEPT and not before.findings <= after.findings:
        raise InvalidContent(move.reason, element="DiagnosticReport.conclusionCode")


def _check_decisions(report: Report, statement: Statement) -> None:
    """A clinician's word is carried out or refused, never passed over."""
    proposals = {proposal.id: proposal for proposal in report.proposals}
    for name in statement.decisions:
        problem = _undecidable(proposals.get(name), statement.status)
        if problem:
            message = f"ServiceRequest/{name} cannot be decided on: {problem}."
            raise InvalidContent(message, element="ServiceRequest.status")


def _undecidable(proposal: Proposal | None, status: ReportStatus) -> str | None:
    if proposal is None:
        return "it is no proposal of this report"
    if status is ReportStatus.ENTERED_IN_ERROR:
        return "it is withdrawn with its report"
    return f"it is {proposal.status}" if proposal.settled else None


def _fates(report: Report, statement: Statement, agreed: bool) -> Iterator[Fate]:
    for proposal in report.proposals:
        decision = statement.decisions.get(proposal.id)
        if decision:
            yield _fate(proposal, STATUS_OF_DECISION[decision], DecidedBy.CLINICIAN)
        elif statement.status is ReportStatus.ENTERED_IN_ERROR:
            if not proposal.settled:
                yield _fate(proposal, RequestStatus.ENTERED_IN_ERROR, DecidedBy.CLINICIAN)
        elif proposal.follows_finding:
            status = _by_finding(proposal, report, statement, agreed)
            if status not in (None, proposal.status):
                yield _fate(proposal, status, DecidedBy.FINDING)


def _by_finding(proposal: Proposal, report: Report, statement: Statement, agreed: bool) -> RequestStatus | None:
    """The status that follows from the reading; None leaves the request as it is."""
    told = _told(proposal, statement.reading)
    if report.status.verified and told == _told(proposal, report.reading):
        return None
    if told is None:
        return RequestStatus.ACTIVE if agreed else None
    return STATUS_OF_FINDING[told]


def _told(proposal: Proposal, reading: Reading) -> bool | None:
    """What a reading tells of the finding behind a proposal; None for a proposal that has none."""
    return None if proposal.diagnosis is None else ground_truth(reading)[proposal.diagnosis]


def _fate(proposal: Proposal, after: RequestStatus, by: DecidedBy) -> Fate:
    return Fate(proposal_id=proposal.id, before=proposal.status, after=after, decided_by=by)

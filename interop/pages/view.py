"""What the page of an ECG says, as values that a template only has to set."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import orjson

from actions.analysis import Analysis, Recommendation, Urgency
from actions.overread import DecidedBy, RequestStatus
from actions.recency import judge_recency
from actions.report_status import VERIFIED, ReportStatus
from audit.records import OverreadRow
from inference.errors import EcgError
from inference.labels import SUPERCLASS_NAMES, Superclass
from inference.quality import Severity
from interop.pages.svg import Drawing, ecg_svg
from interop.report_view import ReportView, resource, resources
from interop.resources import report_words as words
from interop.resources.codes import OWN_DECIDED_BY_EXTENSION
from interop.resources.report_words import Resource
from interop.resources.times import Precision, moment


class Standing(StrEnum):
    """How far a report may be relied on, for the look of the page; its status says it in words."""

    UNCONFIRMED = "unconfirmed"
    CONFIRMED = "confirmed"
    VOID = "void"


VOID = frozenset({ReportStatus.CANCELLED, ReportStatus.ENTERED_IN_ERROR})
URGENCIES = frozenset(urgency.value for urgency in Urgency)

# ServiceRequest.status in words; another is named as it is. Its intent is and stays a proposal.
STATE_WORDS: Mapping[str, str] = {
    RequestStatus.DRAFT: "proposal, not ordered",
    RequestStatus.ACTIVE: "active",
    RequestStatus.REVOKED: "revoked",
}
DECIDED_WORDS: Mapping[str, str] = {
    DecidedBy.CLINICIAN: "by a clinician's decision",
    DecidedBy.FINDING: "follows from what the over-read found",
}
NO_REQUEST = "advice only, nothing to order"
SEVERITY_WORDS = {Severity.WARNING: "warning", Severity.REFUSED: "not readable"}
AGREEMENT_WORDS = {True: "concluded the same", False: "concluded otherwise", None: "not told"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A recommendation. urgency: one of `URGENCIES` in upper case, or another priority of FHIR. details: confidence and
    rule, then the source."""

    urgency: str
    name: str
    state: str
    is_revoked: bool
    rationale: str
    details: tuple[str, ...]

    @property
    def tone(self) -> str:
        """The look of its urgency, which the words say, too."""
        known = self.urgency.lower() in URGENCIES and not self.is_revoked
        return self.urgency.lower() if known else Urgency.NONE.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """What the model says of one superclass. share, at_least: its probability and the threshold, 0 to 1."""

    name: str
    share: float
    at_least: float

    @property
    def is_decided(self) -> bool:
        """Whether the class counts as found."""
        return self.share >= self.at_least


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One observation on the signal."""

    severity: str
    leads: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One over-read."""

    at: str
    by: str
    change: str
    agreement: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EcgPage:
    """Everything that is shown. facts, origin, measurements: pairs of label and value. conclusion: its lines.
    first_conclusion: of the automatic analysis, where the report says something else now. drawing: None where the ECG
    cannot be drawn; undrawn says why."""

    id: str
    patient: str
    status: str
    standing: Standing
    is_silent: bool
    facts: tuple[tuple[str, str], ...]
    conclusion: tuple[str, ...]
    first_conclusion: str
    warnings: tuple[str, ...]
    actions: tuple[Action, ...]
    measurements: tuple[tuple[str, str], ...]
    chances: tuple[Chance, ...]
    quality: tuple[Finding, ...]
    overreads: tuple[Reading, ...]
    origin: tuple[tuple[str, str], ...]
    drawing: Drawing | None
    undrawn: str
    made: str
    disclaimer: str = words.DISCLAIMER
    silent_words: str = words.SILENT_WORDS


def ecg_page(view: ReportView, analysis: Analysis, *, now: datetime, acute_window: timedelta) -> EcgPage:
    """The page of a report as it is `now`. analysis: the one that made it."""
    report = resource(view.report)
    drawing, undrawn = _drawing(view)
    conclusion = words.conclusion(report)
    return EcgPage(
        id=view.report.id,
        patient=words.patient(report),
        status=words.status(report),
        standing=_standing(report),
        is_silent=words.is_silent(report),
        facts=tuple(_facts(report, analysis, now, acute_window)),
        conclusion=tuple(line for line in conclusion.splitlines() if line not in analysis.warnings),
        first_conclusion="" if analysis.conclusion in conclusion else analysis.conclusion,
        warnings=tuple(_warnings(analysis)),
        actions=tuple(_actions(report, resources(view.requests), analysis)),
        measurements=tuple(words.intervals(resources(view.measurements))),
        chances=tuple(_chances(analysis)),
        quality=tuple(_quality(analysis)),
        overreads=tuple(map(_reading, view.overreads)),
        origin=tuple(_origin(report, view, analysis)),
        drawing=drawing,
        undrawn=undrawn,
        made=words.clock(now),
    )


def _drawing(view: ReportView) -> tuple[Drawing | None, str]:
    try:
        return ecg_svg(view.recording()), ""
    except EcgError as error:
        return None, error.message


def _standing(report: Resource) -> Standing:
    if report.get("status") in VERIFIED:
        return Standing.CONFIRMED
    return Standing.VOID if report.get("status") in VOID else Standing.UNCONFIRMED


def _facts(report: Resource, analysis: Analysis, now: datetime, window: timedelta) -> Iterator[tuple[str, str]]:
    yield "Patient", words.patient(report)
    yield "Age", words.age(analysis.age)
    yield "Sex", analysis.sex.value
    yield "Recorded", words.recorded(report, analysis.recorded_at)
    yield "Age of the recording", _recording_age(report, analysis, now, window)
    yield "Analysed", words.clock(analysis.analyzed_at)
    yield from words.order_numbers(report)
    yield from (("Read by", one) for one in words.interpreters(report))


def _recording_age(report: Resource, analysis: Analysis, now: datetime, window: timedelta) -> str:
    """In words; a day without a time gets no hours."""
    stated = words.effective(report)
    if stated is not None and moment(stated).precision is not Precision.TIME:
        return "The time of day is not stated."
    return judge_recency(analysis.recorded_at, now, window).text


def _warnings(analysis: Analysis) -> Iterator[str]:
    """Those that are no findings on the signal, which have a table of their own."""
    found = {finding.text for finding in analysis.quality.findings}
    yield from (warning for warning in analysis.warnings if warning not in found)


def _actions(report: Resource, requests: Sequence[Resource], analysis: Analysis) -> Iterator[Action]:
    """The proposals as they stand, then what asks for nothing."""
    yield from map(_action, words.ranked(requests))
    if report.get("status") != ReportStatus.ENTERED_IN_ERROR:
        yield from (_advice(one) for one in analysis.recommendations if one.urgency is Urgency.NONE)


def _action(request: Resource) -> Action:
    rationale, *details = words.notes(request) or [""]
    status = request.get("status", RequestStatus.DRAFT)
    decided = (one.get("valueCode") for one in request.get("extension", ()) if one["url"] == OWN_DECIDED_BY_EXTENSION)
    states = [STATE_WORDS.get(status, status), *(DECIDED_WORDS[code] for code in decided if code in DECIDED_WORDS)]
    return Action(
        urgency=words.urgency(request),
        name=words.action(request),
        state=", ".join(states),
        is_revoked=status == RequestStatus.REVOKED,
        rationale=rationale,
        details=tuple(details),
    )


def _advice(recommendation: Recommendation) -> Action:
    return Action(
        urgency=recommendation.urgency.value.upper(),
        name=recommendation.action,
        state=NO_REQUEST,
        is_revoked=False,
        rationale=recommendation.rationale,
        details=(f"Confidence {recommendation.confidence:.2f}, rule {recommendation.rule}.", recommendation.source),
    )


def _chances(analysis: Analysis) -> Iterator[Chance]:
    """In the order of the classes; none where no model was run."""
    prediction = analysis.prediction
    if prediction is None:
        return
    for one in Superclass:
        share, at_least = prediction.probabilities[one], prediction.thresholds[one]
        yield Chance(name=SUPERCLASS_NAMES[one], share=share, at_least=at_least)


def _quality(analysis: Analysis) -> Iterator[Finding]:
    for one in analysis.quality.findings:
        yield Finding(severity=SEVERITY_WORDS[one.severity], leads=", ".join(one.leads) or "all", text=one.text)


def _reading(row: OverreadRow) -> Reading:
    whole = orjson.loads(row.detail)
    return Reading(
        at=words.clock(row.at),
        by=", ".join(filter(None, (whole["who"]["identifier"], whole["who"]["reference"]))),
        change=f"{row.status_before} to {row.status_after}",
        agreement=AGREEMENT_WORDS[row.agreed],
        why=whole["why"] or "not stated",
    )


def _origin(report: Resource, view: ReportView, analysis: Analysis) -> Iterator[tuple[str, str]]:
    yield "Model", words.model(report, None if view.device is None else resource(view.device))
    yield "Rules", f"{analysis.policy.name} {analysis.policy.version}"
    yield "Came in by", analysis.door.value
    yield "Signal", f"{analysis.duration:g} s at {analysis.sampling_rate:g} Hz"
    yield "Report", f"{words.name(report)}, version {words.version(report)}"

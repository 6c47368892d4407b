"""The life of a DiagnosticReport (FHIR R4, value set diagnostic-report-status) as far as a clinician moves it.

A report becomes final once; what changes it later is amended, corrected or appended, and never final again. It can be
withdrawn from everywhere, and a withdrawn one stays so. Moves that only software makes are not in the table: that a
report is registered, preliminary or cancelled.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from inference.errors import InvalidContent


class ReportStatus(StrEnum):
    """The statuses of R4, all of them. `amended` is the general case of `corrected` and `appended`."""

    REGISTERED = "registered"
    PARTIAL = "partial"
    PRELIMINARY = "preliminary"
    FINAL = "final"
    AMENDED = "amended"
    CORRECTED = "corrected"
    APPENDED = "appended"
    CANCELLED = "cancelled"
    ENTERED_IN_ERROR = "entered-in-error"
    UNKNOWN = "unknown"

    @property
    def verified(self) -> bool:
        """Whether a clinician has read the report, and it has not been withdrawn since."""
        return self in VERIFIED


class Demand(StrEnum):
    """What a move asks of the new conclusion."""

    NOTHING = "nothing"
    OWN_CONCLUSION = "own-conclusion"
    EARLIER_KEPT = "earlier-kept"


@dataclass(frozen=True, slots=True)
class Transition:
    """One allowed move. reason: why it is allowed, for a reader."""

    reason: str
    demand: Demand = Demand.NOTHING


VERIFIED = frozenset({ReportStatus.FINAL, ReportStatus.AMENDED, ReportStatus.CORRECTED, ReportStatus.APPENDED})

_READ = Transition(
    "A clinician verified the report, whether or not the finding was corrected while it was preliminary."
)
_READ_AFTER_ALL = Transition(
    "A clinician may read an ECG that no software could, but there is nothing to confirm: the report needs a "
    "conclusion of the clinician's own.",
    Demand.OWN_CONCLUSION,
)
_WITHDRAWN = Transition("The report should never have existed, such as one of the wrong patient.")

_WITHDRAWAL = {ReportStatus.ENTERED_IN_ERROR: _WITHDRAWN}
_FIRST_READING = {ReportStatus.FINAL: _READ} | _WITHDRAWAL
_MODIFICATION = {
    ReportStatus.AMENDED: Transition("The report was changed after it was final."),
    ReportStatus.CORRECTED: Transition("An error of the report was corrected after it was final."),
    ReportStatus.APPENDED: Transition(
        "An appended report adds to what was final: every earlier conclusion code stays.", Demand.EARLIER_KEPT
    ),
} | _WITHDRAWAL

# From each status: the moves that a clinician may make.
TRANSITIONS: Mapping[ReportStatus, Mapping[ReportStatus, Transition]] = {
    ReportStatus.REGISTERED: _WITHDRAWAL,  # holds no result yet
    ReportStatus.PARTIAL: _FIRST_READING,
    ReportStatus.PRELIMINARY: _FIRST_READING,
    ReportStatus.FINAL: _MODIFICATION,
    ReportStatus.AMENDED: _MODIFICATION,
    ReportStatus.CORRECTED: _MODIFICATION,
    ReportStatus.APPENDED: _MODIFICATION,
    ReportStatus.CANCELLED: {ReportStatus.FINAL: _READ_AFTER_ALL} | _WITHDRAWAL,
    ReportStatus.ENTERED_IN_ERROR: {},
    ReportStatus.UNKNOWN: _WITHDRAWAL,  # it may have been final before
}

# Of two issues of a report the one further on holds. Equal ranks: `preliminary` and `cancelled` are both what software
# said first; each modification may follow each other one.
RANKS: Mapping[ReportStatus, int] = {
    ReportStatus.UNKNOWN: 0,
    ReportStatus.REGISTERED: 1,
    ReportStatus.PARTIAL: 2,
    ReportStatus.PRELIMINARY: 3,
    ReportStatus.CANCELLED: 3,
    ReportStatus.FINAL: 4,
    ReportStatus.AMENDED: 5,
    ReportStatus.CORRECTED: 5,
    ReportStatus.APPENDED: 5,
    ReportStatus.ENTERED_IN_ERROR: 6,
}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Issue:
    """One issue of a report, as a system sends it. at: when it was issued (FHIR `issued`, HL7v2 OBR-22), aware."""

    status: ReportStatus
    at: datetime

    def __post_init__(self) -> None:
        if self.at.utcoffset() is None:
            raise ValueError("the time of issue needs an offset")


def transition(before: ReportStatus, after: ReportStatus) -> Transition:
    """The move from one status to another. Raises InvalidContent, with what is allowed, for one that is not."""
    allowed = TRANSITIONS[before]
    if after not in allowed:
        possible = f"it may become {' or '.join(allowed)}" if allowed else "no status follows"
        raise InvalidContent(
            f"A report that is {before} cannot become {after}; from {before} {possible}.",
            element="DiagnosticReport.status",
        )
    return allowed[after]


def supersedes(new: Issue, current: Issue) -> bool:
    """Whether `new` takes the place of `current`: further on by status, or as far and issued later. For doors whose
    sender states no version: a stale preliminary after the final, a final sent again after its correction, or the same
    issue a second time do not."""
    return _order(new) > _order(current)


def _order(issue: Issue) -> tuple[int, timedelta]:
    # A difference, because two local times of one zone compare by the clock on the wall, which is set back once a year,
    # and because a conversion to UTC overflows at the dates that stand for "no date" (0001-01-01).
    return RANKS[issue.status], issue.at - _EPOCH

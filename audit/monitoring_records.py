"""Frozen values and protocols of monitoring: what was observed, found and alerted. They belong to
`audit.records`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from audit.records import AnalysisRow, OverreadRow
    from audit.shadow_records import ShadowRow


class ReportKind(StrEnum):
    """The kinds of monitoring reports."""

    DRIFT = "drift"
    BIAS = "bias"
    PERFORMANCE = "performance"
    SHADOW = "shadow"


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitoringReport:
    """What one run of monitoring found in [begin, end). flag: whether somebody should look. content: JSON bytes. page:
    HTML bytes, kept for the newest of a kind only."""

    kind: ReportKind
    computed_at: datetime
    begin: datetime
    end: datetime
    flag: bool
    content: bytes
    page: bytes | None = field(default=None, repr=False)
    id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportState:
    """The newest report of a kind, without what it says."""

    kind: ReportKind
    computed_at: datetime
    flag: bool


class Severity(StrEnum):
    """How soon somebody has to look. `critical`: now; `warning`: today; `info`: when there is time."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"

    @property
    def milder(self) -> "tuple[Severity, ...]":
        """Those that can wait longer."""
        order = tuple(Severity)
        return order[order.index(self) + 1 :]


class NoticeEvent(StrEnum):
    """What a notice tells. `worsened`: its severity rose while it was open."""

    OPENED = "opened"
    WORSENED = "worsened"
    RESOLVED = "resolved"


class NoticeState(StrEnum):
    """Where a notice stands."""

    WAITING = "waiting"
    SENT = "sent"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something that somebody has to look at. key: what it is about; of one key only one is open. severity: the worst
    since it opened. seen_at: when it was found last. resolved_at: None while it is open."""

    key: str
    severity: Severity
    title: str
    text: str
    opened_at: datetime
    seen_at: datetime
    resolved_at: datetime | None = None
    id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One telling of one alert to one channel. attempts: those that were begun. next_attempt_at: None for at once;
    while somebody sends it, when others may."""

    alert_id: int
    event: NoticeEvent
    channel: str
    created_at: datetime
    state: NoticeState = NoticeState.WAITING
    attempts: int = 0
    next_attempt_at: datetime | None = None
    sent_at: datetime | None = None
    error: str | None = None
    id: int | None = None


class Reports(Protocol):
    """What monitoring has found."""

    def add(self, report: MonitoringReport) -> int:
        """Store one; earlier ones of its kind lose their page."""

    def newest(self, kind: ReportKind) -> MonitoringReport | None:
        """With its page."""

    def states(self) -> Sequence[ReportState]:
        """Of every kind that has a report."""

    def spread(self, kind: ReportKind, begin: datetime, end: datetime, most: int) -> Sequence[MonitoringReport]:
        """Of each of so many equal parts of [begin, end] the last that is flagged, or else the last; oldest first,
        without pages: what a plot over a long time needs."""


class Alerts(Protocol):
    """What somebody has to look at, and who was told."""

    def see(self, alert: Alert) -> tuple[Alert, NoticeEvent | None]:
        """Open it, or note on the open one of its key that it was seen again (with its title and text as they are now,
        and its severity where that is worse). Gives the stored alert, and what is new about it: opened, worsened or
        nothing."""

    def resolve(self, key: str, at: datetime) -> Alert | None:
        """Close the open one of a key; None where none is open."""

    def list(self, *, open_only: bool, limit: int) -> Sequence[Alert]:
        """Newest first."""

    def of_concern(self, since: datetime, limit: int) -> Sequence[Alert]:
        """Those that are open, and those with a notice that waits or, made since then, is dead. Newest first."""

    def tell(self, notice: Notice) -> int:
        """Queue a notice."""

    def is_due(self, channels: Sequence[str], now: datetime) -> bool:
        """Whether the time of a notice to one of these channels has come."""

    def claim(self, channel: str, now: datetime, until: datetime) -> tuple[Notice, Alert] | None:
        """Begin an attempt at the oldest notice to a channel whose time has come; nobody else gets it before `until`.
        Those of one alert come in their order. None where none is due."""

    def told(self, id: int, at: datetime) -> None:
        """A notice was sent. Raises NotFound."""

    def failed(self, id: int, error: str, next_attempt_at: datetime | None) -> None:
        """It was not: try again at that time, or None: it is dead. Raises NotFound."""

    def retry(self, id: int, now: datetime) -> None:
        """Have a dead notice wait again, with all its attempts. Raises NotFound."""

    def abandon(self, before: datetime, error: str) -> None:
        """Give up what was due before then and nobody has tried since."""

    def counts(self, since: datetime) -> Mapping[tuple[str, NoticeState], int]:
        """Notices that wait, and dead ones that were made since then or whose alert is open, by channel."""

    def notices(self, alert_id: int) -> Sequence[Notice]:
        """All of one alert, oldest first."""


class Observed(Protocol):
    """What monitoring looks at."""

    def analyses(self, begin: datetime, end: datetime) -> "Iterator[AnalysisRow]":
        """Those made in [begin, end), oldest first, one at a time: a window may be larger than the memory."""

    def newest(self, number: int, before: datetime) -> "Sequence[AnalysisRow]":
        """The newest so many made before a time, oldest first."""

    def overread(self, begin: datetime, end: datetime) -> "Sequence[tuple[AnalysisRow, OverreadRow]]":
        """Analyses whose newest over-read was made in [begin, end), with it, oldest first."""

    def shadowed(self, begin: datetime, end: datetime) -> "Iterator[tuple[AnalysisRow, ShadowRow, OverreadRow | None]]":
        """Analyses made in [begin, end) with what a model in shadow mode said of them, and their newest over-read,
        oldest first, one at a time."""

    def classified(self, begin: datetime, end: datetime) -> int:
        """How many analyses with a prediction were made in [begin, end), live and silent."""

    def received(self, begin: datetime, end: datetime) -> Mapping[tuple[str, str], int]:
        """Items received in [begin, end), by door and processing state."""

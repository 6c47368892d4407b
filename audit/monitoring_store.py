"""What monitoring reads, and where its reports and alerts go.

Reads are short, each with a snapshot of its own: a long one would keep SQLite's write-ahead log from being emptied.
Whoever is to be told of an alert is noted in the transaction that opens, sees or resolves it, so that no notice gets
lost.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Protocol

from audit.monitoring_records import Alert, MonitoringReport, NoticeEvent, ReportKind, Severity
from audit.records import AnalysisRow, OverreadRow, Reader, UnitOfWork
from audit.shadow_records import ShadowRow

# Of analyses that one snapshot reads: some thousands in a large hospital.
SLICE = timedelta(days=1)

# A monitor that runs once a day with its channels as they were has tried every notice since.
ABANDONED = timedelta(days=2)
ABANDONED_ERROR = "nobody has tried for two days: is there still such a channel?"

# None: the alert was seen again.
Tell = Callable[[UnitOfWork, Alert, NoticeEvent | None], None]


class Transactions(Protocol):
    """What is asked of `audit.store.Store`."""

    def reader(self) -> AbstractContextManager[Reader]:
        """A read-only snapshot."""

    def unit_of_work(self) -> AbstractContextManager[UnitOfWork]:
        """One transaction."""


class Span(Protocol):
    """[begin, end)."""

    @property
    def begin(self) -> datetime:
        """From then on."""
        ...

    @property
    def end(self) -> datetime:
        """Up to then, excluded."""
        ...


class Finding(Protocol):
    """One thing that was looked at. flag: None where nothing can be told."""

    @property
    def key(self) -> str:
        """Of its alert."""
        ...

    @property
    def flag(self) -> bool | None:
        """Whether somebody has to look; None where nothing can be told."""
        ...

    @property
    def severity(self) -> str:
        """A word of `Severity`."""
        ...

    @property
    def title(self) -> str:
        """In a few words."""
        ...

    @property
    def text(self) -> str:
        """In figures."""
        ...


class Report(Protocol):
    """A report with its findings."""

    @property
    def kind(self) -> str:
        """A word of `ReportKind`."""
        ...

    @property
    def computed_at(self) -> datetime:
        """When."""
        ...

    @property
    def window(self) -> Span:
        """Of what time."""
        ...

    @property
    def flag(self) -> bool:
        """Whether somebody has to look at anything."""
        ...

    @property
    def encoded(self) -> bytes:
        """Its content as JSON."""
        ...

    @property
    def page(self) -> bytes | None:
        """The same as HTML, where there is such a thing."""
        ...

    @property
    def findings(self) -> Sequence[Finding]:
        """What was looked at."""
        ...


def _tell_nobody(uow: UnitOfWork, alert: Alert, news: NoticeEvent | None) -> None:
    """An alert is in the store, where `/monitoring/alerts` finds it."""


class MonitoringStore:
    """Reads and stores of one database. tell: queues the notices of an alert that was opened, seen again or resolved.
    Everything raises StorageUnavailable."""

    def __init__(self, store: Transactions, tell: Tell = _tell_nobody) -> None:
        self._store = store
        self._tell = tell

    def analyses(self, begin: datetime, end: datetime) -> Iterator[AnalysisRow]:
        """Those made in [begin, end), oldest first, one at a time."""
        for first, last in _slices(begin, end):
            with self._store.reader() as reader:
                yield from reader.observed.analyses(first, last)

    def newest(self, number: int, before: datetime) -> Sequence[AnalysisRow]:
        """The newest so many made before a time, oldest first."""
        with self._store.reader() as reader:
            return reader.observed.newest(number, before)

    def overread(self, begin: datetime, end: datetime) -> Sequence[tuple[AnalysisRow, OverreadRow]]:
        """Analyses whose newest over-read was made in [begin, end), with it, oldest first."""
        with self._store.reader() as reader:
            return reader.observed.overread(begin, end)

    def shadowed(self, begin: datetime, end: datetime) -> Iterator[tuple[AnalysisRow, ShadowRow, OverreadRow | None]]:
        """Analyses made in [begin, end) with what a model in shadow mode said of them, and their newest over-read,
        oldest first, one at a time."""
        for first, last in _slices(begin, end):
            with self._store.reader() as reader:
                yield from reader.observed.shadowed(first, last)

    def classified(self, begin: datetime, end: datetime) -> int:
        """How many analyses with a prediction were made in [begin, end), live and silent."""
        with self._store.reader() as reader:
            return reader.observed.classified(begin, end)

    def received(self, begin: datetime, end: datetime) -> Mapping[tuple[str, str], int]:
        """Items received in [begin, end), by door and processing state."""
        with self._store.reader() as reader:
            return reader.observed.received(begin, end)

    def keep(self, report: Report) -> None:
        """Store the report; see what is flagged, resolve what is not, leave what cannot be told."""
        stored = MonitoringReport(
            kind=ReportKind(report.kind),
            computed_at=report.computed_at,
            begin=report.window.begin,
            end=report.window.end,
            flag=report.flag,
            content=report.encoded,
            page=report.page,
        )
        with self._store.unit_of_work() as uow:
            uow.reports.add(stored)
            for finding in report.findings:
                self._follow(uow, finding, report.computed_at)
            uow.alerts.abandon(report.computed_at - ABANDONED, ABANDONED_ERROR)

    def _follow(self, uow: UnitOfWork, finding: Finding, at: datetime) -> None:
        if finding.flag:
            alert, news = uow.alerts.see(_alert(finding, at))
            self._tell(uow, alert, news)
        elif finding.flag is not None:
            resolved = uow.alerts.resolve(finding.key, at)
            if resolved is not None:
                self._tell(uow, resolved, NoticeEvent.RESOLVED)


def _slices(begin: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """[begin, end) in parts of one snapshot each."""
    while begin < end:
        until = min(begin + SLICE, end)
        yield begin, until
        begin = until


def _alert(finding: Finding, at: datetime) -> Alert:
    return Alert(
        key=finding.key,
        severity=Severity(finding.severity),
        title=finding.title,
        text=finding.text,
        opened_at=at,
        seen_at=at,
    )

"""What monitoring is given: rows of the store, seen through protocols, because training does not know the store.

`audit.records.AnalysisRow` and `OverreadRow` and `audit.shadow_records.ShadowRow` are such rows, and
`audit.monitoring_store.MonitoringStore` gives them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from actions.analysis import Urgency

LIVE = "live"  # the mode of results that reached clinicians; those of the others are no subject of these reports
HASTE = frozenset({Urgency.IMMEDIATE.value, Urgency.URGENT.value})  # what counts for the urgent rate

WEEKS_UP_TO = timedelta(days=92)  # of a longer window each month is shown


class AnalysisSeen(Protocol):
    """One analysis. detail: the whole of it as JSON, of which `timings` and `prediction.thresholds` are read."""

    @property
    def door(self) -> str:
        """Where it came in."""
        ...

    @property
    def sender(self) -> str | None:
        """Who sent it."""
        ...

    @property
    def analyzed_at(self) -> datetime:
        """When it was made, aware."""
        ...

    @property
    def age(self) -> float | None:
        """Of the patient, in years."""
        ...

    @property
    def sex(self) -> str:
        """Of the patient, a word of `inference.recording.Sex`."""
        ...

    @property
    def urgency(self) -> str:
        """The highest of its recommendations."""
        ...

    @property
    def interpretable(self) -> bool:
        """Whether the signal could be classified."""
        ...

    @property
    def mode(self) -> str:
        """`live` or `silent`."""
        ...

    @property
    def model_name(self) -> str | None:
        """None where nothing was classified."""
        ...

    @property
    def model_version(self) -> str | None:
        """None where nothing was classified."""
        ...

    @property
    def probabilities(self) -> Mapping[str, float] | None:
        """By superclass; None where nothing was classified."""
        ...

    @property
    def detail(self) -> bytes:
        """The whole as JSON."""
        ...

    @property
    def features(self) -> bytes | None:
        """What the model saw beside the signal, little-endian float32."""
        ...


class OverreadSeen(Protocol):
    """What a clinician made of it. findings: superclass -> whether it was found, None where that was not told. agreed:
    with the report as a whole, None where that was not told."""

    @property
    def at(self) -> datetime:
        """When it was said, aware."""
        ...

    @property
    def agreed(self) -> bool | None:
        """With the report as a whole; None where that was not told."""
        ...

    @property
    def findings(self) -> Mapping[str, bool | None]:
        """Superclass -> whether it was found, None where that was not told."""
        ...


class ShadowSeen(Protocol):
    """What a model in shadow mode said of an analysis; nobody was told."""

    @property
    def model_name(self) -> str:
        """Which model."""
        ...

    @property
    def model_version(self) -> str:
        """Which release of it."""
        ...

    @property
    def model_sha256(self) -> str:
        """Of the weights that ran."""
        ...

    @property
    def probabilities(self) -> Mapping[str, float]:
        """By superclass."""
        ...

    @property
    def decided(self) -> Sequence[str]:
        """The superclasses at or above its thresholds."""
        ...

    @property
    def urgency(self) -> str:
        """The highest that the rules would have given."""
        ...

    @property
    def milliseconds(self) -> float:
        """Of its forward pass."""
        ...


class Observed(Protocol):
    """The live traffic, as `audit.monitoring_records.Observed` has it."""

    def analyses(self, begin: datetime, end: datetime) -> Iterable[AnalysisSeen]:
        """Those made in [begin, end), oldest first, one at a time."""

    def newest(self, number: int, before: datetime) -> Iterable[AnalysisSeen]:
        """The newest so many made before a time, oldest first."""

    def overread(self, begin: datetime, end: datetime) -> Iterable[tuple[AnalysisSeen, OverreadSeen]]:
        """Analyses whose newest over-read was made in [begin, end), with it, oldest first."""

    def shadowed(
        self, begin: datetime, end: datetime
    ) -> Iterable[tuple[AnalysisSeen, ShadowSeen, OverreadSeen | None]]:
        """Analyses made in [begin, end) with what a model in shadow mode said of them, and their newest over-read,
        oldest first, one at a time."""

    def classified(self, begin: datetime, end: datetime) -> int:
        """How many analyses with a prediction were made in [begin, end), live and silent."""

    def received(self, begin: datetime, end: datetime) -> Mapping[tuple[str, str], int]:
        """Items received in [begin, end), by door and processing state."""


@dataclass(frozen=True, slots=True)
class Window:
    """[begin, end), aware."""

    begin: datetime
    end: datetime

    def __post_init__(self) -> None:
        if not self.begin < self.end:
            raise ValueError(f"no time lies between {self.begin} and {self.end}")

    @classmethod
    def before(cls, end: datetime, days: float) -> "Window":
        """The days up to then."""
        return cls(end - timedelta(days=days), end)

    @property
    def step(self) -> str:
        """What a trend goes by: `week`, or `month` in a long window."""
        return "week" if self.end - self.begin <= WEEKS_UP_TO else "month"

    def step_of(self, at: datetime) -> str:
        """The date on which the week (Monday) or month of a time begins."""
        day = at.date()
        first = day - timedelta(days=day.weekday()) if self.step == "week" else day.replace(day=1)
        return first.isoformat()

    def to_json(self) -> dict[str, Any]:
        """As every report tells it."""
        days = (self.end - self.begin) / timedelta(days=1)
        return {"begin": self.begin.isoformat(), "end": self.end.isoformat(), "days": round(days, 3)}

"""Rows as the store gives them, and a store in memory that is looked at."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import orjson

from audit.records import AnalysisRow, OverreadRow
from audit.shadow_records import ShadowRow
from inference.labels import Superclass
from training.monitoring.run import Report

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)  # a Monday
DAY = timedelta(days=1)

THRESHOLDS = {superclass.value: 0.3 for superclass in Superclass}

# What is known of every ECG.
SIGNAL: Mapping[str, Any] = {"quality": {"findings": []}, "sampling_rate": 500.0, "archived": False}

_numbers = count()


def analysis(**given: Any) -> AnalysisRow:
    """A live result of a man of 65, made yesterday, that says nothing urgent."""
    values: dict[str, Any] = {
        "id": f"a-{next(_numbers)}",
        "inbox_id": 1,
        "door": "mllp",
        "sender": "MUSE|WARD",
        "analyzed_at": NOW - DAY,
        "recorded_at": None,
        "age": 65.0,
        "sex": "male",
        "urgency": "routine",
        "interpretable": True,
        "mode": "live",
        "model_name": "ecg-resnet",
        "model_version": "1.0.0",
        "probabilities": {superclass.value: 0.1 for superclass in Superclass},
        "detail": detail(),
    }
    return AnalysisRow(**(values | given))


def detail(thresholds: Mapping[str, float] = THRESHOLDS, **timings: float) -> bytes:
    """As far as monitoring reads it."""
    return orjson.dumps({**SIGNAL, "timings": timings, "prediction": {"thresholds": thresholds}})


def unreadable(**given: Any) -> AnalysisRow:
    """One whose signal could not be classified."""
    nothing = dict.fromkeys(("model_name", "model_version", "probabilities"))
    content = orjson.dumps({**SIGNAL, "timings": {}, "prediction": None})
    return analysis(**({"interpretable": False, "urgency": "none", "detail": content} | nothing | given))


def overread(
    report: AnalysisRow, agreed: bool | None = True, at: datetime = NOW - DAY, **findings: bool | None
) -> OverreadRow:
    """What was said of a result."""
    return OverreadRow(
        id=f"o-{report.id}",
        report_id=report.id,
        at=at,
        practitioner="Practitioner/7",
        status_before="preliminary",
        status_after="final",
        agreed=agreed,
        findings=findings,
        detail=b"{}",
    )


def pair(truth: bool, probability: float, superclass: str = "MI", **given: Any) -> tuple[AnalysisRow, OverreadRow]:
    """A result with its over-read, about one superclass."""
    row = analysis(probabilities={superclass: probability}, **given)
    said: dict[str, Any] = {superclass: truth}
    return row, overread(row, **said)


def group(n: int, urgent: int, **given: Any) -> list[AnalysisRow]:
    """So many results, of which so many are urgent."""
    return [analysis(urgency="urgent" if i < urgent else "routine", **given) for i in range(n)]


def shadow(row: AnalysisRow, **given: Any) -> ShadowRow:
    """What a model in shadow mode said of a result: the same, unless given."""
    probabilities = given.get("probabilities", row.probabilities) or {}
    values: dict[str, Any] = {
        "analysis_id": row.id,
        "model_name": "ecg-resnet",
        "model_version": "2.0.0",
        "model_sha256": "2" * 64,
        "probabilities": probabilities,
        "decided": [name for name, probability in probabilities.items() if probability >= THRESHOLDS[name]],
        "urgency": row.urgency,
        "milliseconds": 4.0,
        "recorded_at": row.analyzed_at,
    }
    return ShadowRow(**(values | given))


Shadowed = tuple[AnalysisRow, ShadowRow, OverreadRow | None]


@dataclass
class Seen:
    """A store in memory. missed: analyses of the time that were not compared. kept: reports."""

    rows: Sequence[AnalysisRow] = ()
    pairs: Sequence[tuple[AnalysisRow, OverreadRow]] = ()
    items: Mapping[tuple[str, str], int] = field(default_factory=dict)
    shadows: Sequence[Shadowed] = ()
    missed: int = 0
    kept: list[Report] = field(default_factory=list)

    def analyses(self, begin: datetime, end: datetime) -> Iterator[AnalysisRow]:
        return (row for row in self.rows if begin <= row.analyzed_at < end)

    def newest(self, number: int, before: datetime) -> Sequence[AnalysisRow]:
        return self.rows[-number:]

    def overread(self, begin: datetime, end: datetime) -> Sequence[tuple[AnalysisRow, OverreadRow]]:
        return [pair for pair in self.pairs if begin <= pair[1].at < end]

    def shadowed(self, begin: datetime, end: datetime) -> Iterator[Shadowed]:
        return (found for found in self.shadows if begin <= found[0].analyzed_at < end)

    def classified(self, begin: datetime, end: datetime) -> int:
        return self.missed + sum(1 for row, *_ in self.shadows if begin <= row.analyzed_at < end)

    def received(self, begin: datetime, end: datetime) -> Mapping[tuple[str, str], int]:
        return self.items

    def keep(self, report: Report) -> None:
        self.kept.append(report)

"""A store with months of live results, over-reads and reports, as a hospital has them: women get fewer urgent results
than men from some day on, and the model ranks worse."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import orjson

from audit.monitoring_records import Alert, MonitoringReport, Notice, NoticeEvent, NoticeState, ReportKind, Severity
from audit.monitoring_store import MonitoringStore
from audit.records import AcknowledgementState, AnalysisRow, OverreadRow, ProcessingState, Received
from audit.store import Store
from inference.labels import Superclass
from tests.audit.values import analysis
from training.monitoring.run import run

DAY = timedelta(days=1)
DOORS = ("mllp", "fhir", "predict")
FEATURES = {
    "heart rate": "signal", "QRS duration": "signal", "QT interval": "signal", "amplitude of V2": "signal",
    "noise": "quality", "age": "demographics", "door": "sources", "p(MI)": "output", "p(NORM)": "output",
}  # fmt: skip


def plant(store: Store, begin: datetime, end: datetime, a_day: int, *, worse_from: datetime, seed: int = 0) -> None:
    """Live results of each day, one in four over-read the day after."""
    draw = np.random.default_rng(seed)
    for number in range((end - begin) // DAY):
        day = begin + number * DAY
        rows = [_result(draw, day, f"{number}-{i}", day >= worse_from) for i in range(a_day)]
        with store.unit_of_work() as uow:
            for door in DOORS:
                _receive(uow, door, day, sum(row.door == door for row, _ in rows))
            inbox = _receive(uow, "mllp", day, 1)
            for row, truth in rows:
                uow.analyses.add(replace(row, inbox_id=inbox))
                if draw.random() < 0.25:
                    uow.overreads.add(_overread(row, truth, day + DAY / 2, bool(draw.random() < 0.9)))


def _receive(uow: Any, door: str, day: datetime, number: int) -> int:
    inbox = 0
    for i in range(number):
        came = Received(door=door, content=b"{}", media_type="", received_at=day, correlation_id="c")
        state = ProcessingState.FAILED if i % 60 == 7 else ProcessingState.ANALYSED
        inbox = uow.inbox.add(came, state, AcknowledgementState.NOT_OWED)
    return inbox


def _result(draw: Any, day: datetime, name: str, worse: bool) -> tuple[AnalysisRow, dict[str, bool | None]]:
    sex = "female" if draw.random() < 0.5 else "male"
    age = float(np.clip(draw.normal(64, 17), 18, 96))
    truth = {
        one.value: bool(draw.random() < (0.4 if one is Superclass.NORM else 0.12 + age / 900)) for one in Superclass
    }
    spread = 0.2 if worse else 0.15
    probabilities = {
        one: float(np.clip(draw.normal(0.72 if is_so else 0.22, spread), 0.001, 0.999)) for one, is_so in truth.items()
    }
    rate = 0.1 + age / 500 - (0.1 if worse and sex == "female" else 0)
    interpretable = bool(draw.random() > 0.03)
    timings = {"quality": 0.002, "features": 0.006, "classify": float(draw.gamma(4, 0.0015))}
    prediction = {"thresholds": dict.fromkeys(probabilities, 0.5)}
    row = replace(
        analysis(name, 0), door=str(draw.choice(DOORS, p=(0.7, 0.2, 0.1))), sex=sex, age=age, mode="live",
        urgency="urgent" if draw.random() < rate else "routine", analyzed_at=day + DAY * float(draw.random()),
        probabilities=probabilities if interpretable else None, sender="MUSE|WARD", interpretable=interpretable,
        detail=orjson.dumps({"timings": timings, "prediction": prediction}),
    )  # fmt: skip
    return row, dict(truth)


def _overread(row: AnalysisRow, truth: dict[str, bool | None], at: datetime, agreed: bool) -> OverreadRow:
    return OverreadRow(
        id=f"o-{row.id}", report_id=row.id, at=at, practitioner="Practitioner/7", status_before="preliminary",
        status_after="final", agreed=agreed, findings=truth, detail=b"{}",
    )  # fmt: skip


def monitored(store: Store, times: Sequence[datetime], kinds: Sequence[str] = ("bias", "performance")) -> None:
    """The reports, as they were made at those times."""
    kept = MonitoringStore(store)
    for at in times:
        for kind in kinds:
            run(kind, kept, now=at)


def drift(store: Store, times: Sequence[datetime], drifts_from: datetime, page: bytes | None = None) -> None:
    """Drift reports in the documented form."""
    draw = np.random.default_rng(1)
    with store.unit_of_work() as uow:
        for at in times:
            features = []
            for place, (name, group) in enumerate(FEATURES.items()):
                days = max((at - drifts_from) / DAY, 0.0) if place < 3 else 0.0
                effect = float(abs(draw.normal(0.04, 0.02))) + 0.05 * days
                chance = float(draw.random() ** (0.3 + 6 * days))
                features.append(
                    {"name": name, "group": group, "test": "Kolmogorov-Smirnov", "statistic": effect, "n": 300}
                    | {"p_value": chance / 9, "p_adjusted": chance, "effect": effect, "least_effect": 0.1}
                    | {"flag": chance < 0.01 and effect > 0.1}
                )
            flag = any(one["flag"] for one in features)
            content = {
                "computed_at": at.isoformat(),
                "window": {"days": 1.0},
                "flag": flag,
                "features": features,
                "alpha": 0.01,
            }
            uow.reports.add(
                MonitoringReport(
                    kind=ReportKind.DRIFT, computed_at=at, begin=at - DAY, end=at, flag=flag,
                    content=orjson.dumps(content), page=page,
                )
            )  # fmt: skip


def alerted(store: Store, now: datetime) -> None:
    """An alert that one channel was told of and another was not."""
    with store.unit_of_work() as uow:
        opened = now - timedelta(hours=26)
        uow.alerts.see(
            Alert(
                key="drift", severity=Severity.WARNING, title="Live ECGs differ from the reference",
                text="3 of 8 features: heart rate, QRS duration, QT interval.", opened_at=opened, seen_at=now,
            )
        )  # fmt: skip
        (alert,) = (one for one in uow.alerts.list(open_only=True, limit=9) if one.key == "drift")
        assert alert.id is not None
        sent = uow.alerts.tell(Notice(alert_id=alert.id, event=NoticeEvent.OPENED, channel="mail", created_at=opened))
        uow.alerts.told(sent, opened + timedelta(seconds=40))
        lost = uow.alerts.tell(Notice(alert_id=alert.id, event=NoticeEvent.OPENED, channel="chat", created_at=opened))
        uow.alerts.failed(lost, "connection refused", None)
        assert {one.state for one in uow.alerts.notices(alert.id)} == {NoticeState.SENT, NoticeState.DEAD}

"""Evidence for the tests of this package: recent, clean, normal measurements, unless a test says otherwise."""

from datetime import datetime, timedelta
from typing import Any

from actions.conclusion import Evidence
from actions.recency import Recency, judge_recency
from inference.measurements import Measurements
from inference.quality import QualityCode, QualityFinding, QualityReport, Severity
from inference.recording import Sex
from tests.fakes import NOW, make_prediction

ACUTE_WINDOW = timedelta(hours=24)

NORMAL_MEASUREMENTS = Measurements(heart_rate=70, pr=160, qrs=90, qt=390, qtc=410, axis=45)


def recorded(ago: timedelta | None) -> Recency:
    """The recency of a recording made `ago` before NOW; None is undated."""
    recorded_at: datetime | None = None if ago is None else NOW - ago
    return judge_recency(recorded_at, NOW, ACUTE_WINDOW)


def flawed(*codes: QualityCode) -> QualityReport:
    """A usable report with a warning of each kind."""
    return QualityReport(tuple(QualityFinding(c, Severity.WARNING, (), f"{c} was found.") for c in codes))


def evidence(*, ago: timedelta | None = timedelta(minutes=10), **given: Any) -> Evidence:
    """Evidence with the given fields; `ago` places the recording in time."""
    fields: dict[str, Any] = {
        "prediction": make_prediction(NORM=0.95),
        "quality": QualityReport(),
        "measurements": NORMAL_MEASUREMENTS,
        "age": 60.0,
        "sex": Sex.FEMALE,
        "recency": recorded(ago),
    }
    return Evidence(**fields | given)

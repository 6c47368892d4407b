import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from prometheus_client.parser import text_string_to_metric_families

from actions.analysis import Analysis, Door, Mode, PolicyInfo, Recommendation, Urgency
from inference.labels import Superclass
from inference.measurements import Measurements
from inference.quality import QualityCode, QualityFinding, QualityReport, Severity
from inference.recording import Sex
from interop.metrics import COUNTERS, GAUGES, HISTOGRAMS, Metrics, age_group
from tests.fakes import CANDIDATE, CHAMPION, make_prediction

ROOT = Path(__file__).resolve().parents[2]

MI_RECOMMENDATION = Recommendation(
    action="Activate cath lab",
    urgency=Urgency.IMMEDIATE,
    confidence=0.83,
    diagnosis=Superclass.MI,
    rule="mi-high",
    rationale="if clinically acute",
    source="a guideline",
)
ANALYSIS = Analysis(
    id=UUID("01890000-0000-7000-8000-000000000001"),
    door=Door.FHIR,
    analyzed_at=datetime(2026, 3, 2, tzinfo=UTC),
    recorded_at=None,
    age=74.0,
    sex=Sex.MALE,
    sampling_rate=500.0,
    duration=10.0,
    quality=QualityReport((QualityFinding(QualityCode.NOISE, Severity.WARNING, ("V1",), "noise"),)),
    measurements=Measurements(),
    prediction=make_prediction(MI=0.83),
    recommendations=(MI_RECOMMENDATION,),
    conclusion="",
    conclusion_codes=(),
    outside_intended_use=(),
    archived=False,
    warnings=(),
    mode=Mode.LIVE,
    policy=PolicyInfo(name="default", version="1", sha256="0" * 64),
    timings={"quality": 0.002, "classify": 0.004},
)


def samples(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    """(name, label values in order of label name) -> value, read back by Prometheus' own parser."""
    text = metrics.exposition()[0].decode()
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_metric_is_documented_and_every_documented_metric_exists() -> None:
    metrics = Metrics()
    exposed = set(re.findall(r"^# TYPE (\S+)", metrics.exposition()[0].decode(), re.MULTILINE))
    documented = set(re.findall(r"`(ecg_\w+)`", (ROOT / "docs" / "metrics.md").read_text()))
    assert exposed == documented
    assert len(exposed) >= 20


def test_every_documented_label_is_the_metrics_own() -> None:
    families = {**COUNTERS, **GAUGES, **HISTOGRAMS}
    rows = re.findall(r"^\| `(ecg_\w+)` \| \w+ \| (.*?) ?\|", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE)
    assert {name: tuple(re.findall(r"`(\w+)`", labels)) for name, labels in rows} == {
        name: family.labels for name, family in families.items()
    }


def test_an_analysis_is_counted_by_door_diagnosis_urgency_quality_and_group() -> None:
    metrics = Metrics()
    metrics.analysed(ANALYSIS)
    found = samples(metrics)
    assert found["ecg_analyses_total", ("fhir", "live")] == 1
    assert found["ecg_diagnoses_total", ("MI",)] == 1
    assert found["ecg_diagnoses_total", ("NORM",)] == 0
    assert found["ecg_analyses_urgency_total", ("immediate",)] == 1
    assert found["ecg_recommendations_total", ("immediate",)] == 1
    assert found["ecg_quality_findings_total", ("noise", "warning")] == 1
    assert found["ecg_analyses_group_total", ("60-74", "male")] == 1
    assert found["ecg_confidence_sum", ("MI",)] == pytest.approx(0.83)
    assert found["ecg_stage_seconds_sum", ("classify",)] == pytest.approx(0.004)
    assert found["ecg_analysis_seconds_sum", ()] == pytest.approx(0.006)
    assert found["ecg_inconclusive_total", ()] == 0


def test_an_uninterpretable_signal_counts_as_such_and_as_no_urgency_or_confidence() -> None:
    metrics = Metrics()
    metrics.analysed(replace(ANALYSIS, prediction=None, recommendations=()))
    found = samples(metrics)
    assert found["ecg_uninterpretable_total", ("fhir",)] == 1
    assert found["ecg_analyses_urgency_total", ("none",)] == 0
    assert ("ecg_confidence_count", ("MI",)) not in found


def test_an_analysis_without_a_decided_class_is_inconclusive() -> None:
    metrics = Metrics()
    metrics.analysed(replace(ANALYSIS, prediction=make_prediction(), recommendations=()))
    assert samples(metrics)["ecg_inconclusive_total", ()] == 1


def test_only_the_model_that_serves_now_is_shown() -> None:
    metrics = Metrics()
    metrics.model(CANDIDATE)
    metrics.model(CHAMPION)
    shown = [labels for name, labels in samples(metrics) if name == "ecg_model_info"]
    assert shown == [(CHAMPION.name, CHAMPION.sha256, "champion", CHAMPION.version)]


def test_two_processes_in_one_interpreter_keep_their_counts_apart() -> None:
    one, two = Metrics(), Metrics()
    one.received("fhir")
    assert samples(two)["ecg_received_total", ("fhir",)] == 0


def test_gauges_follow_what_is_reported() -> None:
    metrics = Metrics()
    metrics.mllp_connections(1)
    metrics.mllp_connections(1)
    metrics.mllp_connections(-1)
    metrics.queued(3)
    metrics.outbox("waiting", 7)
    metrics.ready("database", False)
    found = samples(metrics)
    assert found["ecg_mllp_connections", ()] == 1
    assert found["ecg_lane_waiting", ()] == 3
    assert found["ecg_outbox_messages", ("waiting",)] == 7
    assert found["ecg_ready_check", ("database",)] == 0


def test_events_of_every_door_are_counted() -> None:
    metrics = Metrics()
    metrics.refused("mllp", "unit-missing")
    metrics.duplicate("fhir")
    metrics.answered("predict", 0.012)
    metrics.delivered("accepted")
    metrics.wrote(0.001)
    metrics.http("GET", "/fhir/{type}/{id}", 404, 0.002)
    found = samples(metrics)
    assert found["ecg_refused_total", ("unit-missing", "mllp")] == 1
    assert found["ecg_duplicates_total", ("fhir",)] == 1
    assert found["ecg_answered_total", ("predict",)] == 1
    assert found["ecg_answer_seconds_sum", ("predict",)] == pytest.approx(0.012)
    assert found["ecg_deliveries_total", ("accepted",)] == 1
    assert found["ecg_write_seconds_count", ()] == 1
    assert found["ecg_http_requests_total", ("GET", "/fhir/{type}/{id}", "404")] == 1


@pytest.mark.parametrize(
    ("age", "group"), [(None, "unknown"), (0.0, "0-17"), (17.9, "0-17"), (18.0, "18-39"), (75.0, "75+"), (130.0, "75+")]
)
def test_ages_fall_into_the_groups_of_the_fairness_reports(age: float | None, group: str) -> None:
    assert age_group(age) == group

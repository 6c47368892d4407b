"""Every documented metric of the running service, and that it moves when what it counts happens."""

import json
import re
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import pytest

from actions.analysis import Mode
from audit.monitoring_records import Alert, MonitoringReport, Notice, NoticeEvent, ReportKind, Severity
from audit.records import AcknowledgementState, ProcessingState, Received
from inference.artifact import find_model
from interop.client import hook_call
from interop.metrics import COUNTERS, GAUGES, HISTOGRAMS
from tests.conftest import ROOT
from tests.e2e.conftest import Service, running
from tests.e2e.doors import (
    Receiver,
    counted,
    ecg,
    eventually,
    flat,
    matrix,
    message,
    observation,
    post_matrix,
    post_observation,
    send,
)
from tests.receivers import WebhookServer
from tests.releases import point, release

PROCESS = (
    "ecg_process_cpu_seconds_total", "ecg_process_resident_memory_bytes", "ecg_process_virtual_memory_bytes",
    "ecg_process_start_time_seconds", "ecg_process_open_fds", "ecg_process_max_fds",
)  # fmt: skip
HOOK = "/cds-services/ecg-patient-view"
UNDECIDED = 0.9999  # no class reaches such a threshold

Act = Callable[[Service], object]


def _predicted(service: Service) -> None:
    assert post_matrix(service, matrix()).status_code == 200


def _posted(service: Service) -> None:
    assert post_observation(service, observation()).status_code == 201


def _sent(service: Service) -> None:
    (answer,) = send(service.mllp, message())
    assert b"MSA|AA|" in answer


def _flat_by(door: str) -> Act:
    def act(service: Service) -> None:
        if door == "mllp":
            (answer,) = send(service.mllp, message(flat()))
            assert b"MSA|AA|" in answer
        else:
            post, content = {"fhir": (post_observation, observation), "predict": (post_matrix, matrix)}[door]
            assert post(service, content(flat())).status_code == 422

    return act


def _posted_twice(service: Service) -> None:
    content = observation()
    assert [post_observation(service, content).status_code for _ in range(2)] == [201, 200]


def _sent_twice(service: Service) -> None:
    content = message()
    first, second = send(service.mllp, content, content)
    assert first == second


def _refused_by(door: str) -> Act:
    def act(service: Service) -> None:
        if door == "mllp":
            (answer,) = send(service.mllp, message().replace(b"|ORU^R01^ORU_R01|", b"|DFT^P03^DFT_P03|"))
            assert b"MSA|AR|" in answer
        else:
            post = {"fhir": post_observation, "predict": post_matrix}[door]
            assert post(service, b"{").status_code == 400

    return act


def _of_a_child(service: Service) -> None:
    assert post_matrix(service, matrix(patient_age=9)).status_code == 200


def _of_old_times(service: Service) -> None:
    assert post_matrix(service, matrix(recorded_at="2001-02-03T04:05:06Z")).status_code == 200


def _twice(service: Service) -> None:
    content = matrix()
    assert [post_matrix(service, content).status_code for _ in range(2)] == [200, 200]


def _never_seen(service: Service) -> None:
    signal = np.array(ecg().signal)
    signal[0, :8] = np.frombuffer(uuid4().bytes[:8], np.uint8) / 1000
    assert post_matrix(service, matrix(ecg(signal=signal))).status_code == 200


def _asked(service: Service) -> Any:
    """A hook call with an ECG that nobody has seen; gives the card."""
    signal = np.array(ecg().signal)
    signal[0, :8] = np.frombuffer(uuid4().bytes[:8], np.uint8) / 1000
    call = hook_call(ecg(signal=signal), uuid4().hex)
    answer = httpx.post(f"{service.url}{HOOK}", content=call, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200, answer.text
    return answer.json()["cards"]


def _overridden(service: Service) -> None:
    (card,) = _asked(service)
    one = {"card": card["uuid"], "outcome": "overridden", "outcomeTimestamp": "2026-03-02T09:00:00Z"}
    reason = {"overrideReason": {"reason": {"code": "later"}}}
    told = httpx.post(f"{service.url}{HOOK}/feedback", json={"feedback": [one | reason]})
    assert told.status_code == 200


def _nothing(_: Service) -> None:
    """Time passes."""


@dataclass(frozen=True)
class Row:
    """`act` moves `metric` with these labels by `by`; None: by any amount above zero. on: which service."""

    metric: str
    act: Act
    labels: dict[str, str] = field(default_factory=dict)
    by: float | None = 1
    on: str = "service"


DOORS = {"fhir": _posted, "mllp": _sent, "predict": _predicted, "cds-hooks": _asked}
REPEATED = {"fhir": _posted_twice, "mllp": _sent_twice}

ROWS = (
    *(Row("ecg_received_total", act, {"door": door}) for door, act in DOORS.items()),
    *(Row("ecg_answered_total", act, {"door": door}) for door, act in DOORS.items()),
    *(Row("ecg_answer_seconds", act, {"door": door}) for door, act in DOORS.items()),
    *(Row("ecg_analyses_total", act, {"door": door, "mode": "live"}) for door, act in DOORS.items()),
    *(Row("ecg_analyses_total", act, {"door": door, "mode": "silent"}, on="cautious") for door, act in DOORS.items()),
    *(Row("ecg_duplicates_total", act, {"door": door}) for door, act in REPEATED.items()),
    *(Row("ecg_uninterpretable_total", _flat_by(door), {"door": door}) for door in ("fhir", "mllp", "predict")),
    Row("ecg_refused_total", _refused_by("fhir"), {"door": "fhir", "code": "malformed"}),
    Row("ecg_refused_total", _refused_by("predict"), {"door": "predict", "code": "malformed"}),
    Row("ecg_refused_total", _refused_by("mllp"), {"door": "mllp", "code": "message-type-unsupported"}),
    Row("ecg_refused_total", _flat_by("predict"), {"door": "predict", "code": "signal-uninterpretable"}),
    Row("ecg_diagnoses_total", _predicted, {"superclass": "MI"}),
    Row("ecg_inconclusive_total", _predicted, on="cautious"),
    Row("ecg_analyses_urgency_total", _predicted),
    Row("ecg_recommendations_total", _predicted, by=None),
    Row("ecg_quality_findings_total", _flat_by("predict"), {"severity": "refused"}, by=None),
    Row("ecg_outside_intended_use_total", _of_a_child),
    Row("ecg_archived_total", _of_old_times),
    Row("ecg_analyses_group_total", _predicted, {"sex": "male", "age_group": "60-74"}),
    Row("ecg_analyses_group_total", _of_a_child, {"age_group": "0-17"}),
    Row("ecg_http_requests_total", _predicted, {"method": "POST", "route": "/predict", "status": "200"}),
    Row("ecg_http_requests_total", _refused_by("fhir"), {"method": "POST", "status": "400"}),
    Row("ecg_http_request_seconds", _predicted, {"method": "POST", "route": "/predict"}),
    Row("ecg_analysis_seconds", _predicted),
    Row("ecg_stage_seconds", _predicted, by=None),
    Row("ecg_write_seconds", _predicted, by=None),
    Row("ecg_confidence", _predicted, {"superclass": "HYP"}),
    Row("ecg_recording_seconds", _predicted),
    Row("ecg_feature_cache_total", _twice, {"outcome": "hit_memory"}, by=None),
    Row("ecg_feature_cache_total", _never_seen, {"outcome": "miss"}),
    Row("ecg_cds_calls_total", _asked, {"service": "ecg-patient-view"}),
    Row("ecg_cds_cards_total", _asked, {"service": "ecg-patient-view", "indicator": "critical"}),
    Row("ecg_cds_decisions_total", _overridden, {"outcome": "overridden", "reason": "later"}, by=None),
    Row("ecg_uptime_seconds", _nothing, by=None),
)  # fmt: skip

# Those that take more than one act, and the test of each.
ELSEWHERE = {
    "ecg_deliveries_total": "test_every_outcome_of_a_delivery_is_counted_and_the_outbox_shows_every_state",
    "ecg_outbox_messages": "test_every_outcome_of_a_delivery_is_counted_and_the_outbox_shows_every_state",
    "ecg_inbox_oldest_seconds": "test_what_waits_in_the_inbox_grows_older_until_it_is_answered",
    "ecg_monitoring_flag": "test_what_the_newest_reports_say_is_shown_with_their_age",
    "ecg_monitoring_report_age_seconds": "test_what_the_newest_reports_say_is_shown_with_their_age",
    "ecg_alert_notices_total": "test_what_is_told_of_alerts_and_what_is_not_is_counted",
    "ecg_alert_notices_unsent": "test_what_is_told_of_alerts_and_what_is_not_is_counted",
    "ecg_lane_waiting": "test_ecgs_that_wait_for_the_lane_are_seen",
    "ecg_mllp_connections": "test_open_mllp_connections_are_counted_until_they_close",
    "ecg_ready_check": "test_each_readiness_check_shows_its_last_result",
    "ecg_shadow_analyses_total": "test_a_model_in_shadow_mode_is_shown_with_what_it_did_and_how_long_it_took",
    "ecg_shadow_model_info": "test_a_model_in_shadow_mode_is_shown_with_what_it_did_and_how_long_it_took",
    "ecg_shadow_seconds": "test_a_model_in_shadow_mode_is_shown_with_what_it_did_and_how_long_it_took",
    "ecg_model_changes_total": "test_another_model_that_is_activated_is_counted_and_shown",
    "ecg_model_info": "test_the_model_and_the_start_of_this_very_process_are_shown",
    "ecg_start_time_seconds": "test_the_model_and_the_start_of_this_very_process_are_shown",
}


@pytest.fixture(scope="module")
def cautious(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A silent service whose model never decides for a class."""
    folder = tmp_path_factory.mktemp("cautious")
    model = folder / "model"
    shutil.copytree(find_model(None), model)
    card = json.loads((model / "card.json").read_text())
    card["thresholds"] = dict.fromkeys(card["thresholds"], UNDECIDED)
    (model / "card.json").write_text(json.dumps(card))
    with running(folder, mode=Mode.SILENT, model=str(model)) as started:
        yield started


def test_every_documented_metric_is_there(service: Service) -> None:
    documented = set(re.findall(r"`(ecg_[a-z_]+)`", (ROOT / "docs/metrics.md").read_text()))
    assert documented == {*COUNTERS, *GAUGES, *HISTOGRAMS, *PROCESS}
    text = httpx.get(f"{service.url}/metrics").text
    shown = set(re.findall(r"^# TYPE (ecg_\w+) ", text, re.MULTILINE))
    assert {name for name in documented if name not in shown and name.removesuffix("_total") not in shown} == set()
    assert all(counted(service, name) > 0 for name in PROCESS)


def test_every_documented_metric_has_a_test_that_moves_it() -> None:
    assert {row.metric for row in ROWS} | set(ELSEWHERE) == {*COUNTERS, *GAUGES, *HISTOGRAMS}
    assert set(ELSEWHERE.values()) <= set(globals())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join([row.metric, *row.labels.values()]))
def test_it_moves_when_what_it_counts_happens(row: Row, request: pytest.FixtureRequest) -> None:
    service: Service = request.getfixturevalue(row.on)
    before = counted(service, row.metric, **row.labels)
    row.act(service)
    moved = counted(service, row.metric, **row.labels) - before
    assert moved == row.by if row.by is not None else moved > 0


def test_a_silent_service_counts_no_outbound_message(cautious: Service) -> None:
    _sent(cautious)
    with cautious.store() as store, store.reader() as reader:
        assert reader.outbox.counts() == {}


def test_every_outcome_of_a_delivery_is_counted_and_the_outbox_shows_every_state(
    service: Service, tmp_path: Path
) -> None:
    _sent(service)
    assert eventually(lambda: counted(service, "ecg_outbox_messages", state="held") > 0), "nowhere to send it"
    receiver = Receiver()
    with receiver.listening():
        outbound = f"127.0.0.1:{receiver.port}"
        with running(tmp_path, outbound_mllp=outbound) as delivering:
            for code, outcome in (("AA", "sent"), ("AR", "dead"), ("AE", "retry")):
                receiver.code = code
                _sent(delivering)
                _reaches(delivering, "ecg_deliveries_total", outcome=outcome)
            for state in ("sent", "dead", "waiting"):
                _reaches(delivering, "ecg_outbox_messages", state=state)
    with running(tmp_path, outbound_mllp=outbound) as delivering:
        _reaches(delivering, "ecg_deliveries_total", outcome="unreachable")


def _reaches(service: Service, metric: str, **labels: str) -> None:
    """Gauges are taken every few seconds."""
    assert eventually(lambda: counted(service, metric, **labels) >= 1), labels


def test_what_waits_in_the_inbox_grows_older_until_it_is_answered(tmp_path: Path) -> None:
    came = datetime.now(UTC) - timedelta(hours=1)
    waiting = Received(door="mllp", content=b"", media_type="", received_at=came, correlation_id="-")
    with running(tmp_path) as service, service.store() as store:
        assert counted(service, "ecg_inbox_oldest_seconds") == 0
        with store.unit_of_work() as uow:
            item = uow.inbox.add(waiting, ProcessingState.RECEIVED, AcknowledgementState.PENDING)
        assert eventually(lambda: 3600 <= counted(service, "ecg_inbox_oldest_seconds") < 3700)
        with store.unit_of_work() as uow:
            uow.inbox.finish(item, ProcessingState.ANALYSED, None, None)
        assert eventually(lambda: counted(service, "ecg_inbox_oldest_seconds") == 0)


def test_what_the_newest_reports_say_is_shown_with_their_age(tmp_path: Path) -> None:
    at = datetime.now(UTC) - timedelta(hours=1)
    report = MonitoringReport(kind=ReportKind.BIAS, computed_at=at, begin=at, end=at, flag=True, content=b"{}")
    with running(tmp_path) as service, service.store() as store:
        with store.unit_of_work() as uow:
            uow.reports.add(report)
        _reaches(service, "ecg_monitoring_flag", kind="bias")
        assert 3600 <= counted(service, "ecg_monitoring_report_age_seconds", kind="bias") < 3700


def test_what_is_told_of_alerts_and_what_is_not_is_counted(tmp_path: Path) -> None:
    at = datetime.now(UTC)
    hook, file = WebhookServer(), tmp_path / "channels.json"
    file.write_text(f'[{{"name": "pager", "url": "json://{hook.address}/"}}]')
    with running(tmp_path, alert_channels=str(file)) as service, service.store() as store:
        told = Alert(key="bias:sex", severity=Severity.INFO, title="T", text="", opened_at=at, seen_at=at)
        with store.unit_of_work() as uow:
            alert, _ = uow.alerts.see(told)
            assert alert.id is not None
            uow.alerts.tell(Notice(alert_id=alert.id, event=NoticeEvent.OPENED, channel="pager", created_at=at))
        _reaches(service, "ecg_alert_notices_total", channel="pager", outcome="retry")
        _reaches(service, "ecg_alert_notices_unsent", channel="pager", state="waiting")
        with hook.listening():
            _reaches(service, "ecg_alert_notices_total", channel="pager", outcome="sent")
        assert eventually(lambda: counted(service, "ecg_alert_notices_unsent") == 0)


def test_each_readiness_check_shows_its_last_result(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        assert counted(service, "ecg_ready_check") == 0, "nobody has asked yet"
        checks = httpx.get(f"{service.url}/ready").json()["checks"]
        assert [counted(service, "ecg_ready_check", check=check) for check in checks] == [1.0] * len(checks)


def test_ecgs_that_wait_for_the_lane_are_seen(service: Service) -> None:
    content = matrix()
    clients = [threading.Thread(target=post_matrix, args=(service, content)) for _ in range(16)]
    for client in clients:
        client.start()
    assert eventually(lambda: counted(service, "ecg_lane_waiting") > 1)
    for client in clients:
        client.join()
    assert counted(service, "ecg_lane_waiting") == 0


def test_open_mllp_connections_are_counted_until_they_close(service: Service) -> None:
    assert eventually(lambda: counted(service, "ecg_mllp_connections") == 0)
    with socket.create_connection(service.mllp), socket.create_connection(service.mllp):
        assert eventually(lambda: counted(service, "ecg_mllp_connections") == 2)
    assert eventually(lambda: counted(service, "ecg_mllp_connections") == 0)


def test_the_model_and_the_start_of_this_very_process_are_shown(service: Service, cautious: Service) -> None:
    name, version = service.ready["model"].split()
    shown = {"name": name, "version": version, "status": service.ready["model_status"]}
    assert counted(service, "ecg_model_info", **shown) == counted(service, "ecg_model_info") == 1
    assert counted(service, "ecg_start_time_seconds") != counted(cautious, "ecg_start_time_seconds")


def test_another_model_that_is_activated_is_counted_and_shown(tmp_path: Path) -> None:
    models = tmp_path / "models"
    for version in ("1.0.0", "1.1.0"):
        release(models, version)
    point(models, "fixed/1.0.0")
    with running(tmp_path, model=str(models)) as service:
        assert counted(service, "ecg_model_changes_total") == 0
        point(models, "fixed/1.1.0")
        _reaches(service, "ecg_model_changes_total", outcome="taken-up")
        assert counted(service, "ecg_model_info", version="1.1.0") == 1


def test_a_model_in_shadow_mode_is_shown_with_what_it_did_and_how_long_it_took(
    service: Service, tmp_path: Path
) -> None:
    assert counted(service, "ecg_shadow_model_info") == 0
    beside = release(tmp_path / "models", "1.0.0")
    with running(tmp_path, shadow_model=str(beside)) as shadowed:
        assert counted(shadowed, "ecg_shadow_model_info", name="fixed", version="1.0.0") == 1
        _predicted(shadowed)
        _reaches(shadowed, "ecg_shadow_analyses_total", outcome="compared")
        assert counted(shadowed, "ecg_shadow_seconds") == 1


def test_a_recording_of_a_group_nobody_thought_of_is_counted_as_unknown(service: Service) -> None:
    before = counted(service, "ecg_analyses_group_total", sex="unknown", age_group="unknown")
    assert post_matrix(service, matrix(ecg(), patient_age=None, patient_sex=None)).status_code == 200
    assert counted(service, "ecg_analyses_group_total", sex="unknown", age_group="unknown") == before + 1

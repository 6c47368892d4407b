"""The rules and dashboards: against the code, by promtool, and in a Prometheus that scrapes the real service."""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import pytest
from ruamel.yaml import YAML

from inference.errors import ConfigurationError, EcgError, Fault, ServiceError
from interop.client import hook_call
from interop.metrics import COUNTERS, GAUGES, HISTOGRAMS
from interop.monitoring.shown import allowed_ages
from interop.settings import Settings
from tests.conftest import ROOT
from tests.e2e.conftest import Service, command, running
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
from tests.e2e.npm import unavailable

pytestmark = pytest.mark.slow

PROMETHEUS = ROOT / "deploy" / "prometheus"
GRAFANA = ROOT / "deploy" / "grafana"
SECONDS = 30
PROMTOOL_SECONDS = 90  # 8 on an idle machine
PROCESS = {
    "ecg_process_cpu_seconds_total", "ecg_process_resident_memory_bytes",
    "ecg_process_open_fds", "ecg_process_max_fds",
}  # fmt: skip


def _load(path: Path) -> Any:
    return YAML(typ="safe").load(path)


RULES: list[dict[str, Any]] = [
    rule for name in ("recording", "alerts") for group in _load(PROMETHEUS / f"{name}.yml")["groups"]
    for rule in group["rules"]
]  # fmt: skip
RECORDING = [rule for rule in RULES if "record" in rule]
ALERTS = [rule for rule in RULES if "alert" in rule]
BOARDS = {path.stem: json.loads(path.read_text()) for path in sorted((GRAFANA / "dashboards").glob("*.json"))}
QUERIES = [
    (f"{name}: {panel['title']}", target["expr"])
    for name, board in BOARDS.items()
    for panel in board["panels"]
    for target in panel.get("targets", ())
]


def test_every_metric_that_is_asked_for_exists() -> None:
    """A histogram by the names of its three series."""
    series = {*COUNTERS, *GAUGES, *PROCESS, *_told_by_backups()} | {
        f"{name}_{of}" for name in HISTOGRAMS for of in ("bucket", "count", "sum")
    }
    recorded = {rule["record"] for rule in RECORDING}
    expressions = [rule["expr"] for rule in RULES] + [query for _, query in QUERIES]
    for expression in expressions:
        without_values = re.sub(r'"[^"]*"', "", expression)
        assert set(re.findall(r"\b(?<!:)ecg_[a-z0-9_]+\b(?!:)", without_values)) <= series, expression
        assert set(re.findall(r"\b[a-z]+:[a-z0-9_]+:[a-z0-9_]+\b", without_values)) <= recorded, expression


def _told_by_backups() -> set[str]:
    """Metrics that `backup.sh` writes for node_exporter (tests/deploy/test_recovery.py looks at the file)."""
    return set(re.findall(r"^# TYPE (ecg_\w+) gauge$", (ROOT / "deploy/backup/backup.sh").read_text(), re.MULTILINE))


def test_every_label_that_is_asked_for_is_one_of_its_metric() -> None:
    families = {**COUNTERS, **GAUGES, **HISTOGRAMS}
    for expression in [rule["expr"] for rule in RULES] + [query for _, query in QUERIES]:
        for name, labels in re.findall(r"\b(?<!:)(ecg_[a-z0-9_]+)\{([^}]*)\}", expression):
            family = families.get(name.removesuffix("_bucket"))
            asked = set(re.findall(r"([a-z_]+)(?:=|!=|=~|!~)\"", labels)) - {"job", "instance"}
            assert asked <= set(family.labels if family else ()), expression


def test_what_counts_as_the_services_fault_is_what_the_code_says() -> None:
    faults = "|".join(sorted(error.code for error in ServiceError.__subclasses__()))
    asked = {found for rule in RULES for found in re.findall(r'code!?=~?"([^"]*)"', rule["expr"])}
    assert asked == {faults, "internal", "overloaded"}
    assert {error.code for error in _leaves(EcgError) if error.fault is Fault.SENDER} & set(faults.split("|")) == set()
    assert not issubclass(ConfigurationError, ServiceError)  # never seen at a door


def _leaves(error: type[EcgError]) -> set[type[EcgError]]:
    return {error}.union(*(_leaves(child) for child in error.__subclasses__()))


def test_every_alert_says_what_it_is_and_has_its_section_in_the_runbooks() -> None:
    headings = re.findall(r"^## (\w+)$", (ROOT / "docs/runbooks.md").read_text(), re.MULTILINE)
    assert headings == list(dict.fromkeys(rule["alert"] for rule in ALERTS))
    for rule in ALERTS:
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}
        assert rule["annotations"]["runbook"] == f"docs/runbooks.md#{rule['alert'].lower()}"


def test_a_report_is_stale_for_prometheus_when_it_is_for_the_service() -> None:
    (expression,) = (rule["expr"] for rule in ALERTS if rule["alert"] == "EcgMonitoringStale")
    told = re.findall(r'ecg_monitoring_report_age_seconds\{kind=~?"([^"]+)"\}\) > (\d+)', expression)
    ages = {kind.value: age.total_seconds() for kind, age in allowed_ages(Settings(_env_file=None)).items()}
    assert {kind: float(age) for kinds, age in told for kind in kinds.split("|")} == ages


def test_every_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    tested: dict[bool, set[str]] = {True: set(), False: set()}
    for path in PROMETHEUS.glob("*.test.yml"):
        for case in _load(path)["tests"]:
            for asked in case["promql_expr_test"]:
                tested[bool(asked["exp_samples"])] |= set(re.findall(r'alertname="(\w+)"', asked["expr"]))
    assert tested[True] == tested[False] == {rule["alert"] for rule in ALERTS}


def test_every_recorded_value_has_a_test() -> None:
    tests = (PROMETHEUS / "recording.test.yml").read_text()
    assert [rule["record"] for rule in RECORDING if f"round({rule['record']}" not in tests] == []


@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboard_is_whole(name: str) -> None:
    board = BOARDS[name]
    assert board["uid"] == f"ecg-{name}"
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    taken = [(at, panel["gridPos"]["y"]) for panel in board["panels"] for at in _columns(panel["gridPos"])]
    assert len(set(taken)) == len(taken), "two panels lie on each other"
    variables = {variable["name"] for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(board["panels"])))
    assert "datasource" in used <= variables


def _columns(place: dict[str, int]) -> range:
    assert place["x"] + place["w"] <= 24
    return range(place["x"], place["x"] + place["w"])


def test_the_dashboards_are_what_their_script_writes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "scripts/dashboards.py", str(tmp_path)], cwd=ROOT, check=True, timeout=SECONDS)
    for path in (GRAFANA / "dashboards").iterdir():
        assert (tmp_path / path.name).read_text() == path.read_text(), "run scripts/dashboards.py"


def test_grafana_is_told_where_dashboards_and_data_are() -> None:
    (provider,) = _load(GRAFANA / "provisioning/dashboards/ecg.yml")["providers"]
    (source,) = _load(GRAFANA / "provisioning/datasources/prometheus.yml")["datasources"]
    assert (provider["type"], source["type"]) == ("file", "prometheus")
    guide = (ROOT / "docs/operation.md").read_text()
    for variable in (provider["options"]["path"], source["url"]):
        assert variable.strip("${}") in guide


def _tool(name: str) -> str:
    found = shutil.which(name)
    return found or unavailable(f"{name} is not installed (Debian package prometheus)")


@pytest.mark.parametrize("what", ["config", "rules"])
def test_promtool_accepts_what_is_shipped(what: str) -> None:
    files = {"config": ["prometheus.yml"], "rules": ["recording.yml", "alerts.yml"]}[what]
    _promtool("check", what, *files)


def test_the_rules_do_what_their_tests_say() -> None:
    _promtool("test", "rules", *sorted(path.name for path in PROMETHEUS.glob("*.test.yml")))


def _promtool(*arguments: str) -> None:
    command = [_tool("promtool"), *arguments]
    done = subprocess.run(
        command, cwd=PROMETHEUS, capture_output=True, text=True, timeout=PROMTOOL_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_shipped_file_scrapes_every_15_seconds() -> None:
    assert _load(PROMETHEUS / "prometheus.yml")["global"]["scrape_interval"] == "15s"


@dataclass(frozen=True)
class Watcher:
    """A running Prometheus."""

    url: str

    def get(self, path: str, **parameters: str) -> Any:
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=SECONDS).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str) -> list[str]:
        """The values that there are now; NaN is none."""
        found = self.get("query", query=expression)["result"]
        return [sample["value"][1] for sample in found if sample["value"][1] != "NaN"]


@contextmanager
def watching(service: Service, folder: Path) -> Iterator[Watcher]:
    """Prometheus with the shipped files, but for where the service is and how often all is done. JSON is YAML."""
    for name in ("recording", "alerts"):
        rules = _load(PROMETHEUS / f"{name}.yml")
        for group in rules["groups"]:
            group["interval"] = "1s"
        (folder / f"{name}.yml").write_text(json.dumps(rules))
    config = _load(PROMETHEUS / "prometheus.yml")
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (folder / "prometheus.yml").write_text(json.dumps(config))
    (folder / "targets.yml").write_text(json.dumps([{"targets": [service.url.removeprefix("http://")]}]))
    address = f"127.0.0.1:{_free_port()}"
    command = [
        _tool("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address={address}", "--log.level=warn",
    ]  # fmt: skip
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(command, stderr=log, stdout=log)
    try:
        assert eventually(lambda: _is_ready(f"http://{address}")), (folder / "prometheus.log").read_text()
        yield Watcher(f"http://{address}")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(SECONDS)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready").status_code == 200
    except httpx.TransportError:
        return False


def _traffic(service: Service) -> None:
    """Something of everything through every door, good and bad, new and seen before."""
    assert httpx.get(f"{service.url}/ready").status_code == 200
    unseen = np.array(ecg().signal)
    unseen[0, :8] = np.frombuffer(uuid4().bytes[:8], np.uint8) / 1000
    assert [post_matrix(service, matrix(ecg(signal=unseen))).status_code for _ in range(2)] == [200, 200]
    assert post_matrix(service, matrix(flat())).status_code == 422
    assert post_matrix(service, matrix(patient_age=9)).status_code == 200
    assert post_observation(service, observation()).status_code == 201
    assert post_observation(service, b"{").status_code == 400
    assert b"MSA|AA|" in send(service.mllp, message())[0]
    hook = f"{service.url}/cds-services/ecg-patient-view"
    call = hook_call(ecg(), uuid4().hex)
    (card,) = httpx.post(hook, content=call, headers={"Content-Type": "application/json"}).json()["cards"]
    one = {"card": card["uuid"], "outcome": "overridden", "outcomeTimestamp": "2026-03-02T09:00:00Z"}
    told = {"feedback": [one | {"overrideReason": {"reason": {"code": "later"}}}]}
    assert httpx.post(f"{hook}/feedback", json=told).status_code == 200


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watcher]:
    """Prometheus after two rounds of traffic: a rate needs a value before and one after."""
    _tool("prometheus")
    folder = tmp_path_factory.mktemp("watched")
    receiver = Receiver()
    with receiver.listening(), running(folder, outbound_mllp=f"127.0.0.1:{receiver.port}") as service:
        _traffic(service)
        assert eventually(lambda: counted(service, "ecg_deliveries_total", outcome="sent") >= 1)
        assert command("monitor", "bias", folder=folder, database_url=service.database).returncode == 0
        assert eventually(lambda: counted(service, "ecg_monitoring_report_age_seconds", kind="bias") > 0)
        with watching(service, folder) as watcher:
            assert eventually(lambda: watcher.query("sum(ecg_deliveries_total) > 0") != [])
            _traffic(service)
            finished = time.time()
            # Both scraped and recorded since.
            assert eventually(lambda: _is_recorded(watcher, finished)), (folder / "prometheus.log").read_text()
            yield watcher


def _is_recorded(watcher: Watcher, since: float) -> bool:
    times = watcher.query("min(timestamp(job:ecg_cards_per_100_ecgs:ratio1d))")
    return bool(times) and float(times[0]) > since + 3


def test_the_service_is_scraped(watched: Watcher) -> None:
    (target,) = watched.get("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")


def test_no_rule_fails_and_no_text_of_an_alert_is_broken(watched: Watcher) -> None:
    rules = [rule for group in watched.get("rules")["groups"] for rule in group["rules"]]
    assert len(rules) == len(RULES)
    assert [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"] == []
    alerts = watched.get("alerts")["alerts"]
    assert "EcgModelIsCandidate" in {alert["labels"]["alertname"] for alert in alerts}
    assert "<error" not in json.dumps(alerts)


@pytest.mark.parametrize("expression", [rule["expr"] for rule in ALERTS], ids=[rule["alert"] for rule in ALERTS])
def test_the_expression_of_an_alert_is_evaluated(watched: Watcher, expression: str) -> None:
    watched.get("query", query=expression)


@pytest.mark.parametrize("rule", RECORDING, ids=lambda rule: rule["record"])
def test_a_recording_rule_has_values(watched: Watcher, rule: dict[str, Any]) -> None:
    assert watched.query(rule["expr"]) != []
    assert watched.query(rule["record"]) != []


@pytest.mark.parametrize("query", [query for _, query in QUERIES], ids=[name for name, _ in QUERIES])
def test_a_panel_has_values(watched: Watcher, query: str) -> None:
    assert watched.query(query.replace("$job", "ecg").replace("$door", ".*")) != []

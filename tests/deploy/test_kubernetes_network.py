"""Who may talk to whom in `deploy/k8s`, worked out from its policies: every flow that is needed, and no other."""

import subprocess
from pathlib import Path

import pytest

from tests.deploy import deployed
from tests.deploy.manifests import Cluster, Pod, run_labels

HTTP, MLLP, POSTGRES, MLFLOW, API, DNS = 8000, 2575, 5432, 5000, 443, 53
STRANGER = "203.0.113.9"
DATABASE_CLIENTS = ("ecg-interop", "ecg-migrate", "ecg-backup", "dagster-webserver", "dagster-daemon", "run")
NAMES = Pod("kube-dns", "kube-system", {"k8s-app": "kube-dns"})


def _elsewhere(namespace: str) -> Pod:
    return Pod("elsewhere", namespace, {"app": "something"})


def _pod(cluster: Cluster, name: str) -> Pod:
    if name != "run":
        return cluster.pod(name)
    return Pod("run", cluster.pod("dagster-daemon").namespace, run_labels())


def _cidr(cluster: Cluster, policy: str, side: str) -> set[str]:
    found = cluster.get("NetworkPolicy", policy)["spec"][side]
    return {peer["ipBlock"]["cidr"] for rule in found for peer in rule["from" if side == "ingress" else "to"]}


@pytest.fixture(params=["minikube", "production"])
def where(request: pytest.FixtureRequest, clusters: dict[str, Cluster]) -> tuple[Cluster, dict[str, str]]:
    """An overlay, and where there things are."""
    places = {
        "minikube": {
            "controller": "ingress-nginx",
            "other": "traefik",
            "sender": "192.168.49.1",
            "api": "192.168.49.2",
        },
        "production": {"controller": "traefik", "other": "ingress-nginx", "sender": "10.20.3.4", "api": "10.50.0.2"},
    }
    return clusters[request.param], places[request.param]


def test_the_service_is_reached_by_the_ingress_prometheus_and_senders_and_by_nobody_else(
    where: tuple[Cluster, dict[str, str]],
) -> None:
    cluster, place = where
    service = cluster.pod("ecg-interop")
    assert cluster.lets(_elsewhere(place["controller"]), service, HTTP)
    assert cluster.lets(_elsewhere("monitoring"), service, HTTP)
    assert cluster.lets(place["sender"], service, MLLP)
    for source, port in (
        (_elsewhere(place["controller"]), MLLP), (_elsewhere(place["other"]), HTTP), (_elsewhere("default"), HTTP),
        (_elsewhere("default"), MLLP), (place["sender"], HTTP), (STRANGER, HTTP), (STRANGER, MLLP),
        (cluster.pod("dagster-daemon"), HTTP), (_elsewhere(service.namespace), HTTP),
    ):  # fmt: skip
        assert not cluster.lets(source, service, port), (source, port)


def test_senders_are_the_same_for_the_policy_the_service_and_the_load_balancer(
    where: tuple[Cluster, dict[str, str]],
) -> None:
    cluster, _ = where
    allowed = cluster.get("ConfigMap", "ecg-interop")["data"]["ECG_MLLP_ALLOW"].split(",")
    senders = {network for network in allowed if not network.startswith("127.")}
    assert _cidr(cluster, "mllp-senders", "ingress") == senders
    ranges = cluster.get("Service", "ecg-mllp")["spec"].get("loadBalancerSourceRanges")
    assert ranges is None or set(ranges) == senders


def test_whoever_needs_the_database_reaches_it(where: tuple[Cluster, dict[str, str]]) -> None:
    cluster, _ = where
    inside = any(pod.name == "postgres" for pod in cluster.pods)
    database = cluster.pod("postgres") if inside else "10.30.0.5"
    for name in DATABASE_CLIENTS:
        assert cluster.lets(_pod(cluster, name), database, POSTGRES), name
    assert not cluster.lets(cluster.pod("mlflow"), database, POSTGRES)
    if inside:
        assert not cluster.lets(_elsewhere("default"), database, POSTGRES)
        assert not cluster.lets(cluster.pod("prometheus"), database, POSTGRES)


def test_the_pipeline_reaches_mlflow_and_what_launches_runs_reaches_kubernetes(
    where: tuple[Cluster, dict[str, str]],
) -> None:
    cluster, place = where
    for name in ("dagster-webserver", "dagster-daemon", "run"):
        assert cluster.lets(_pod(cluster, name), cluster.pod("mlflow"), MLFLOW)
        assert cluster.lets(_pod(cluster, name), place["api"], API) == (name != "run")
    assert not cluster.lets(cluster.pod("ecg-interop"), cluster.pod("mlflow"), MLFLOW)
    assert not cluster.lets(cluster.pod("ecg-interop"), place["api"], API)
    for name in ("mlflow", "dagster-webserver"):
        assert not cluster.lets(_elsewhere(place["controller"]), cluster.pod(name), 3000)


def test_everyone_finds_names(where: tuple[Cluster, dict[str, str]]) -> None:
    cluster, _ = where
    for pod in cluster.pods:
        assert cluster.lets(pod, NAMES, DNS), pod.name


def test_the_service_calls_out_where_an_overlay_says_so(clusters: dict[str, Cluster]) -> None:
    for name, cluster in clusters.items():
        service = cluster.pod("ecg-interop")
        hospital = "10.40.1.2"
        for port in (443, MLLP, 587):
            assert cluster.lets(service, hospital, port) == (name == "production")
            assert not cluster.lets(service, STRANGER, port)
        collector = _elsewhere("monitoring")
        assert cluster.lets(service, collector, 4317) == (name == "production")


def test_nobody_calls_anywhere_that_no_policy_names(where: tuple[Cluster, dict[str, str]]) -> None:
    cluster, _ = where
    for pod in cluster.pods:
        if pod.namespace != "monitoring":
            assert not cluster.lets(pod, STRANGER, 80), pod.name


def test_grafana_asks_prometheus(clusters: dict[str, Cluster]) -> None:
    cluster = clusters["minikube"]
    prometheus, grafana = cluster.pod("prometheus"), cluster.pod("grafana")
    assert cluster.lets(grafana, prometheus, 9090)
    assert not cluster.lets(_elsewhere("default"), prometheus, 9090)
    assert not cluster.lets(_elsewhere("default"), grafana, 3000)
    (container,) = grafana.containers
    told = cluster.environment(grafana, container)
    assert told["PROMETHEUS_URL"] == "http://prometheus:9090"
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {told["DASHBOARDS_FOLDER"], "/etc/grafana/provisioning/datasources"} <= mounts


def test_secrets_are_made_once_for_one_owner_and_fit_together(deploy: Path) -> None:
    overlay = deploy / "k8s/overlays/minikube"
    made = {path.name: path for path in (overlay / "secrets").iterdir()}
    assert {path.stat().st_mode & 0o777 for path in made.values()} == {0o600}
    values = dict(
        line.split("=", 1) for path in made.values() if path.suffix == ".env" for line in path.read_text().split()
    )
    assert values["ECG_DATABASE_URL"] == f"postgresql+psycopg2://ecg:{values['INTEROP_PASSWORD']}@postgres/ecg"
    assert values["PGPASSWORD"] == values["INTEROP_PASSWORD"]
    assert values["DAGSTER_PG_PASSWORD"] == values["DAGSTER_PASSWORD"]
    assert len({values[name] for name in ("POSTGRES_PASSWORD", "INTEROP_PASSWORD", "DAGSTER_PASSWORD")}) == 3
    assert deployed.refused_settings({"ECG_DATABASE_URL": values["ECG_DATABASE_URL"]}) == []
    for name, purpose in (("server", "sslserver"), ("caller", "sslclient")):
        check = ["openssl", "verify", "-CAfile", str(made["ca.crt"]), "-purpose", purpose]
        subprocess.run([*check, str(made[f"{name}.crt"])], check=True, capture_output=True, timeout=30)
    before = {name: path.read_bytes() for name, path in made.items()}
    again = subprocess.run([overlay / "secrets.sh"], capture_output=True, text=True, timeout=30, check=True)
    assert "is there already" in again.stderr
    assert {path.name: path.read_bytes() for path in (overlay / "secrets").iterdir()} == before

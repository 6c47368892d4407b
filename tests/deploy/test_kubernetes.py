"""`deploy/k8s` as kustomize builds it: against the schemas of Kubernetes, against itself, and against the code."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from interop.cds_hooks import routes as cds_routes
from interop.fhir.exchange import PREFIX
from interop.health import CHECK_SECONDS
from interop.monitoring import routes as monitoring_routes
from interop.pages import model as model_page
from interop.pages import routes as page_routes
from interop.predict import routes as predict_routes
from interop.serving import DRAIN_SECONDS
from interop.settings import Settings
from tests.conftest import ROOT
from tests.deploy import deployed
from tests.deploy.manifests import KUBERNETES, Cluster, Object, Pod, build, insecure, kubectl

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
NEWEST = "1.37"  # that kubernetes-validate knows
OPERATOR = {"PrometheusRule", "ServiceMonitor"}  # checked by test_prometheus_operator.py
OURS = {deployed.SERVING_IMAGE, deployed.OPS_IMAGE}
# Secrets that production expects from outside: docs/kubernetes.md says what each holds.
OUTSIDE = {"ecg-interop", "ecg-ops", "ecg-backup", "ecg-callers", "database-ca", "ecg-tls"}
# What libpq, Dagster and their libraries read beside our settings.
LIBPQ = {"PGHOST", "PGUSER", "PGDATABASE", "PGPASSWORD", "PGSSLMODE", "PGSSLROOTCERT"}


def _containers(cluster: Cluster) -> Iterator[tuple[Pod, Object]]:
    return ((pod, container) for pod in cluster.pods for container in pod.containers)


def _repository(container: Object) -> str:
    return str(container["image"]).partition("@")[0].rpartition(":")[0].rpartition("/")[2]


@pytest.mark.parametrize("version", [KUBERNETES, NEWEST])
def test_every_object_is_one_by_kubernetes_own_schema(cluster: Cluster, version: str) -> None:
    for one in cluster.objects:
        if one["kind"] not in OPERATOR:
            kubernetes_validate.validate(one, version, strict=True)


def test_no_container_may_do_what_it_need_not(cluster: Cluster) -> None:
    assert {pod.name: insecure(pod.spec) for pod in cluster.pods if insecure(pod.spec)} == {}
    for namespace in cluster.kind("Namespace"):
        assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_only_those_that_ask_kubernetes_have_a_token(cluster: Cluster) -> None:
    tokens = {pod.name for pod in cluster.pods if pod.spec["automountServiceAccountToken"]}
    assert tokens - {"prometheus"} == {"dagster-webserver", "dagster-daemon"}
    bound = {(subject["namespace"], subject["name"]) for b in cluster.kind("RoleBinding") for subject in b["subjects"]}
    accounts = {(one["metadata"]["namespace"], one["metadata"]["name"]) for one in cluster.kind("ServiceAccount")}
    assert bound <= accounts
    assert cluster.kind("ClusterRole") == cluster.kind("ClusterRoleBinding") == []


def test_every_image_has_a_version_and_ours_are_those_of_the_dockerfile(cluster: Cluster) -> None:
    targets = set(re.findall(r"^FROM \S+ AS (\S+)$", (ROOT / "deploy/Dockerfile").read_text(), re.MULTILINE))
    assert {name.removeprefix("ecg-") for name in OURS} <= targets
    for _, container in _containers(cluster):
        tag = container["image"].rpartition(":")[2]
        assert re.fullmatch(r"v?\d[\w.-]*", tag), container["image"]
        if _repository(container) in OURS:
            assert tag == VERSION


def test_production_takes_our_images_from_the_registry_and_minikube_those_that_are_there(
    clusters: dict[str, Cluster],
) -> None:
    for name, prefix in (("minikube", ""), ("production", "ghcr.io/OWNER/")):
        found = {c["image"] for _, c in _containers(clusters[name]) if _repository(c) in OURS}
        assert found == {f"{prefix}{image}:{VERSION}" for image in OURS}


@pytest.mark.filterwarnings("ignore")  # MLflow 3.17 makes SQLAlchemy 2.1 warn while it is imported
def test_every_command_exists(cluster: Cluster) -> None:
    found = []
    for _, container in _containers(cluster):
        if _repository(container) == deployed.SERVING_IMAGE:
            found += deployed.wrong_command([deployed.ENTRY_POINT, *container["args"]])
        elif _repository(container) == deployed.OPS_IMAGE:
            found += deployed.wrong_command(container["command"])
            asked = [probe["exec"]["command"] for probe in container.values() if "exec" in probe]
            found += [problem for command in asked for problem in deployed.wrong_command(command)]
    assert found == []


def test_every_setting_exists_and_its_value_is_taken(cluster: Cluster) -> None:
    beside = deployed.dagster_variables()
    for pod, container in _containers(cluster):
        environment = cluster.environment(pod, container)
        assert deployed.unknown_settings(environment, beside=beside) == [], pod.name
        given = {name: value for name, value in environment.items() if value not in {"(secret)", "(reference)"}}
        assert deployed.refused_settings(given) == [], pod.name


def test_the_service_listens_on_its_own_address_and_is_told_who_may_send(cluster: Cluster) -> None:
    pod = cluster.pod("ecg-interop")
    told = cluster.environment(pod, pod.spec["containers"][0])
    values = {name[4:].lower(): value for name, value in told.items() if name.startswith("ECG_")}
    values.pop("database_url", None)
    settings = Settings(_env_file=None, **values)  # type: ignore[arg-type]
    assert settings.host == "0.0.0.0"
    assert settings.public_url
    assert settings.public_url.startswith("https://")
    assert (
        settings.public_url.removeprefix("https://")
        == cluster.get("Ingress", "ecg-interop")["spec"]["rules"][0]["host"]
    )


def test_a_candidate_goes_live_in_an_evaluation_only(clusters: dict[str, Cluster]) -> None:
    settings = {name: cluster.get("ConfigMap", "ecg-interop")["data"] for name, cluster in clusters.items()}
    assert settings["minikube"]["ECG_ALLOW_CANDIDATE"] == "true"
    assert "ECG_ALLOW_CANDIDATE" not in settings["production"]


def test_dagsters_file_finds_what_it_names(cluster: Cluster) -> None:
    launcher = deployed.load_yaml(ROOT / "deploy/dagster/kubernetes.yaml")["run_launcher"]["config"]
    daemon = cluster.pod("dagster-daemon")
    maps, claims = (cluster.names(kind, daemon.namespace) for kind in ("ConfigMap", "PersistentVolumeClaim"))
    assert {launcher["instance_config_map"], *launcher["env_config_maps"]} <= maps
    assert {*launcher["env_secrets"]} <= cluster.names("Secret", daemon.namespace) | OUTSIDE
    assert launcher["service_account_name"] in cluster.names("ServiceAccount", daemon.namespace)
    assert {
        v["persistentVolumeClaim"]["claimName"] for v in launcher["volumes"] if "persistentVolumeClaim" in v
    } <= claims
    for name in ("dagster-daemon", "dagster-webserver"):
        pod = cluster.pod(name)
        (container,) = pod.containers
        told = cluster.environment(pod, container)
        assert deployed.dagster_variables() - {"DAGSTER_PG_PASSWORD"} <= set(told)  # that one is in the Secret ecg-ops
        assert {"secretRef": {"name": "ecg-ops"}} in container["envFrom"]
        assert told["ECG_OPS_IMAGE"] == container["image"]
        assert told["DAGSTER_HOME"] == launcher["dagster_home"]
        paths = {(mount["mountPath"], mount["name"]) for mount in container["volumeMounts"]}
        assert {(mount["mountPath"], mount["name"]) for mount in launcher["volume_mounts"]} <= paths


def test_whatever_a_pod_refers_to_is_there(cluster: Cluster) -> None:
    for pod, container in _containers(cluster):
        secrets = cluster.names("Secret", pod.namespace)
        secrets |= OUTSIDE if not cluster.kind("Secret") else {"database-ca"}
        wanted: dict[str, set[str]] = {"ConfigMap": set(), "Secret": set(), "PersistentVolumeClaim": set()}
        for source in container.get("envFrom", ()):
            wanted["ConfigMap"].add(source.get("configMapRef", {}).get("name"))
            wanted["Secret"].add(source.get("secretRef", {}).get("name"))
        for volume in pod.spec.get("volumes", ()):
            wanted["ConfigMap"].add(volume.get("configMap", {}).get("name"))
            wanted["Secret"].add(volume.get("secret", {}).get("secretName"))
            wanted["PersistentVolumeClaim"].add(volume.get("persistentVolumeClaim", {}).get("claimName"))
        for kind, names in wanted.items():
            there = secrets if kind == "Secret" else cluster.names(kind, pod.namespace)
            assert names - {None} <= there, pod.name
        volumes = {volume["name"] for volume in pod.spec.get("volumes", ())}
        volumes |= {"data"} if pod.name == "postgres" else set()  # its volumeClaimTemplate
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes, pod.name
        account = pod.spec.get("serviceAccountName")
        assert account is None or account in cluster.names("ServiceAccount", pod.namespace)
        priority = pod.spec.get("priorityClassName")
        assert priority is None or priority in {one["metadata"]["name"] for one in cluster.kind("PriorityClass")}


def test_every_service_finds_pods_and_their_port(cluster: Cluster) -> None:
    for service in cluster.kind("Service"):
        selector, namespace = service["spec"]["selector"], service["metadata"]["namespace"]
        (pod,) = (p for p in cluster.pods if p.namespace == namespace and selector.items() <= p.labels.items())
        assert None not in {pod.port(port["targetPort"]) for port in service["spec"]["ports"]}, service["metadata"][
            "name"
        ]


def test_the_doors_are_behind_the_ports_that_issue_and_code_name(cluster: Cluster) -> None:
    pod = cluster.pod("ecg-interop")
    ports = {port["name"]: port["containerPort"] for port in pod.containers[0]["ports"]}
    assert deployed.wrong_service_ports(ports) == []
    assert (
        cluster.get("Service", "ecg-interop")["spec"]["ports"][0].items() >= {"port": 80, "targetPort": "http"}.items()
    )
    mllp = cluster.get("Service", "ecg-mllp")["spec"]
    assert mllp["ports"][0].items() >= {"port": deployed.MLLP_PORT, "targetPort": "mllp"}.items()
    # Behind another policy the service would see an address of a node, and ECG_MLLP_ALLOW would mean nothing.
    assert mllp.get("externalTrafficPolicy") == ("Local" if mllp.get("type") == "LoadBalancer" else None)


def test_the_ingress_shows_every_door_to_callers_with_a_certificate_and_nothing_else(cluster: Cluster) -> None:
    ingress = cluster.get("Ingress", "ecg-interop")
    (rule,) = ingress["spec"]["rules"]
    (tls,) = ingress["spec"]["tls"]
    assert tls["hosts"] == [rule["host"]]
    doors = {
        PREFIX, predict_routes.PATH, cds_routes.PATH, page_routes.PATH, model_page.PATH, monitoring_routes.PATH
    }  # fmt: skip
    assert {path["path"] for path in rule["http"]["paths"]} == doors
    services = {path["backend"]["service"]["name"] for path in rule["http"]["paths"]}
    assert services == {"ecg-interop"}
    asked = {name.rpartition("/auth-tls-")[2]: value for name, value in ingress["metadata"]["annotations"].items()}
    assert asked["verify-client"] == "on"
    assert asked["secret"] == f"{ingress['metadata']['namespace']}/ecg-callers"
    assert ingress["spec"]["ingressClassName"] == "nginx"  # others know nothing of these annotations
    limit = ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-body-size"]
    assert limit == f"{Settings(_env_file=None).http_max_bytes // 2**20}m"


def test_probes_ask_what_there_is_and_wait_longer_than_a_check(cluster: Cluster) -> None:
    (container,) = cluster.pod("ecg-interop").containers
    probes = {name: container[f"{name}Probe"] for name in ("startup", "liveness", "readiness")}
    paths = {name: probe["httpGet"]["path"] for name, probe in probes.items()}
    assert paths == {"startup": "/health", "liveness": "/health", "readiness": "/ready"}
    assert deployed.unknown_paths(paths.values()) == []
    assert probes["readiness"]["timeoutSeconds"] > CHECK_SECONDS
    migrate = cluster.get("Job", "ecg-migrate")["spec"]["template"]["spec"]
    assert migrate["containers"][0]["args"] == ["db", "upgrade"]


def test_a_rolling_update_drops_nothing(cluster: Cluster) -> None:
    spec = cluster.get("Deployment", "ecg-interop")["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    pod = spec["template"]["spec"]
    wait = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    readiness = pod["containers"][0]["readinessProbe"]
    # The drain ends by itself before the kill comes, and load balancers have had time to look again.
    assert pod["terminationGracePeriodSeconds"] >= wait + DRAIN_SECONDS + 10
    assert wait >= readiness["periodSeconds"] * readiness["failureThreshold"]
    (budget,) = cluster.kind("PodDisruptionBudget")
    assert budget["spec"]["maxUnavailable"] == 1
    assert budget["spec"]["selector"]["matchLabels"].items() <= cluster.pod("ecg-interop").labels.items()


def test_pods_are_scaled_by_cpu_and_by_the_queue(clusters: dict[str, Cluster]) -> None:
    for name, cluster in clusters.items():
        (scaler,) = cluster.kind("HorizontalPodAutoscaler")
        replicas = cluster.get("Deployment", "ecg-interop")["spec"].get("replicas")
        assert replicas == {"minikube": 2, "production": None}[name], "an apply would undo the scaler's"
        target = scaler["spec"]["scaleTargetRef"]
        assert cluster.get(target["kind"], target["name"])["apiVersion"] == target["apiVersion"]
        cpu, *queue = scaler["spec"]["metrics"]
        limits = cluster.pod("ecg-interop").containers[0]["resources"]["limits"]
        assert int(cpu["resource"]["target"]["averageValue"].removesuffix("m")) < 1000 * int(limits["cpu"])
        assert len(queue) == (name == "production")  # minikube has no adapter
        for one in queue:
            assert deployed.unknown_metrics([one["pods"]["metric"]["name"]]) == []
            assert int(one["pods"]["target"]["averageValue"]) < Settings(_env_file=None).queue_limit
    least = {
        name: cluster.kind("HorizontalPodAutoscaler")[0]["spec"]["minReplicas"] for name, cluster in clusters.items()
    }
    assert least == {"minikube": 2, "production": 3}


def test_the_adapter_gives_the_metric_that_the_scaler_asks_for(clusters: dict[str, Cluster]) -> None:
    (rule,) = deployed.load_yaml(ROOT / "deploy/k8s/prometheus-adapter.yaml")["rules"]["custom"]
    asked = clusters["production"].kind("HorizontalPodAutoscaler")[0]["spec"]["metrics"][1]["pods"]["metric"]["name"]
    assert rule["name"]["as"] == asked
    assert deployed.unknown_metrics([rule["seriesQuery"].partition("{")[0]]) == []


def test_resources_and_volumes_are_those_that_were_asked_for(clusters: dict[str, Cluster]) -> None:
    minikube = clusters["minikube"]
    assert minikube.pod("ecg-interop").containers[0]["resources"] == {
        "requests": {"cpu": "500m", "memory": "512Mi"},
        "limits": {"cpu": "2", "memory": "2Gi"},
    }
    (claim,) = minikube.get("StatefulSet", "postgres")["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "5Gi"
    for cluster in clusters.values():
        assert cluster.get("PersistentVolumeClaim", "mlflow")["spec"]["resources"]["requests"]["storage"] == "10Gi"
    assert minikube.pod("ecg-interop").namespace == "ecg-dev"
    assert minikube.pod("prometheus").namespace == "monitoring"
    assert {pod.namespace for pod in clusters["production"].pods} == {"ecg"}


def test_with_shared_models_the_service_follows_the_pointer_in_the_pipelines_volume(
    deploy: Path, pytestconfig: pytest.Config
) -> None:
    overlay = deploy / "k8s/overlays/followed"
    overlay.mkdir()
    parts = {"resources": ["../production"], "components": ["../../components/shared-models"]}
    (overlay / "kustomization.yaml").write_text(json.dumps(parts))  # JSON is YAML
    cluster = build(kubectl(pytestconfig), overlay)
    pod = cluster.pod("ecg-interop")
    (mount,) = (m for m in pod.containers[0]["volumeMounts"] if m["name"] == "models")
    assert cluster.environment(pod, pod.containers[0])["ECG_MODEL"] == mount["mountPath"]
    (volume,) = (v for v in pod.spec["volumes"] if v["name"] == "models")
    assert volume["persistentVolumeClaim"]["claimName"] in cluster.names("PersistentVolumeClaim", "ecg")
    told = cluster.environment(cluster.pod("dagster-daemon"), cluster.pod("dagster-daemon").containers[0])
    assert told["ECG_MODEL"] == f"/ecg/{mount['subPath']}"
    kubernetes_validate.validate(cluster.get("Deployment", "ecg-interop"), NEWEST, strict=True)


def test_production_has_no_database_of_its_own_and_checks_the_certificate_of_the_other(
    clusters: dict[str, Cluster],
) -> None:
    production = clusters["production"]
    assert production.kind("StatefulSet") == []
    for name in ("ecg-interop", "ecg-migrate", "dagster-daemon", "dagster-webserver"):
        pod = production.pod(name)
        (container,) = pod.containers
        told = production.environment(pod, container)
        assert told["PGSSLMODE"] == "verify-full"
        mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
        assert told["PGSSLROOTCERT"].rpartition("/")[0] in mounts
    assert production.get("PersistentVolumeClaim", "ecg-ops")["spec"]["accessModes"] == ["ReadWriteMany"]


def test_no_secret_is_in_production_or_in_the_tree(clusters: dict[str, Cluster]) -> None:
    assert clusters["production"].kind("Secret") == []
    made = {value for one in clusters["minikube"].kind("Secret") for value in one["data"].values()}
    assert len(made) >= 10
    for path in (ROOT / "deploy/k8s").rglob("*.yaml"):
        if "secrets" not in path.parts:
            assert "kind: Secret\n" not in path.read_text()


def test_prometheus_finds_the_service_by_annotation(cluster: Cluster) -> None:
    template: Any = cluster.get("Deployment", "ecg-interop")["spec"]["template"]
    notes = template["metadata"]["annotations"]
    asked = {name.partition("/")[2]: value for name, value in notes.items() if name.startswith("prometheus.io/")}
    assert asked == {"scrape": "true", "port": str(deployed.HTTP_PORT), "path": "/metrics"}
    assert deployed.unknown_paths([asked["path"]]) == []


def test_variables_of_the_backup_are_those_that_its_script_reads(cluster: Cluster) -> None:
    pod = cluster.pod("ecg-backup")
    script = cluster.get("ConfigMap", "ecg-backup-scripts")["data"]["backup.sh"]
    told = set(cluster.environment(pod, pod.containers[0]))
    assert set(re.findall(r"\$\{(BACKUP_[A-Z]+):\?", script)) <= told
    assert told <= set(re.findall(r"BACKUP_[A-Z]+", script)) | LIBPQ
    assert pod.containers[0]["command"] == ["sh", "/scripts/backup.sh"]

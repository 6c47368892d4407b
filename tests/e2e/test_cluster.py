"""The pipeline on a cluster, `deploy/dagster/kubernetes.yaml`: its state in a real PostgreSQL, and what its launcher
asks of a Kubernetes API, which is played by a server that keeps what it is sent."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import dagster as dg
import kubernetes_validate
import pytest
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.instance import InstanceRef
from dagster._core.launcher import LaunchRunContext
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.test_utils import create_run_for_test
from dagster_shared.yaml_utils import load_yaml_from_path
from sqlalchemy import create_engine, make_url, text

from orchestration.ops import TEMPLATE
from tests.audit.conftest import create_database
from tests.deploy.manifests import KUBERNETES, insecure, run_labels
from tests.orchestration.conftest import SIZES, Pipeline, write_slice

CONFIG = TEMPLATE.with_name("kubernetes.yaml")
IMAGE = "registry.example/ecg-ops:0.1.0"


def configuration(server: str) -> dict[str, Any]:
    """The shipped file with this database in the place of its environment variables."""
    config = cast(dict[str, Any], load_yaml_from_path(str(CONFIG)))
    url = make_url(server)
    config["storage"]["postgres"]["postgres_db"] |= {
        "hostname": "localhost",
        "username": url.username,
        "password": url.password or "",
        "db_name": url.database,
        "params": dict(url.query),  # the test's server listens on a socket in a folder of its own
    }
    return config


@contextmanager
def instance_of(config: dict[str, Any], folder: Path) -> Iterator[dg.DagsterInstance]:
    config["compute_logs"]["config"]["base_dir"] = str(folder / "compute-logs")  # shipped: a volume
    (folder / "dagster.yaml").write_text(json.dumps(config))  # JSON is YAML
    with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(folder))) as instance:
        yield instance


class KubernetesApi(BaseHTTPRequestHandler):
    """Keeps each job that it is asked to create."""

    jobs: list[tuple[str, dict[str, Any]]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.jobs.append((self.path, json.loads(body)))
        self.send_response(201)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def api() -> Iterator[tuple[str, list[tuple[str, dict[str, Any]]]]]:
    jobs: list[tuple[str, dict[str, Any]]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Api", (KubernetesApi,), {"jobs": jobs}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", jobs
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_state_of_the_pipeline_is_kept_in_postgresql(postgresql: str, shared_data: Path, tmp_path: Path) -> None:
    server = create_database(postgresql)
    config = configuration(server)
    del config["run_launcher"]  # this run is made here
    with instance_of(config, tmp_path) as instance:
        few = write_slice(shared_data / "ptbxl", tmp_path / "ptbxl", SIZES)
        pipeline = Pipeline(tmp_path / "pipeline", few, shared_data / "chapman", instance)
        assert pipeline.run("data_sets", partition="ptbxl", select="recordings").success
    with instance_of(config, tmp_path) as again:
        event = again.get_latest_materialization_event(dg.AssetKey("recordings"))
        assert event is not None
    engine = create_engine(make_url(server).set(drivername="postgresql+psycopg2"))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT status FROM runs")).scalars().all() == ["SUCCESS"]
    engine.dispose()


def test_a_run_becomes_a_job_with_the_volumes_and_settings_that_the_file_names(
    postgresql: str,
    api: tuple[str, list[tuple[str, dict[str, Any]]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ECG_OPS_IMAGE", IMAGE)
    monkeypatch.setenv("DAGSTER_RUN_NAMESPACE", "ecg")
    address, jobs = api
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": {"server": address}}],
                "users": [{"name": "u", "user": {}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "x",
            }
        )
    )
    config = configuration(create_database(postgresql))
    config["run_launcher"]["config"] |= {"load_incluster_config": False, "kubeconfig_file": str(kubeconfig)}
    with instance_of(config, tmp_path) as instance:
        pointer = ModuleCodePointer("orchestration.definitions", "defs", None)
        origin = JobPythonOrigin("retrain", RepositoryPythonOrigin("python", pointer, None, []))
        run = create_run_for_test(instance, job_name="retrain", job_code_origin=origin)
        instance.run_launcher.launch_run(LaunchRunContext(run, workspace=None))
    ((path, job),) = jobs
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert path.partition("?")[0] == "/apis/batch/v1/namespaces/ecg/jobs"
    assert (container["image"], pod["serviceAccountName"]) == (IMAGE, "dagster")
    assert {"mountPath": "/ecg", "name": "ecg"} in container["volumeMounts"]
    assert {"name": "ecg", "persistentVolumeClaim": {"claimName": "ecg-ops"}} in pod["volumes"]
    assert {"configMapRef": {"name": "ecg-ops"}} in container["envFrom"]
    assert {"secretRef": {"name": "ecg-ops"}} in container["envFrom"]
    kubernetes_validate.validate(job, KUBERNETES, strict=True)
    assert insecure(pod) == []
    assert pod["automountServiceAccountToken"] is False
    assert job["spec"]["template"]["metadata"]["labels"].items() >= run_labels().items()
    assert run.run_id in " ".join(container["args"])

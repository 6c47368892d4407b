"""The overlays of `deploy/k8s`, built once."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.audit.conftest import postgresql
from tests.conftest import ROOT
from tests.deploy.manifests import Cluster, build, kubectl

__all__ = ["postgresql"]  # the fixture: one server for the whole session

PARTS = ("backup", "dagster", "grafana", "k8s", "prometheus")
SECONDS = 30


@pytest.fixture(scope="session")
def deploy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of `deploy` with the secrets that its script makes; the tree stays as it is."""
    folder = tmp_path_factory.mktemp("deploy")
    for part in PARTS:
        shutil.copytree(
            ROOT / "deploy" / part, folder / part, ignore=shutil.ignore_patterns("secrets", "secrets.part*")
        )
    subprocess.run([folder / "k8s/overlays/minikube/secrets.sh"], check=True, timeout=SECONDS, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def clusters(deploy: Path, pytestconfig: pytest.Config) -> dict[str, Cluster]:
    """By the overlay's name."""
    tool = kubectl(pytestconfig)
    return {name: build(tool, deploy / "k8s/overlays" / name) for name in ("minikube", "production")}


@pytest.fixture(params=["minikube", "production"])
def cluster(request: pytest.FixtureRequest, clusters: dict[str, Cluster]) -> Cluster:
    """Each overlay in turn."""
    return clusters[request.param]

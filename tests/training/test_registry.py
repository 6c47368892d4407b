"""The registry and the runs on a real SQLite store and on a real MLflow server."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from inference.artifact import ONNX_FILE
from inference.classifier import onnx_runner
from inference.errors import ModelInvalid
from inference.features import FEATURE_NAMES
from inference.prediction import ModelStatus
from inference.prepare import MODEL_SAMPLES
from inference.recording import LEADS
from tests.releases import change_card, release
from tests.training.mlflow_server import running_server
from training.config import TrainingConfig
from training.registry import Registry
from training.tracking import Fingerprint, Tracking, mlflow_client, run_id, tracked_run

pytestmark = pytest.mark.timeout(240)  # MLflow alone takes half a minute to be imported on a busy machine

WAIVER = {
    "waives": ["fairness"], "by": "Ada", "reason": "pilot", "date": "2026-01-01T00:00:00+00:00",
    "says": "fairness not assessed",
}  # fmt: skip


@pytest.fixture(scope="module", params=["sqlite", "server"])
def tracking(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracking]:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "sqlite":
        yield Tracking(uri=f"sqlite:///{folder}/var/mlflow.db", artifacts=folder / "artifacts")
        return
    with running_server(folder) as url:
        yield Tracking(uri=url)


def test_a_training_and_its_release_are_found_again_with_all_that_belongs_to_them(
    tracking: Tracking, tmp_path: Path
) -> None:
    config, data = TrainingConfig(), Fingerprint(dataset="ptbxl", version="1.0.3", recordings=12, sha256="a" * 64)
    with tracked_run(tracking, config, data, tmp_path / "run") as run:
        run.figures(test_macro_auc=0.91)
    candidate = release(tmp_path / "models", "1.0.0", name="whole", status="candidate")
    registry = Registry(tracking)
    made = registry.register(candidate, run_id(tmp_path / "run"))
    assert (made.number, made.version, made.status) == (1, "1.0.0", ModelStatus.CANDIDATE)
    assert (made.aliases, made.path, made.run_id) == (("candidate",), "whole/1.0.0", run_id(tmp_path / "run"))
    client = mlflow_client(tracking)
    files = {entry.path for entry in client.list_artifacts(str(made.run_id), "release")}
    assert "release/card.json" in files
    assert registry.by_alias("whole", "candidate") == made


def test_the_registered_model_predicts_what_the_release_predicts(tracking: Tracking, tmp_path: Path) -> None:
    folder = release(tmp_path, "1.0.0", name="loaded", mi=0.77)
    made = Registry(tracking).register(folder)
    rng = np.random.default_rng(5)
    signal = rng.standard_normal((3, len(LEADS), MODEL_SAMPLES)).astype(np.float32)
    features = np.full((3, len(FEATURE_NAMES)), np.nan, np.float32)
    expected = onnx_runner(folder / ONNX_FILE)(signal, features)
    found = _loaded(tracking, f"models:/loaded/{made.number}").predict({"signal": signal, "features": features})
    np.testing.assert_array_equal(found["probabilities"], expected)


def test_a_champion_takes_its_alias_from_the_one_before_and_keeps_its_version(
    tracking: Tracking, tmp_path: Path
) -> None:
    registry = Registry(tracking)
    first = release(tmp_path, "1.0.0", name="moved", mi=0.9)
    second = release(tmp_path, "1.1.0", name="moved", mi=0.8, status="candidate")
    assert [registry.register(folder).number for folder in (first, second)] == [1, 2]
    change_card(second, status="champion", waiver=WAIVER)
    promoted = registry.register(second)
    assert (promoted.number, promoted.status, promoted.aliases) == (2, ModelStatus.CHAMPION, ("champion",))
    assert registry.by_alias("moved", "champion").version == "1.1.0"
    assert [(it.number, it.aliases) for it in registry.versions("moved")] == [(1, ()), (2, ("champion",))]
    tags = mlflow_client(tracking).get_model_version("moved", "2").tags
    assert (tags["status"], tags["waived"]) == ("champion", "fairness not assessed")


def test_a_release_that_is_not_as_it_was_released_is_not_registered(tracking: Tracking, tmp_path: Path) -> None:
    folder = release(tmp_path, "1.0.0", name="broken")
    (folder / ONNX_FILE).write_bytes(b"another")
    with pytest.raises(ModelInvalid, match="SHA-256"):
        Registry(tracking).register(folder)
    assert Registry(tracking).versions("broken") == ()


def _loaded(tracking: Tracking, uri: str):  # type: ignore[no-untyped-def] # MLflow's type is known after its import only
    import mlflow

    mlflow.set_tracking_uri(tracking.uri)
    mlflow.set_registry_uri(tracking.uri)
    try:
        return mlflow.pyfunc.load_model(uri)
    finally:
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
            os.environ.pop(name, None)

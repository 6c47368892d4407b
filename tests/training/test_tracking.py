from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest

from inference.labels import Superclass
from training.config import TrainingConfig
from training.tracking import Fingerprint, Tracking, fingerprint, mlflow_client, run_id, tracked_run

pytestmark = pytest.mark.timeout(240)  # MLflow alone takes half a minute to be imported on a busy machine

DATA = Fingerprint(dataset="ptbxl", version="1.0.3", recordings=1490, sha256="a" * 64)


@dataclass(frozen=True)
class Labelled:
    """An entry of a data set."""

    recording_id: str
    labels: dict[Superclass, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Epoch:
    """What an epoch brought."""

    number: int
    loss: float
    macro_auc: float


def test_a_fingerprint_depends_on_ids_and_labels_and_on_nothing_else() -> None:
    first = [Labelled("1", {Superclass.MI: True}), Labelled("2", {Superclass.MI: False})]
    known = fingerprint("x", "1", first)
    assert known.recordings == 2
    assert fingerprint("x", "1", [*reversed(first), first[0]]) == known, "order and a second sampling rate"
    others = (
        [Labelled("1", {Superclass.MI: False}), first[1]],
        [Labelled("3", first[0].labels), first[1]],
        [Labelled("1"), first[1]],
        first[:1],
    )
    assert len({fingerprint("x", "1", entries).sha256 for entries in others} | {known.sha256}) == 5


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Tracking:
    folder = tmp_path_factory.mktemp("mlflow")
    return Tracking(uri=f"sqlite:///{folder}/var/mlflow.db", artifacts=folder / "artifacts")


def test_a_run_keeps_the_whole_recipe_the_data_each_epoch_and_the_files(tracking: Tracking, tmp_path: Path) -> None:
    config = TrainingConfig(name="tiny", version="0.0.1")
    plots = tmp_path / "plots"
    plots.mkdir()
    (plots / "roc.svg").write_text("<svg/>")
    with tracked_run(tracking, config, DATA, tmp_path, commit="abc") as run:
        run.epoch(Epoch(0, 0.7, 0.8))
        run.epoch(Epoch(1, 0.6, 0.85))
        run.figures(best_macro_auc=0.85)
        run.plots(plots)
    client = mlflow_client(tracking)
    found = client.get_run(run.id)
    assert found.info.status == "FINISHED"
    assert found.data.params == {name: str(value) for name, value in asdict(config).items()}
    assert found.data.tags.items() >= {"data.sha256": "a" * 64, "data.recordings": "1490", "commit": "abc"}.items()
    assert found.data.metrics["best_macro_auc"] == 0.85
    history = client.get_metric_history(run.id, "val_macro_auc")
    assert [(metric.step, metric.value) for metric in history] == [(0, 0.8), (1, 0.85)]
    assert [file.path for file in client.list_artifacts(run.id, "plots")] == ["plots/roc.svg"]


def test_a_training_that_is_resumed_goes_on_in_its_run(tracking: Tracking, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        _interrupted(tracking, tmp_path)
    client, first = mlflow_client(tracking), run_id(tmp_path)
    assert first is not None
    assert client.get_run(first).info.status == "FAILED"
    with tracked_run(tracking, TrainingConfig(), DATA, tmp_path) as again:
        again.epoch(Epoch(1, 0.6, 0.85))
    assert again.id == first == run_id(tmp_path)
    assert client.get_run(first).info.status == "FINISHED"
    assert [metric.step for metric in client.get_metric_history(first, "train_loss")] == [0, 1]


def _interrupted(tracking: Tracking, folder: Path) -> None:
    with tracked_run(tracking, TrainingConfig(), DATA, folder) as run:
        run.epoch(Epoch(0, 0.7, 0.8))
        raise KeyboardInterrupt


def test_a_run_of_another_store_is_not_taken_for_one_of_this(tracking: Tracking, tmp_path: Path) -> None:
    (tmp_path / "mlflow_run.txt").write_text("0123456789abcdef0123456789abcdef\n")
    with tracked_run(tracking, TrainingConfig(), DATA, tmp_path) as run:
        run.figures(any=1.0)
    assert run_id(tmp_path) == run.id != "0123456789abcdef0123456789abcdef"


def test_a_training_that_was_not_tracked_has_no_run(tmp_path: Path) -> None:
    assert run_id(tmp_path) is None

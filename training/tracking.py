"""MLflow: what a training run was, and what came of it.

One run for one training: the whole recipe as parameters, the data's fingerprint as tags, loss and validation AUC of
each epoch, plots and card as artefacts. A training that is resumed goes on in its run, whose id is kept in its folder.

The address is an argument of every call (a client of its own, no global state of MLflow's), so that two stores can be
used side by side: an SQLite file under ./var, or a server.
"""

import hashlib
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from inference.labels import Superclass
from training.config import TrainingConfig

if TYPE_CHECKING:
    from mlflow import MlflowClient

RUN_FILE = "mlflow_run.txt"
EXPERIMENT = "ecg-classifier"
PLOTS, RELEASE = "plots", "release"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracking:
    """Where MLflow is. uri: `sqlite:///...`, or http(s) of a server. artifacts: folder for plots and models beside an
    SQLite store; a server has its own place."""

    uri: str
    artifacts: Path = Path("var/mlartifacts")
    experiment: str = EXPERIMENT

    @property
    def is_server(self) -> bool:
        """Whether a server keeps the runs."""
        return self.uri.startswith(("http://", "https://"))


class Labelled(Protocol):
    """What a fingerprint needs of a data set's entry."""

    @property
    def recording_id(self) -> str:
        """Unique in its data set."""

    @property
    def labels(self) -> Mapping[Superclass, bool]:
        """Known labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """Which data a model learned from. sha256: over every recording's id and labels, in the order of the ids."""

    dataset: str
    version: str
    recordings: int
    sha256: str


def fingerprint(dataset: str, version: str, entries: Iterable[Labelled]) -> Fingerprint:
    """The fingerprint of a data set's training entries. A recording that comes at two sampling rates counts once."""
    labels = {entry.recording_id: entry.labels for entry in entries}
    digest = hashlib.sha256()
    for identity in sorted(labels):
        known = ",".join(f"{c.value}={labels[identity][c]:d}" for c in Superclass if c in labels[identity])
        digest.update(f"{identity}:{known}\n".encode())
    return Fingerprint(dataset=dataset, version=version, recordings=len(labels), sha256=digest.hexdigest())


class EpochFigures(Protocol):
    """What an epoch brought; `training.train.Epoch`."""

    @property
    def number(self) -> int:
        """From 0."""

    @property
    def loss(self) -> float:
        """Mean over the training recordings."""

    @property
    def macro_auc(self) -> float:
        """On the validation split."""


class TrackedRun:
    """One run in MLflow, while it is open. id: MLflow's."""

    def __init__(self, client: "MlflowClient", id: str) -> None:
        self._client = client
        self.id = id

    def epoch(self, epoch: EpochFigures) -> None:
        """Loss and validation AUC of an epoch, at its step."""
        self._client.log_metric(self.id, "train_loss", epoch.loss, step=epoch.number)
        self._client.log_metric(self.id, "val_macro_auc", epoch.macro_auc, step=epoch.number)

    def figures(self, **figures: float) -> None:
        """Figures of the finished model."""
        for name, value in figures.items():
            self._client.log_metric(self.id, name, value)

    def plots(self, folder: Path) -> None:
        """Every file of a folder."""
        self._client.log_artifacts(self.id, str(folder), PLOTS)

    def file(self, path: Path, place: str = RELEASE) -> None:
        """One file, such as the card."""
        self._client.log_artifact(self.id, str(path), place)


@contextmanager
def tracked_run(
    tracking: Tracking, config: TrainingConfig, data: Fingerprint, folder: Path, *, commit: str | None = None
) -> Iterator[TrackedRun]:
    """The MLflow run of the training in `folder`: opened, or opened again where it was interrupted; closed as finished,
    or as failed when the body raises. Raises MlflowException when the store cannot be used."""
    client = mlflow_client(tracking)
    run = TrackedRun(client, _resumed(client, folder) or _started(client, tracking, config, data, commit))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RUN_FILE).write_text(run.id + "\n")
    try:
        yield run
    except BaseException:
        client.set_terminated(run.id, "FAILED")
        raise
    client.set_terminated(run.id, "FINISHED")


def run_id(folder: Path) -> str | None:
    """The MLflow run of the training in `folder`, None when it was not tracked."""
    file = folder / RUN_FILE
    return file.read_text().strip() if file.is_file() else None


def mlflow_client(tracking: Tracking) -> "MlflowClient":
    """A client of this store only. Creates an SQLite file that is not there yet."""
    # MLflow reports its use to its makers unless this is set before the first import; nothing here does that.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # Standard output belongs to our commands, whose JSON a program may read.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    if tracking.uri.startswith("sqlite:///"):
        Path(tracking.uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    with own_warnings_off():
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=tracking.uri, registry_uri=tracking.uri)


@contextmanager
def own_warnings_off() -> Iterator[None]:
    """For MLflow's first steps: 3.17 warns of its own type hints when it is imported, and of its own use of SQLAlchemy
    2.1 when it opens a store. Nobody who trains can do anything about either."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*Any type hint is inferred as AnyType", UserWarning)
        warnings.filterwarnings("ignore", "The ``noload`` loader strategy", DeprecationWarning)
        yield


def experiment_id(client: "MlflowClient", tracking: Tracking) -> str:
    """The experiment, made when it is not there yet."""
    found = client.get_experiment_by_name(tracking.experiment)
    if found is not None:
        return str(found.experiment_id)
    place = None if tracking.is_server else tracking.artifacts.resolve().as_uri()
    return str(client.create_experiment(tracking.experiment, artifact_location=place))


def _resumed(client: "MlflowClient", folder: Path) -> str | None:
    from mlflow.exceptions import MlflowException

    found = run_id(folder)
    if found is None:
        return None
    try:
        client.update_run(found, status="RUNNING")
    except MlflowException:  # tracked in another store, or deleted there: this store gets a run of its own
        return None
    return found


def _started(
    client: "MlflowClient", tracking: Tracking, config: TrainingConfig, data: Fingerprint, commit: str | None
) -> str:
    tags = {f"data.{name}": str(value) for name, value in asdict(data).items()} | {"commit": commit or "none"}
    run = client.create_run(experiment_id(client, tracking), run_name=f"{config.name} {config.version}", tags=tags)
    for name, value in asdict(config).items():
        client.log_param(run.info.run_id, name, value)
    return str(run.info.run_id)

"""MLflow's model registry: every released model as a version, with what it is tagged by and which alias points to it.

The registry is where people look models up and compare them. What is served is decided by `champion.json` alone: the
service knows nothing of MLflow.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from inference.artifact import CARD_FILE, ONNX_FILE, load_artifact
from inference.prediction import ModelStatus
from training.documents import DOCUMENTS
from training.tracking import RELEASE, Tracking, experiment_id, mlflow_client, own_warnings_off

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

MODEL = "model"  # the MLflow model's folder among the artefacts of its run
ALIASES = {ModelStatus.CANDIDATE: "candidate", ModelStatus.CHAMPION: "champion"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredModel:
    """A version in the registry. number: MLflow's own. version: the release's. path: below the folder of models."""

    name: str
    number: int
    version: str
    status: ModelStatus
    sha256: str
    path: str
    aliases: tuple[str, ...]
    run_id: str | None


class Registry:
    """The registry of one MLflow store."""

    def __init__(self, tracking: Tracking) -> None:
        self._tracking = tracking
        self._client: MlflowClient = mlflow_client(tracking)

    def register(self, folder: Path, run_id: str | None = None) -> RegisteredModel:
        """A release as a version, with the alias of its status: a new one, or the one that has this release already,
        brought up to date. run_id: of the training; without one the release gets a run of its own.

        Raises ModelInvalid for a release that cannot be served, MlflowException when the store cannot be used.
        """
        artifact = load_artifact(folder)
        card = artifact.card
        number = self._number_of(card) or self._add(folder, card, run_id)
        for key, value in _tags(folder, card).items():
            self._client.set_model_version_tag(card["name"], str(number), key, value)
        self._client.set_registered_model_alias(card["name"], ALIASES[ModelStatus(card["status"])], str(number))
        if card["status"] == ModelStatus.CHAMPION:
            self._drop_alias(card["name"], ALIASES[ModelStatus.CANDIDATE], number)
        return self._read(card["name"], number)

    def versions(self, name: str) -> tuple[RegisteredModel, ...]:
        """Every version of a model, oldest first; none of one that was never registered."""
        found = self._client.search_model_versions(f"name='{name}'")
        return tuple(self._read(name, number) for number in sorted(int(version.version) for version in found))

    def by_alias(self, name: str, alias: str) -> RegisteredModel:
        """The version that an alias points to. Raises MlflowException when there is none."""
        return _registered(self._client.get_model_version_by_alias(name, alias))

    def _number_of(self, card: Mapping[str, Any]) -> int | None:
        found = self._client.search_model_versions(f"name='{card['name']}'")
        same = (int(v.version) for v in found if v.tags.get("sha256") == card["files"][ONNX_FILE])
        return next(same, None)

    def _add(self, folder: Path, card: Mapping[str, Any], run_id: str | None) -> int:
        run = run_id or self._run_for(card)
        self._log_model(folder, run)
        if not self._client.search_registered_models(f"name='{card['name']}'"):
            self._client.create_registered_model(card["name"])
        source = f"{self._client.get_run(run).info.artifact_uri}/{MODEL}"
        made = self._client.create_model_version(card["name"], source, run_id=run)
        return int(made.version)

    def _run_for(self, card: Mapping[str, Any]) -> str:
        name = f"{card['name']} {card['version']}"
        run = self._client.create_run(experiment_id(self._client, self._tracking), run_name=name)
        self._client.set_terminated(run.info.run_id, "FINISHED")
        return str(run.info.run_id)

    def _log_model(self, folder: Path, run: str) -> None:
        """As an MLflow model of the ONNX flavour, which `mlflow.pyfunc` can run, and the card beside it."""
        with TemporaryDirectory() as scratch:
            save_model(folder, Path(scratch) / MODEL)
            self._client.log_artifacts(run, scratch)
        for file in (CARD_FILE, *DOCUMENTS):
            if (folder / file).is_file():
                self._client.log_artifact(run, str(folder / file), RELEASE)

    def _drop_alias(self, name: str, alias: str, number: int) -> None:
        if alias in self._read(name, number).aliases:
            self._client.delete_registered_model_alias(name, alias)

    def _read(self, name: str, number: int) -> RegisteredModel:
        return _registered(self._client.get_model_version(name, str(number)))


@own_warnings_off()
def save_model(folder: Path, to: Path) -> None:
    """A release as an MLflow model in a folder of its own: inputs `signal` and `features`, output `probabilities`."""
    import mlflow.onnx
    import onnx
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    graph = onnx.load(folder / ONNX_FILE)
    signature = ModelSignature(
        inputs=Schema([TensorSpec(*_tensor(value)) for value in graph.graph.input]),
        outputs=Schema([TensorSpec(*_tensor(value)) for value in graph.graph.output]),
    )
    mlflow.onnx.save_model(
        graph, to, signature=signature, pip_requirements=["onnxruntime", "onnx", "numpy"],
        onnx_execution_providers=["CPUExecutionProvider"],
    )  # fmt: skip
    shutil.copyfile(folder / CARD_FILE, to / CARD_FILE)


def _tensor(value: Any) -> tuple[Any, tuple[int, ...], str]:
    """Type, shape (-1 for the batch) and name of a graph's input or output."""
    import numpy as np

    sizes = tuple(d.dim_value if d.HasField("dim_value") else -1 for d in value.type.tensor_type.shape.dim)
    return np.dtype(np.float32), sizes, value.name


def _tags(folder: Path, card: Mapping[str, Any]) -> dict[str, str]:
    waiver = card.get("waiver")
    return {
        "sha256": card["files"][ONNX_FILE],
        "release_path": f"{folder.parent.name}/{folder.name}",
        "release_version": card["version"],
        "status": card["status"],
        "waived": waiver["says"] if waiver else "none",
    }


def _registered(found: "ModelVersion") -> RegisteredModel:
    return RegisteredModel(
        name=found.name,
        number=int(found.version),
        version=found.tags["release_version"],
        status=ModelStatus(found.tags["status"]),
        sha256=found.tags["sha256"],
        path=found.tags["release_path"],
        aliases=tuple(found.aliases),
        run_id=found.run_id,
    )

"""A pipeline on a few real recordings, in folders of its own."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import torch

from orchestration.config import (
    CurveConfig,
    EvaluationConfig,
    GateConfig,
    RecipeConfig,
    ValidationConfig,
)
from orchestration.definitions import definitions
from orchestration.settings import Settings
from tests.training.conftest import TINY

SIZES = {"train": 36, "val": 16, "test": 10}

RECIPE = asdict(replace(TINY, epochs=1, batch_size=16))

# A slice has few of everything; what is left still finds a broken file, an impossible age and a leak.
TOLERANT = {"min_train_positives": 0.0, "min_val_positives": 0.0, "min_rate": 0.0, "max_rate": 1.0}


def write_slice(ptbxl: Path, folder: Path, sizes: Mapping[str, int], change: Mapping[str, str] | None = None) -> Path:
    """The first recordings of each split, in the official layout. change: ecg_id -> split that it gets instead."""
    folder.mkdir()
    for name in ("records100", "ptbxl_database.csv"):
        (folder / name).symlink_to(ptbxl / name)
    with (ptbxl / "superclass_labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with (folder / "superclass_labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for split, size in sizes.items():
            writer.writerows(_varied((row for row in rows if row["split"] == split), size))
    return folder


def _varied(rows: Iterable[dict[str, str]], size: int) -> list[dict[str, str]]:
    """The first that are not mostly normal: every class turns up among a few."""
    found: list[dict[str, str]] = []
    for row in rows:
        if row["NORM"] != "1" or sum(r["NORM"] == "1" for r in found) < size // 3:
            found.append(row)
        if len(found) == size:
            break
    return found


class Pipeline:
    """The code location in a folder, with an instance that lives as long."""

    def __init__(self, folder: Path, ptbxl: Path, chapman: Path, instance: dg.DagsterInstance) -> None:
        self.var, self.models = folder / "var", folder / "models"
        self.models.mkdir(parents=True)
        self.instance = instance
        self.settings = Settings(
            data=folder / "nowhere",
            data_ptbxl=ptbxl,
            data_chapman=chapman,
            ops_folder=self.var,
            model=self.models,
            mlflow_uri=f"sqlite:///{folder}/mlflow.db",
            mlflow_artifacts=folder / "mlartifacts",
        )
        self.definitions = definitions(self.settings)

    def run(
        self, job: str, partition: str | None = None, select: str | None = None, **configs: dg.Config
    ) -> dg.ExecuteInProcessResult:
        """Run a job in this process."""
        resolved = self.definitions.resolve_job_def(job)
        return resolved.execute_in_process(
            run_config=dg.RunConfig(ops=configs),
            instance=self.instance,
            partition_key=partition,
            raise_on_error=False,
            asset_selection=[dg.AssetKey(select)] if select else None,
        )


def checks(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """Check -> its evaluation."""
    return {e.check_name: e for e in result.get_asset_check_evaluations()}


def failure(result: dg.ExecuteInProcessResult, step: str) -> str:
    """Why a step failed."""
    (event,) = (e for e in result.all_events if e.is_step_failure and e.step_key == step)
    error = event.step_failure_data.error
    assert error is not None
    return error.to_string()


def made(result: dg.ExecuteInProcessResult) -> set[str]:
    """Assets."""
    return {event.asset_key.to_user_string() for event in result.get_asset_materialization_events() if event.asset_key}


@pytest.fixture(scope="session")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture(scope="session")
def ptbxl_slice(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_slice(shared_data / "ptbxl", tmp_path_factory.mktemp("slice") / "ptbxl", SIZES)


@pytest.fixture(scope="session")
def pipeline(
    shared_data: Path, ptbxl_slice: Path, instance: dg.DagsterInstance, tmp_path_factory: pytest.TempPathFactory
) -> Pipeline:
    return Pipeline(tmp_path_factory.mktemp("pipeline"), ptbxl_slice, shared_data / "chapman", instance)


@pytest.fixture(scope="session")
def lifecycle(pipeline: Pipeline) -> dg.ExecuteInProcessResult:
    """The whole graph, once."""
    torch.set_num_threads(1)
    return pipeline.run(
        "full_lifecycle",
        "ptbxl",
        recipe=RecipeConfig(**RECIPE),
        validation_report=ValidationConfig(limits=TOLERANT),
        learning_curve=CurveConfig(shares=[0.5, 1.0]),
        test_evaluation=EvaluationConfig(look_at_test=True),
        promotion_verdict=GateConfig(),
    )

import json
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from inference.pointer import read_pointer
from orchestration.config import GateConfig, ValidationConfig
from orchestration.definitions import ASSETS
from scripts.asset_graph import diagram
from tests.orchestration.conftest import RECIPE, TOLERANT, Pipeline, checks, failure, made, write_slice
from training.card import read_card
from training.promotion import Waivable
from training.reference import released_reference
from training.registry import Registry
from training.tracking import Tracking

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]

WITHOUT_A_CHAMPION = {
    "recordings", "validation_report", "clinical_features", "prepared_signals", "recipe", "cross_validation",
    "trained_model", "learning_curve", "release", "evaluation", "external_evaluation", "fairness", "test_evaluation",
    "promotion_verdict", "reference_profile",
}  # fmt: skip


def test_the_documented_graph_is_that_of_the_definitions() -> None:
    assert f"```mermaid\n{diagram()}```" in (ROOT / "docs/orchestration.md").read_text()


# The first training takes most of it.
SLOW = pytest.mark.timeout(300)


def test_dagster_finds_the_definitions_valid() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("dagster"), "definitions", "validate", "-m", "orchestration.definitions"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_every_asset_is_in_a_group_and_says_what_it_is() -> None:
    specs = [spec for asset in ASSETS for spec in asset.specs]
    assert {spec.group_name for spec in specs} == {"datasets", "features", "training", "promotion", "monitoring"}
    assert [spec.key.to_user_string() for spec in specs if not spec.description] == []


@SLOW
def test_the_whole_graph_is_made_of_a_real_slice(pipeline: Pipeline, lifecycle: dg.ExecuteInProcessResult) -> None:
    assert made(lifecycle) == WITHOUT_A_CHAMPION
    card = read_card(pipeline.models / "tiny" / RECIPE["version"])
    assert set(card["metrics"]) >= {"val", "test", "out-of-fold", "external-chapman"}
    assert card["fairness"]["recordings"] > 0
    assert card["test_looks"] == {"of_this_model": 1, "of_all_models": 1}


@SLOW
def test_the_gate_stops_the_slice_and_says_by_how_much(
    pipeline: Pipeline, lifecycle: dg.ExecuteInProcessResult
) -> None:
    assert not lifecycle.success
    found = checks(lifecycle)["macro_auc"]
    value = read_card(pipeline.models / "tiny" / RECIPE["version"])["metrics"]["test"]["macro_auc"]["value"]
    assert not found.passed
    assert f"fails by {0.9 - value:.4g}" in found.description
    assert "champion" not in made(lifecycle)
    assert read_card(pipeline.models / "tiny" / RECIPE["version"])["status"] == "candidate"


@SLOW
def test_training_and_release_are_in_mlflow(pipeline: Pipeline, lifecycle: dg.ExecuteInProcessResult) -> None:
    assert lifecycle
    tracking = Tracking(uri=pipeline.settings.mlflow_uri, artifacts=pipeline.settings.mlflow_artifacts)
    (version,) = Registry(tracking).versions("tiny")
    assert version.run_id is not None
    logged = {path.name for path in pipeline.settings.mlflow_artifacts.rglob("*") if version.run_id in path.parts}
    assert {"card.json", "roc-val.png"} <= logged


@SLOW
def test_what_live_traffic_is_compared_with_is_released_beside_the_model(
    pipeline: Pipeline, lifecycle: dg.ExecuteInProcessResult
) -> None:
    assert lifecycle
    reference = released_reference(pipeline.models / "tiny" / RECIPE["version"])
    assert reference.source == "ptbxl: inputs of the train split, outputs of the val split"
    assert (len(reference.outputs), reference.agreement["MI"][1]) == (16, 16)


@SLOW
def test_with_a_waiver_and_lower_limits_it_becomes_the_champion(
    pipeline: Pipeline, lifecycle: dg.ExecuteInProcessResult
) -> None:
    assert lifecycle
    gate = GateConfig(
        macro_auc=0.0, forward_p99_ms=1000, waives=[Waivable.FAIRNESS], by="A. Tester", reason="a slice judges nobody"
    )
    promoted = pipeline.run("promote", promotion_verdict=gate)
    assert promoted.success
    assert checks(promoted)["parity_by_sex"].severity is dg.AssetCheckSeverity.WARN
    card = read_card(pipeline.models / "tiny" / RECIPE["version"])
    assert (card["status"], card["waiver"]["by"]) == ("champion", "A. Tester")
    assert read_pointer(pipeline.models).path == f"tiny/{RECIPE['version']}"


def test_a_leak_between_splits_blocks_everything_and_says_why(
    shared_data: Path, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    ptbxl = write_slice(shared_data / "ptbxl", tmp_path / "leaking", {"train": 8, "val": 6, "test": 4})
    labels = ptbxl / "superclass_labels.csv"
    lines = labels.read_text().splitlines()
    first, last = lines[1].split(","), lines[9].split(",")
    last[1:3] = first[1:3]  # a validation recording whose samples are those of a training recording
    labels.write_text("\n".join([*lines[:9], ",".join(last), *lines[10:]]) + "\n")
    broken = Pipeline(tmp_path / "pipeline", ptbxl, shared_data / "chapman", instance)
    result = broken.run("data_sets", "ptbxl", validation_report=ValidationConfig(limits=TOLERANT))
    assert not result.success
    found = checks(result)["leakage"]
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert first[0] in found.description or last[0] in found.description
    assert made(result) == {"recordings", "validation_report"}
    alone = broken.run("data_sets", "ptbxl", select="clinical_features")
    assert "ptbxl is blocked" in failure(alone, "clinical_features")


def test_a_data_set_that_is_not_there_is_told_by_the_setting_that_names_it(pipeline: Pipeline) -> None:
    result = pipeline.run("data_sets", "code15", select="recordings")
    assert "code15 is not there" in failure(result, "recordings")
    assert "ECG_DATA_CODE15" in failure(result, "recordings")


def test_another_source_goes_through_the_same_data_job(pipeline: Pipeline) -> None:
    limits = TOLERANT | {"max_refused": 0.5, "min_clean": 0.0}
    result = pipeline.run("data_sets", "chapman", validation_report=ValidationConfig(limits=limits))
    assert made(result) == {"recordings", "validation_report", "clinical_features", "prepared_signals"}
    report = json.loads((pipeline.var / "validation" / "chapman" / "validation.json").read_text())
    assert sum(report["recordings"].values()) == 20

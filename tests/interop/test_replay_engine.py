import json
from pathlib import Path

import pytest

from actions.analysis import PolicyInfo
from actions.policy import load_policy
from inference.artifact import CARD_FILE, INT8_FILE, ONNX_FILE, TORCH_FILE
from inference.errors import ConfigurationError, ModelInvalid
from inference.precision import Precision
from inference.prediction import ModelInfo, ModelStatus
from interop.replay_engine import RAN, find_ran, find_rules
from tests.conftest import ROOT
from tests.releases import graph, point, release


def info(folder: Path, file: str = ONNX_FILE, **changed: str) -> ModelInfo:
    card = json.loads((folder / CARD_FILE).read_text())
    given = {"name": card["name"], "version": card["version"], "sha256": card["files"][file]} | changed
    return ModelInfo(status=ModelStatus.CHAMPION, **given)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Two releases, of which the second is active."""
    release(tmp_path, "1.0.0", mi=0.6)
    release(tmp_path, "2.0.0", mi=0.7)
    point(tmp_path, "fixed/2.0.0")
    return tmp_path


@pytest.mark.parametrize("version", ["1.0.0", "2.0.0"])
def test_a_release_is_found_whether_it_is_active_or_not(models: Path, version: str) -> None:
    ran = find_ran(info(models / "fixed" / version), models)
    assert (ran.folder, ran.file) == (models / "fixed" / version, ONNX_FILE)
    assert ran.load().model.version == version


def test_it_is_found_beside_the_one_that_is_pinned(models: Path) -> None:
    wanted = info(models / "fixed" / "1.0.0")
    for setting in (models / "fixed" / "2.0.0", models / "champion.json", models):
        assert find_ran(wanted, setting).folder == models / "fixed" / "1.0.0"


@pytest.mark.parametrize("file", [ONNX_FILE, INT8_FILE, TORCH_FILE])
def test_the_checksum_tells_which_file_ran_and_so_in_which_precision(file: str) -> None:
    (folder,) = (ROOT / "models").glob("*/*")
    ran = find_ran(info(folder, file), ROOT / "models")
    assert (ran.folder, ran.file) == (folder, file)
    backend, precision = RAN[file]
    assert (backend, precision) == {
        ONNX_FILE: ("onnx", Precision.FP32), INT8_FILE: ("onnx", Precision.INT8), TORCH_FILE: ("torch", Precision.AUTO),
    }[file]  # fmt: skip


def test_the_file_that_ran_is_the_one_that_runs() -> None:
    (folder,) = (ROOT / "models").glob("*/*")
    wanted = info(folder, INT8_FILE)
    assert find_ran(wanted, ROOT / "models").load().model.sha256 == wanted.sha256


def test_a_model_that_is_not_there_is_named_with_its_checksum(models: Path) -> None:
    for changed in ({"version": "3.0.0"}, {"name": "other"}):
        with pytest.raises(
            ModelInvalid, match=f"SHA-256 {info(models / 'fixed' / '1.0.0').sha256}, is not released in"
        ):
            find_ran(info(models / "fixed" / "1.0.0", **changed), models)


def test_other_weights_under_the_same_name_and_version_are_not_taken(models: Path) -> None:
    with pytest.raises(ModelInvalid, match=f"has other weights; those of SHA-256 {'e' * 64} are needed"):
        find_ran(info(models / "fixed" / "1.0.0", sha256="e" * 64), models)


def test_weights_that_were_changed_on_disk_do_not_run(models: Path) -> None:
    folder = models / "fixed" / "1.0.0"
    wanted = info(folder)
    (folder / ONNX_FILE).write_bytes(graph(0.62).SerializeToString())
    with pytest.raises(ModelInvalid, match="SHA-256"):
        find_ran(wanted, models).load()


def test_a_broken_card_beside_it_is_no_hindrance(models: Path) -> None:
    (models / "fixed" / "2.0.0" / CARD_FILE).write_text("{")
    assert find_ran(info(models / "fixed" / "1.0.0"), models).folder == models / "fixed" / "1.0.0"


def test_rules_are_found_by_their_checksum(tmp_path: Path) -> None:
    own = tmp_path / "rules.json"
    own.write_text((ROOT / "actions" / "policy.json").read_text() + "\n")
    for path in (None, own):
        policy = load_policy(path)
        assert find_rules(policy.info, own).info == policy.info


def test_rules_that_are_not_there_are_named_with_their_checksum() -> None:
    wanted = PolicyInfo(name="ward", version="2", sha256="f" * 64)
    with pytest.raises(ConfigurationError, match=f"rules ward 2, SHA-256 {'f' * 64}, are needed: let ECG_RULES"):
        find_rules(wanted, None)

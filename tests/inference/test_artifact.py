import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from inference import artifact
from inference.artifact import find_model, find_models, load_artifact
from inference.errors import ConfigurationError, ModelInvalid
from inference.labels import Superclass
from inference.prediction import ModelStatus
from tests.conftest import ROOT

Card = dict[str, Any]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The released card beside a weight file of a few bytes that it vouches for."""
    folder = tmp_path / "models" / "some" / "1.0.0"
    folder.mkdir(parents=True)
    card = json.loads((find_model(ROOT / "models") / "card.json").read_text())
    (folder / "model.onnx").write_bytes(b"weights")
    card["files"] = {"model.onnx": hashlib.sha256(b"weights").hexdigest()}
    (folder / "card.json").write_text(json.dumps(card))
    (tmp_path / "models" / "champion.json").write_text('{"path": "some/1.0.0"}')
    return folder


def _change(folder: Path, **values: object) -> None:
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**card, **values}))


def test_a_model_that_matches_its_card_is_loaded(model: Path) -> None:
    loaded = load_artifact(model)
    assert loaded.info().sha256 == hashlib.sha256(b"weights").hexdigest()
    assert set(loaded.thresholds) == set(Superclass)


def test_the_thresholds_and_the_status_are_those_of_the_card(model: Path) -> None:
    thresholds = {"NORM": 0.5, "MI": 0.25, "STTC": 0.3, "CD": 0.3, "HYP": 0.3}
    _change(model, thresholds=thresholds, status="champion", name="other", version="2.0.0")
    loaded = load_artifact(model)
    assert loaded.thresholds == thresholds
    assert (loaded.info().name, loaded.info().version) == ("other", "2.0.0")
    assert loaded.info().status is ModelStatus.CHAMPION


def test_weights_that_are_not_those_of_the_card_are_refused_by_name(model: Path) -> None:
    (model / "model.onnx").write_bytes(b"weightz")
    with pytest.raises(ModelInvalid, match=r"model\.onnx: SHA-256"):
        load_artifact(model)


@pytest.fixture
def model_with_int8(model: Path) -> Path:
    """The same, released in int8 too."""
    (model / "model.int8.onnx").write_bytes(b"small weights")
    files = {"model.onnx": b"weights", "model.int8.onnx": b"small weights"}
    _change(model, files={name: hashlib.sha256(content).hexdigest() for name, content in files.items()})
    return model


def test_a_model_that_was_released_in_int8_has_both_graphs(model_with_int8: Path) -> None:
    loaded = load_artifact(model_with_int8)
    assert loaded.graphs == ("model.onnx", "model.int8.onnx")
    assert loaded.info("model.int8.onnx").sha256 == hashlib.sha256(b"small weights").hexdigest()


def test_an_int8_file_that_the_card_does_not_list_is_never_run(model: Path) -> None:
    (model / "model.int8.onnx").write_bytes(b"put there by someone")
    assert load_artifact(model).graphs == ("model.onnx",)


def test_changed_int8_weights_are_refused_by_name(model_with_int8: Path) -> None:
    (model_with_int8 / "model.int8.onnx").write_bytes(b"other weights")
    with pytest.raises(ModelInvalid, match=r"model\.int8\.onnx: SHA-256"):
        load_artifact(model_with_int8)


def test_missing_int8_weights_are_refused(model_with_int8: Path) -> None:
    (model_with_int8 / "model.int8.onnx").unlink()
    with pytest.raises(ModelInvalid, match=r"model\.int8\.onnx"):
        load_artifact(model_with_int8)


def test_int8_weights_without_a_comparison_with_fp32_are_refused(model_with_int8: Path) -> None:
    card = json.loads((model_with_int8 / "card.json").read_text())
    del card["int8"]
    (model_with_int8 / "card.json").write_text(json.dumps(card))
    with pytest.raises(ModelInvalid, match="int8"):
        load_artifact(model_with_int8)


def test_missing_weights_are_refused(model: Path) -> None:
    (model / "model.onnx").unlink()
    with pytest.raises(ModelInvalid, match=r"model\.onnx"):
        load_artifact(model)


def test_weights_that_the_card_does_not_vouch_for_are_refused(model: Path) -> None:
    (model / "model.pt").write_bytes(b"anything")
    with pytest.raises(ModelInvalid, match=r"model\.pt"):
        load_artifact(model).verified("model.pt")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"preprocessing": {"version": "0", "sha256": "0" * 64}}, "preprocessing 0"),
        ({"features": {"version": "1", "names": ["age"]}}, "trained with features"),
        ({"features": {"version": "0", "names": []}}, "trained with features 0"),
        ({"status": "approved"}, r"\$\.status"),
        ({"thresholds": {"NORM": 0.3}}, r"\$\.thresholds"),
        ({"thresholds": {"NORM": 0.3, "MI": 1.5, "STTC": 0.3, "CD": 0.3, "HYP": 0.3}}, r"\$\.thresholds\.MI"),
        ({"files": {"model.onnx": "short"}}, r"model\.onnx"),
        ({"files": {"../model.onnx": "0" * 64}}, r"\.\./model\.onnx"),
        ({"int8": {"method": "guessed"}}, r"\$\.int8"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_card_that_breaks_its_schema_or_this_code_is_refused_with_the_reason(
    model: Path, change: Card, reason: str
) -> None:
    _change(model, **change)
    with pytest.raises(ModelInvalid, match=reason) as raised:
        load_artifact(model)
    assert raised.value.element == str(model / "card.json")


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff"])
def test_a_card_that_is_no_json_object_is_refused(model: Path, content: bytes) -> None:
    (model / "card.json").write_bytes(content)
    with pytest.raises(ModelInvalid, match=r"card\.json"):
        load_artifact(model)


def test_a_model_is_found_by_its_folder_its_pointer_or_the_folder_of_the_pointer(model: Path) -> None:
    models = model.parents[1]
    assert find_model(model) == find_model(models / "champion.json") == find_model(models) == model


def test_without_a_setting_the_models_of_the_working_directory_come_before_the_packaged_one(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged = tmp_path / "packaged"
    packaged.mkdir()
    shutil.copy(model / "card.json", packaged)
    monkeypatch.setattr(artifact, "PACKAGED", packaged)
    monkeypatch.chdir(tmp_path)
    assert find_model(None).resolve() == model
    (model.parents[1] / "champion.json").unlink()
    assert find_model(None) == packaged


def test_no_model_at_all_is_an_error_that_names_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifact, "PACKAGED", tmp_path / "nothing")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelInvalid, match="ECG_MODEL"):
        find_model(None)


@pytest.mark.parametrize("pointer", ["{}", "[]", "no json", '{"path": 1}'])
def test_a_broken_pointer_is_refused(tmp_path: Path, pointer: str) -> None:
    (tmp_path / "champion.json").write_text(pointer)
    with pytest.raises(ModelInvalid, match=r"champion\.json"):
        find_model(tmp_path)


def test_a_setting_that_leads_nowhere_is_refused_and_never_replaced_by_another_model(tmp_path: Path) -> None:
    with pytest.raises(ModelInvalid, match="absent"):
        find_model(tmp_path / "absent")


def test_models_are_activated_in_the_folder_of_the_pointer(model: Path) -> None:
    models = model.parents[1]
    assert find_models(None) == Path("models")
    assert find_models(models) == find_models(models / "champion.json") == models


def test_nothing_is_activated_where_the_setting_pins_one_release(model: Path) -> None:
    with pytest.raises(ConfigurationError, match="ECG_MODEL pins"):
        find_models(model)


def test_a_waiver_of_the_card_is_told_with_the_model(model: Path) -> None:
    assert load_artifact(model).info().waived is None
    waiver = {"waives": ["fairness"], "by": "Ada", "reason": "pilot", "date": "2026-01-01T00:00:00+00:00"}
    _change(model, waiver=waiver | {"says": "fairness not assessed"})
    assert load_artifact(model).info().waived == "fairness not assessed"

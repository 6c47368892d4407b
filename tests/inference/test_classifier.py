import hashlib
import json
import logging
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.artifact import find_model
from inference.beats import find_beats
from inference.classifier import Classifier, load_classifier
from inference.errors import ConfigurationError, ModelInvalid, ModelUnavailable
from inference.features import FEATURE_NAMES, extract
from inference.formats import wfdb
from inference.labels import Superclass
from inference.measurements import measure
from inference.precision import Precision
from inference.prediction import ModelInfo, ModelStatus
from inference.prepare import ModelInput, prepare
from tests.conftest import ROOT

INFO = ModelInfo("fake", "1.0.0", ModelStatus.CANDIDATE, "0" * 64)
THRESHOLDS = dict.fromkeys(Superclass, 0.3)

Array = NDArray[np.float32]


@pytest.fixture(scope="module")
def released() -> Path:
    return find_model(ROOT / "models")


@pytest.fixture(scope="module")
def classifier(released: Path) -> Classifier:
    return load_classifier(released, "onnx", Precision.FP32)


@pytest.fixture(scope="module")
def int8(released: Path) -> Classifier:
    return load_classifier(released, precision=Precision.INT8)


def _windows(path: Path) -> tuple[ModelInput, ...]:
    recording = wfdb.read(path)
    beats = find_beats(recording)
    return prepare(recording, extract(beats, measure(beats), recording.age, recording.sex))


def _window(value: float) -> ModelInput:
    return ModelInput(np.full((12, 5000), value, np.float32), np.full(len(FEATURE_NAMES), np.nan, np.float32))


def _first_sample(signal: Array, features: Array) -> Array:
    """A model whose every probability is the first sample."""
    return np.repeat(signal[:, 0, :1], 5, axis=1)


@pytest.mark.parametrize("precision", ["classifier", "int8"])
def test_the_shipped_recordings_are_recognised(precision: str, examples: Path, request: pytest.FixtureRequest) -> None:
    loaded: Classifier = request.getfixturevalue(precision)
    normal, infarct = (loaded(_windows(examples / name)) for name in ("00010_hr", "00184_hr"))
    assert normal.decided == (Superclass.NORM,)
    assert infarct.decided[0] is Superclass.MI
    assert infarct.probabilities[Superclass.MI] > 0.7


def test_a_prediction_names_the_model_and_its_thresholds(classifier: Classifier, examples: Path) -> None:
    prediction = classifier(_windows(examples / "00010_hr"))
    assert prediction.model == classifier.model
    assert prediction.thresholds == classifier.thresholds


@pytest.mark.parametrize("precision", ["classifier", "int8"])
def test_recordings_in_one_batch_are_classified_as_they_are_alone(
    precision: str, examples: Path, request: pytest.FixtureRequest
) -> None:
    loaded: Classifier = request.getfixturevalue(precision)
    windows = [_windows(examples / name) for name in ("00010_hr", "00184_hr")]
    together = loaded.batch(windows)
    for batched, alone in zip(together, map(loaded, windows), strict=True):
        assert list(batched.probabilities.values()) == pytest.approx(list(alone.probabilities.values()), abs=1e-5)


@pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
def test_torch_and_onnx_agree_on_real_recordings(classifier: Classifier, released: Path, examples: Path) -> None:
    by_torch = load_classifier(released, "torch")
    for name in ("00010_hr", "00184_hr"):
        windows = _windows(examples / name)
        expected, found = classifier(windows), by_torch(windows)
        assert list(found.probabilities.values()) == pytest.approx(list(expected.probabilities.values()), abs=1e-4)
    assert by_torch.model.sha256 != classifier.model.sha256, "each back end names the file that ran"


def test_int8_and_fp32_differ_by_no_more_than_the_card_says(
    classifier: Classifier, int8: Classifier, released: Path, examples: Path
) -> None:
    largest = json.loads((released / "card.json").read_text())["int8"]["val"]["largest_difference"]
    for name in ("00010_hr", "00184_hr"):
        windows = _windows(examples / name)
        expected, found = classifier(windows).probabilities, int8(windows).probabilities
        assert list(found.values()) == pytest.approx(list(expected.values()), abs=largest)
        assert found != expected, "these are other weights"


@pytest.mark.parametrize(("precision", "file"), [(Precision.FP32, "model.onnx"), (Precision.INT8, "model.int8.onnx")])
def test_a_forced_precision_runs_and_is_named_by_its_checksum(
    released: Path, precision: Precision, file: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "inference"):
        loaded = load_classifier(released, "onnx", precision)
    assert loaded.model.sha256 == hashlib.sha256((released / file).read_bytes()).hexdigest()
    (record,) = caplog.records
    assert (record.__dict__["precision"], record.__dict__["file"]) == (precision, file)
    assert record.__dict__["fp32_ms"] is None, "nothing was timed"


def test_without_a_wish_the_faster_one_runs_and_the_log_says_why(
    released: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "inference"):
        loaded = load_classifier(released, "onnx")
    (record,) = caplog.records
    chosen = record.__dict__
    assert chosen["precision"] == ("int8" if chosen["int8_ms"] < 0.9 * chosen["fp32_ms"] else "fp32")
    assert (
        loaded.model.sha256
        == chosen["sha256"]
        == json.loads((released / "card.json").read_text())["files"][chosen["file"]]
    )


def test_a_model_without_int8_runs_in_fp32_unless_int8_was_asked_for(released: Path, tmp_path: Path) -> None:
    card = json.loads((released / "card.json").read_text())
    del card["files"]["model.int8.onnx"], card["int8"]
    (tmp_path / "card.json").write_text(json.dumps(card))
    (tmp_path / "model.onnx").symlink_to(released / "model.onnx")
    assert load_classifier(tmp_path, "onnx").model.sha256 == card["files"]["model.onnx"]
    with pytest.raises(ModelInvalid, match=r"model\.int8\.onnx"):
        load_classifier(tmp_path, "onnx", Precision.INT8)


def test_int8_by_torch_is_refused(released: Path) -> None:
    with pytest.raises(ConfigurationError, match="ECG_PRECISION"):
        load_classifier(released, "torch", Precision.INT8)


@pytest.mark.parametrize("precision", Precision)
def test_one_thread_for_a_run_changes_no_prediction(
    precision: Precision, classifier: Classifier, int8: Classifier, released: Path, examples: Path
) -> None:
    alone = load_classifier(released, "onnx", precision, threads=1)
    expected = classifier if alone.model == classifier.model else int8
    assert alone.model == expected.model
    windows = _windows(examples / "00184_hr")
    found, wanted = alone(windows).probabilities, expected(windows).probabilities
    assert list(found.values()) == pytest.approx(list(wanted.values()), abs=1e-5)


def test_windows_of_a_recording_are_averaged_and_kept_apart_from_the_next() -> None:
    fake = Classifier(_first_sample, INFO, THRESHOLDS)
    first, second = fake.batch([[_window(0.25), _window(0.75)], [_window(0.125)]])
    assert set(first.probabilities.values()) == {0.5}
    assert set(second.probabilities.values()) == {0.125}


def test_the_thresholds_decide() -> None:
    thresholds = {**THRESHOLDS, Superclass.MI: 0.6, Superclass.CD: 0.5}
    decided = Classifier(_first_sample, INFO, thresholds)([_window(0.5)]).decided
    assert set(decided) == set(Superclass) - {Superclass.MI}


def test_all_windows_go_through_the_model_in_one_run() -> None:
    batches: list[int] = []

    def run(signal: Array, features: Array) -> Array:
        batches.append(len(signal))
        return np.zeros((len(signal), 5), np.float32)

    Classifier(run, INFO, THRESHOLDS).batch([[_window(0)] * 2, [_window(0)] * 3])
    assert batches == [5]


@pytest.mark.parametrize("answer", [np.full((1, 5), np.nan, np.float32), np.zeros((1, 4), np.float32)])
def test_an_answer_that_is_no_probabilities_is_a_failure_and_no_result(answer: Array) -> None:
    with pytest.raises(ModelUnavailable, match="no usable"):
        Classifier(lambda signal, features: answer, INFO, THRESHOLDS)([_window(0)])


def test_a_model_that_fails_is_unavailable(classifier: Classifier) -> None:
    wrong = ModelInput(np.zeros((11, 5000), np.float32), np.zeros(len(FEATURE_NAMES), np.float32))
    with pytest.raises(ModelUnavailable, match="inference failed"):
        classifier([wrong])


def test_nothing_to_classify_is_told_from_a_recording_without_windows(classifier: Classifier) -> None:
    assert classifier.batch([]) == ()
    with pytest.raises(ValueError, match="without windows"):
        classifier([])


@pytest.mark.parametrize("changed", ["model.onnx", "model.int8.onnx"])
def test_changed_weights_are_not_loaded(released: Path, tmp_path: Path, changed: str) -> None:
    for name in ("card.json", "model.onnx", "model.int8.onnx"):
        shutil.copy(released / name, tmp_path)
    content = bytearray((tmp_path / changed).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / changed).write_bytes(content)
    with pytest.raises(ModelInvalid, match=rf"{changed}: SHA-256"):
        load_classifier(tmp_path)

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

from inference.artifact import load_artifact, read_card
from inference.errors import ModelInvalid
from inference.features import FEATURES_VERSION
from inference.labels import Superclass
from inference.prediction import ModelInfo, ModelStatus
from tests.training.monitoring import seen
from tests.training.monitoring.ecgs import MODEL, detail_of, ecgs
from training.datasets.catalog import open_dataset
from training.datasets.entry import Entry, Split
from training.export import Exported
from training.monitoring.columns import COLUMNS
from training.reference import (
    REFERENCE_FILE,
    Reference,
    of_traffic,
    read_reference,
    reference_of,
    release_reference,
    released_reference,
    served_reference,
    write_reference,
)

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
SERVED = ModelInfo(name=MODEL[0], version=MODEL[1], sha256="a" * 64, status=ModelStatus.CHAMPION)


@pytest.fixture(scope="module")
def entries(small_ptbxl: Path) -> tuple[Sequence[Entry], Sequence[Entry]]:
    data = open_dataset("ptbxl", small_ptbxl)
    return data.entries(Split.TRAIN), data.entries(Split.VAL)


@pytest.fixture(scope="module")
def folder(exported: Exported, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of its own."""
    return Path(copytree(exported.folder, tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture(scope="module")
def reference(folder: Path, entries: tuple[Sequence[Entry], Sequence[Entry]]) -> Reference:
    return reference_of(folder, *entries, now=NOW)


def same(a: Reference, b: Reference) -> bool:
    """Numbers are stored as float32, which features are."""
    for one, other in ((a.inputs, b.inputs), (a.outputs, b.outputs)):
        for column in COLUMNS:
            left, right = one.columns[column.name], other.columns[column.name]
            if column.numeric and not np.allclose(left, right, rtol=1e-6, equal_nan=True):
                return False
            if not column.numeric and left.tolist() != right.tolist():
                return False
    return replace(a, inputs=b.inputs, outputs=b.outputs) == b


def test_inputs_are_of_the_training_fold_and_outputs_of_the_validation_fold(
    reference: Reference, entries: tuple[Sequence[Entry], Sequence[Entry]]
) -> None:
    training, validation = entries
    assert (len(reference.inputs), len(reference.outputs)) == (len(training), len(validation))
    assert reference.features_version == FEATURES_VERSION
    for superclass in Superclass:
        right, of = reference.agreement[superclass.value]
        decided = reference.outputs.columns[f"decided {superclass.value}"]
        labels = [entry.labels[superclass] for entry in validation]
        assert (right, of) == (sum((word == "yes") == label for word, label in zip(decided, labels, strict=True)), 8)


def test_it_is_read_as_it_was_written(reference: Reference, tmp_path: Path) -> None:
    assert same(read_reference(write_reference(reference, tmp_path / "new" / "reference.parquet")), reference)


def test_a_released_one_is_verified_by_the_card(reference: Reference, folder: Path) -> None:
    with pytest.raises(ModelInvalid, match="was released without"):
        released_reference(folder)
    file = release_reference(reference, folder)
    load_artifact(folder)
    assert REFERENCE_FILE in read_card(folder)["files"]
    assert same(served_reference(None, folder), reference)
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(ModelInvalid, match=REFERENCE_FILE):
        released_reference(folder)


def test_one_of_another_model_is_not_released(reference: Reference, folder: Path) -> None:
    with pytest.raises(ModelInvalid, match=r"of other 0\.1\.0 is none of"):
        release_reference(replace(reference, name="other"), folder)


def test_a_file_that_is_none_says_so(tmp_path: Path) -> None:
    file = tmp_path / "x.parquet"
    with pytest.raises(ModelInvalid, match="is not there"):
        read_reference(file)
    file.write_bytes(b"PAR1 no PAR1")
    with pytest.raises(ModelInvalid, match="is no reference"):
        read_reference(file)


def test_live_traffic_makes_one_of_the_model_that_serves() -> None:
    rows = [
        *ecgs(300, seed=1),
        *ecgs(3, seed=2, mode="silent"),
        *ecgs(3, seed=3, detail=detail_of(archived=True)),
        *ecgs(3, seed=4, model_version="9.0.0"),
    ]
    found = of_traffic(rows, SERVED, least=300, now=NOW)
    assert (len(found.inputs), found.inputs, found.agreement) == (300, found.outputs, {})
    assert (found.name, found.version, found.sha256) == (*MODEL, "a" * 64)
    assert found.source == f"live traffic of {seen.NOW:%Y-%m-%d} to {seen.NOW:%Y-%m-%d}"


def test_little_traffic_makes_none() -> None:
    with pytest.raises(ValueError, match=r"only 299 live ECGs of ecg-resnet 1\.0\.0 are there, 300 are needed"):
        of_traffic(ecgs(299, seed=1), SERVED, least=300, now=NOW)


def test_without_recordings_there_is_none(folder: Path) -> None:
    with pytest.raises(ValueError, match="no recordings"):
        reference_of(folder, [], [], now=NOW)

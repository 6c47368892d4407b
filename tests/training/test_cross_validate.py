import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training.conftest import TINY
from training.cross_validate import cross_validate
from training.folds import patient_folds
from training.out_of_fold import OUT_OF_FOLD_FILE, OutOfFold
from training.signal_branch import Watch
from training.train import training_entries


@pytest.fixture(scope="module")
def found(finished_run: Path) -> OutOfFold:
    """What the finished run's cross-validation gave."""
    return OutOfFold.load(finished_run / OUT_OF_FOLD_FILE)


def _refuse(epoch: object) -> None:
    raise AssertionError("trained again")


def test_every_recording_is_predicted_once_and_no_fold_shares_a_patient(found: OutOfFold, small_ptbxl: Path) -> None:
    entries = training_entries(small_ptbxl)
    assert found.recording_ids.tolist() == [e.recording_id for e in entries]
    assert (found.folds == patient_folds([e.patient_id for e in entries], TINY.folds)).all()
    assert found.branches.shape == (len(entries), 3, 5)
    assert ((found.probabilities > 0) & (found.probabilities < 1)).all()


def test_a_prediction_does_not_know_the_labels_of_its_fold(
    found: OutOfFold, small_ptbxl: Path, cache: Path, tmp_path: Path
) -> None:
    entries = training_entries(small_ptbxl)
    folds = patient_folds([e.patient_id for e in entries], TINY.folds)
    flipped = [
        replace(e, labels={c: not there for c, there in e.labels.items()}) if fold == 0 else e
        for e, fold in zip(entries, folds, strict=True)
    ]
    other = cross_validate(TINY, flipped, tmp_path, cache=cache)
    held = folds == 0
    np.testing.assert_array_equal(other.branches[held], found.branches[held])
    assert not np.array_equal(other.branches[~held], found.branches[~held])


def test_folds_that_are_done_are_not_trained_again(
    found: OutOfFold, finished_run: Path, small_ptbxl: Path, cache: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(finished_run, tmp_path / "run")
    begun: list[int] = []
    again = cross_validate(
        TINY, training_entries(small_ptbxl), run, cache=cache, on_fold=begun.append, watch=Watch(on_epoch=_refuse)
    )
    assert begun == [0, 1]
    np.testing.assert_array_equal(again.probabilities, found.probabilities)


def test_other_recordings_are_refused_in_the_same_folder(finished_run: Path, small_ptbxl: Path, cache: Path) -> None:
    with pytest.raises(ValueError, match="other recordings"):
        cross_validate(TINY, training_entries(small_ptbxl)[:-1], finished_run, cache=cache)


def test_what_was_found_comes_back_from_its_file(found: OutOfFold, tmp_path: Path) -> None:
    found.save(tmp_path / OUT_OF_FOLD_FILE)
    again = OutOfFold.load(tmp_path / OUT_OF_FOLD_FILE)
    assert again.patient_ids == found.patient_ids
    assert again.recording_ids.tolist() == found.recording_ids.tolist()
    np.testing.assert_array_equal(again.labels, found.labels)

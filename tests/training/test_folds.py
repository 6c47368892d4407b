import numpy as np
import pytest

from training.folds import patient_folds, patient_subset

PATIENTS = [f"patient {number // 2}" for number in range(60)]  # two recordings each


def test_all_recordings_of_a_patient_are_in_one_fold() -> None:
    folds = patient_folds(PATIENTS, 5)
    assert (folds[::2] == folds[1::2]).all()


def test_folds_are_of_one_size_and_always_the_same() -> None:
    folds = patient_folds(PATIENTS, 5)
    assert np.bincount(folds).tolist() == [12] * 5
    assert (patient_folds(PATIENTS, 5) == folds).all()


def test_folds_depend_on_the_patients_and_not_on_the_order_of_their_recordings() -> None:
    folds = patient_folds(PATIENTS, 5)
    assert (patient_folds(PATIENTS[::-1], 5)[::-1] == folds).all()


@pytest.mark.parametrize("folds", [0, 1, 31])
def test_a_number_of_folds_that_is_impossible_is_refused(folds: int) -> None:
    with pytest.raises(ValueError, match="folds of 30 patients"):
        patient_folds(PATIENTS, folds)


def test_a_larger_share_of_the_patients_contains_a_smaller_one() -> None:
    tenth, half = patient_subset(PATIENTS, 0.1), patient_subset(PATIENTS, 0.5)
    assert (len(tenth), len(half)) == (6, 30)
    assert set(tenth) < set(half)
    assert (patient_subset(PATIENTS, 1.0) == np.arange(60)).all()


def test_a_share_keeps_the_recordings_of_a_patient_together() -> None:
    chosen = {PATIENTS[row] for row in patient_subset(PATIENTS, 0.3)}
    assert [PATIENTS[row] for row in patient_subset(PATIENTS, 0.3)] == [p for p in PATIENTS if p in chosen]


@pytest.mark.parametrize("share", [0, -0.1, 1.1])
def test_an_impossible_share_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="a share of"):
        patient_subset(PATIENTS, share)

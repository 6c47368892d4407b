"""Cross-validation folds that split no patient."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ORDER_SEED = 0


def patient_folds(patient_ids: Sequence[str], folds: int) -> NDArray[np.intp]:
    """The fold, 0 to folds - 1, of each recording; always the same for the same patients.

    Raises ValueError for fewer than two folds, or more folds than patients.
    """
    patients = sorted(set(patient_ids))
    if not 2 <= folds <= len(patients):
        raise ValueError(f"{folds} folds of {len(patients)} patients")
    order = np.random.default_rng(ORDER_SEED).permutation(len(patients))
    fold_of = {patients[patient]: place % folds for place, patient in enumerate(order)}
    return np.array([fold_of[patient] for patient in patient_ids], np.intp)


def patient_subset(patient_ids: Sequence[str], share: float) -> NDArray[np.intp]:
    """Rows of about this share of the patients, each with all of its recordings; a larger share contains a smaller one.

    Raises ValueError when share is not in (0, 1].
    """
    if not 0 < share <= 1:
        raise ValueError(f"a share of {share} of the patients")
    patients = sorted(set(patient_ids))
    order = np.random.default_rng(ORDER_SEED).permutation(len(patients))
    chosen = {patients[patient] for patient in order[: max(1, round(share * len(patients)))]}
    return np.array([row for row, patient in enumerate(patient_ids) if patient in chosen], np.intp)

"""What cross-validation gives, in memory and on disk."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

OUT_OF_FOLD_FILE = "out_of_fold.npz"

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class OutOfFold:
    """Predictions for the training recordings, each once, by networks that saw none of the patient's.

    probabilities: (n, 5); their blend is fitted to the other folds. branches: logits (n, 3, 5), in the order of
    `inference.network.BRANCHES`. labels: (n, 5), NaN for unknown. folds: (n,), from 0.
    """

    probabilities: Array
    branches: Array
    labels: Array
    recording_ids: NDArray[np.str_]
    patient_ids: tuple[str, ...]
    folds: NDArray[np.intp]

    def save(self, path: Path) -> None:
        """Write all of it to one file; an interrupted write leaves the previous one."""
        partial = path.with_name("partial.npz")
        np.savez(
            partial,
            probabilities=self.probabilities,
            branches=self.branches,
            labels=self.labels,
            recording_ids=self.recording_ids,
            patient_ids=np.array(self.patient_ids),
            folds=self.folds,
        )
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """What `save` wrote."""
        with np.load(path) as stored:
            arrays = {name: stored[name] for name in stored.files}
        return cls(**{**arrays, "patient_ids": tuple(arrays["patient_ids"].tolist())})

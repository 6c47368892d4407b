"""What is calculated of a recording before the rules see it: the part of an Analysis that the same recording shares.

It depends on the samples, the sampling rate, age and sex, and on the engine; on nothing else of the item that brought
them. So it may be kept under a digest of just these and used again. All that depends on more (when it was recorded, by
which door it came, the rules, the mode) is made anew for every item.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.measurements import Measurements
from inference.prediction import Prediction


@dataclass(frozen=True, slots=True, eq=False)
class Computed:
    """digest: `inference.digest.signal_digest`. key: `inference.fingerprint.computation_key`. features: float32, NaN
    for unknown. is_new: it was calculated now, and the store has yet to learn it."""

    digest: str
    key: bytes
    features: NDArray[np.float32]
    measurements: Measurements
    prediction: Prediction
    is_new: bool = True

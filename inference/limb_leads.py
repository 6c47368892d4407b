"""The eight leads that carry the whole ECG, and the four limb leads that follow from two of them.

III = II - I, aVR = -(I + II) / 2, aVL = I - II / 2, aVF = II - I / 2 (Einthoven, Goldberger). Where a recording obeys
this, the four need no work of their own.
"""

import numpy as np
from numpy.typing import NDArray

from inference.recording import INDEPENDENT_LEADS, LEADS

Signal = NDArray[np.float32]

DERIVED_LEADS = ("III", "aVR", "aVL", "aVF")
# Rows of a recording, the independent leads first.
INDEPENDENT_ROWS = np.array([LEADS.index(lead) for lead in INDEPENDENT_LEADS])
_ALL_ROWS = np.array([LEADS.index(lead) for lead in (*INDEPENDENT_LEADS, *DERIVED_LEADS)])
_PLACES = np.argsort(_ALL_ROWS)

# Mean distance (mV) up to which a lead counts as derived: rounding leaves 0.001 to 0.005, another electrode or a lead
# filtered on its own more.
_MAX_DISTANCE = 0.01
# Samples that are compared.
_COMPARED = 500


def needed_rows(signal: Signal) -> Signal:
    """Of a recording (12, n) the eight independent leads if the others follow from them, else all twelve, these eight
    first: (8, n) or (12, n)."""
    compared = signal[:6, :: max(1, signal.shape[1] // _COMPARED)]
    rows: Signal = signal[INDEPENDENT_ROWS if _follow(compared) else _ALL_ROWS]
    return rows


def completed(rows: Signal) -> Signal:
    """(12, n) in the order of `LEADS` of what `needed_rows` gave or a linear map of it."""
    if len(rows) == len(LEADS):
        return rows[_PLACES]
    whole = np.empty((len(LEADS), rows.shape[1]), np.float32)
    whole[:2], whole[6:] = rows[:2], rows[2:]
    derive(rows[0], rows[1], whole[2:6])
    return whole


def derive(one: Signal, two: Signal, out: Signal) -> None:
    """III, aVR, aVL and aVF into `out` (4, n)."""
    half_one, half_two = one * np.float32(0.5), two * np.float32(0.5)
    np.subtract(two, one, out=out[0])
    np.add(half_one, half_two, out=out[1])
    np.negative(out[1], out=out[1])
    np.subtract(one, half_two, out=out[2])
    np.subtract(two, half_one, out=out[3])


def _follow(limb: Signal) -> bool:
    """Whether III to aVF of (6, n) follow from I and II; an invalid sample says no."""
    derived = np.empty((len(DERIVED_LEADS), limb.shape[1]), np.float32)
    derive(limb[0], limb[1], derived)
    distance = np.abs(limb[2:] - derived).sum(axis=1)
    return bool((distance <= _MAX_DISTANCE * limb.shape[1]).all())

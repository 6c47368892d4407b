"""Whether the six limb leads agree: III, aVR, aVL and aVF follow from I and II (Einthoven, Goldberger)."""

import numpy as np
from numpy.typing import NDArray

# Slope of what is left over, against that of the steepest limb lead. Real recordings leave a few hundredths (rounding);
# a lead under a wrong name or with its sign turned leaves more than half.
MAX_REMAINDER = 0.25

# Rows: what must be zero, in terms of I, II, III, aVR, aVL, aVF.
_DERIVED = ("III", "aVR", "aVL", "aVF")
_RELATIONS = np.array(
    [
        [1, -1, 1, 0, 0, 0],
        [0.5, 0.5, 0, 1, 0, 0],
        [-1, 0.5, 0, 0, 1, 0],
        [0.5, -1, 0, 0, 0, 1],
    ],
    np.float32,
)


def disagreeing_leads(steps: NDArray[np.float32], lost: NDArray[np.bool_]) -> tuple[str, ...]:
    """The derived limb leads that do not follow from I and II.

    steps: (12, n), differences between neighbouring samples (free of offset and slow drift, which devices remove lead
    by lead). lost: (12,), leads without signal: relations with one of them are not judged.
    """
    limb = steps[:6]
    remainder = np.einsum("ri,ij->rj", _RELATIONS, limb)
    size = np.sqrt(np.einsum("ij,ij->i", remainder, remainder))
    scale = np.sqrt(np.einsum("ij,ij->i", limb, limb).max())
    judged = [not lost[:6][relation != 0].any() for relation in _RELATIONS]
    broken = (size > MAX_REMAINDER * scale) & np.array(judged)
    return tuple(lead for lead, is_broken in zip(_DERIVED, broken, strict=True) if is_broken)

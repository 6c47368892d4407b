"""Whether the six limb leads agree: III, aVR, aVL and aVF follow from I and II (Einthoven, Goldberger)."""

import numpy as np
from numpy.typing import NDArray

from inference.limb_leads import DERIVED_LEADS, derive

# Slope of what is left over, against that of the steepest limb lead. Real recordings leave a few hundredths (rounding);
# a lead under a wrong name or with its sign turned leaves more than half.
MAX_REMAINDER = 0.25


# Rows: what must be zero, in terms of I, II, III, aVR, aVL, aVF.
def disagreeing_leads(steps: NDArray[np.float32], lost: NDArray[np.bool_]) -> tuple[str, ...]:
    """The derived limb leads that do not follow from I and II.

    steps: (12, n), differences between neighbouring samples (free of offset and slow drift, which devices remove lead
    by lead). lost: (12,), leads without signal: relations with one of them are not judged.
    """
    limb = steps[:6]
    remainder = np.empty((len(DERIVED_LEADS), limb.shape[1]), np.float32)
    derive(limb[0], limb[1], remainder)
    np.subtract(limb[2:], remainder, out=remainder)
    size = np.sqrt(np.einsum("ij,ij->i", remainder, remainder))
    scale = np.sqrt(np.einsum("ij,ij->i", limb, limb).max())
    broken = (size > MAX_REMAINDER * scale) & ~(lost[2:6] | lost[:2].any())
    return tuple(lead for lead, is_broken in zip(DERIVED_LEADS, broken, strict=True) if is_broken)

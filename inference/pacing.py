"""Pacemaker spikes: deflections of a few milliseconds with nothing steep before them.

A QRS complex begins gently; a spike stands on a quiet baseline. So the sharpest bend of each second is compared with
the 24 ms that end 16 ms before it. On the 454 PTB-XL recordings at 500 Hz the median ratio is 25 to 38 in the four
that are annotated as paced, and at most 8.2 in the 450 others. Devices that filter spikes away (100 Hz files have none)
show nothing: absence of this finding does not mean absence of a pacemaker.
"""

import numpy as np
from numpy.typing import NDArray

from inference.median import middle
from inference.recording import LEADS

MIN_RATE = 400.0  # Hz; below it a spike is one sample or none
MIN_RATIO = 14.0  # half way, as a factor, between the highest of the unpaced and the lowest of the paced
MIN_BEND = 0.3  # mV over the watched leads; smaller ones are noise on a flat line

# Spikes show in nearly every lead; these look from every side, and five cost less than twelve.
_WATCHED = [LEADS.index(lead) for lead in ("I", "II", "V1", "V3", "V5")]
_REACH = 0.006  # s to either side; a spike is over by then
_QUIET = (0.040, 0.016)  # s before the bend, from and to
_FLOOR = 0.02  # mV; keeps a perfectly flat baseline from making everything a spike
_BLOCK = 1.0  # s; paced hearts beat at 50 a minute or faster


def paced(signal: NDArray[np.float32], sampling_rate: float) -> bool:
    """Whether spikes of a pacemaker stand in most seconds. signal: (12, n) in mV at its own rate."""
    if sampling_rate < MIN_RATE:
        return False
    bend = _bend(signal[_WATCHED], round(_REACH * sampling_rate))
    block, start, end = (round(seconds * sampling_rate) for seconds in (_BLOCK, *_QUIET))
    count = bend.size // block
    sharpest = bend[: count * block].reshape(count, block).argmax(axis=1) + np.arange(count) * block
    sharpest = sharpest[sharpest >= start]
    if len(sharpest) < 2:
        return False
    quiet = bend[sharpest[:, np.newaxis] + np.arange(-start, -end)].max(axis=1)
    ratio, size = middle(bend[sharpest] / (quiet + np.float32(_FLOOR))), middle(bend[sharpest])
    return bool(ratio >= MIN_RATIO and size >= MIN_BEND)


def _bend(signal: NDArray[np.float32], reach: int) -> NDArray[np.float32]:
    """Distance of each sample from the line between those `reach` before and after, as a length over the leads."""
    bent = signal[:, : -2 * reach] + signal[:, 2 * reach :]
    bent *= np.float32(-0.5)
    bent += signal[:, reach:-reach]
    size: NDArray[np.float32] = np.sqrt(np.einsum("ij,ij->j", bent, bent))
    return size

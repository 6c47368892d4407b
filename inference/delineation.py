"""Where the waves of the median beat begin and end.

All leads decide together: QRS is where the spatial velocity (root of the summed squares of the leads' slopes) stands
out from its resting level; the end of T is where the steepest tangent of its descent meets the baseline (Lepeschkin
and Surawicz, Circulation 6:378, 1952), on the root-mean-square of the leads; P is looked for between the end of the
preceding T and QRS. All of it is done below 40 Hz, the band that a source of 100 Hz carries too, so that one recording
gives the same marks whatever its sampling rate.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.ndimage import uniform_filter1d

from inference.diagnostic import DIAGNOSTIC_RATE, Signal, smoothed
from inference.limb_leads import INDEPENDENT_ROWS, completed

BAND = 40.0
# Hz. Of a signal below 40 Hz 250 samples a second say all, but a mark between two of them would be 2 ms off.
MARK_RATE = 500

# The limb leads that follow from I and II would count the frontal plane three times.
_INDEPENDENT = len(INDEPENDENT_ROWS)


def _ms(milliseconds: float) -> int:
    return round(milliseconds * MARK_RATE / 1000)


_ONSET_REACH = _ms(160)
_OFFSET_REACH = _ms(200)
_QUIET = _ms(16)
_QRS_SHARE = 0.04
_T_GAP = _ms(60)
_P_GAP = _ms(16)
_P_REACH = _ms(300)
_P_MIN_WINDOW = _ms(80)


@dataclass(frozen=True, slots=True, eq=False)
class Waves:
    """Marks in samples of the median beat at `fs` Hz.

    beat: float32 (12, m), mV, below 40 Hz, zero at the PR segment. qrs_on, qrs_off always stand. t_peak, t_end, p_on,
    p_peak, p_off are -1 where the wave does not stand out. t_limit: where the search for T ended, p_start: where that
    for P began. p_ratio, t_ratio: height of the wave over the unrest around it.
    """

    beat: Signal
    r: int
    qrs_on: int
    qrs_off: int
    t_peak: int
    t_end: int
    t_limit: int
    t_ratio: float
    p_on: int
    p_peak: int
    p_off: int
    p_start: int
    p_ratio: float
    fs: int = MARK_RATE


def delineate(median: Signal, r: int, rr: float) -> Waves:
    """Marks of a median beat at DIAGNOSTIC_RATE, its rows as from `needed_rows`, with R at index `r`.

    rr: median RR interval in s, NaN when unknown.
    """
    rows = smoothed(median, BAND, MARK_RATE)
    r = r * MARK_RATE // DIAGNOSTIC_RATE
    on, off = _qrs(rows[:_INDEPENDENT], r)
    start = max(0, on - _ms(12))
    rows -= np.add.reduce(rows[:, start : on + 1], axis=1, keepdims=True) / np.float32(on + 1 - start)
    interval = rr * MARK_RATE if rr == rr else float(MARK_RATE)
    last = rows.shape[1] - 1
    limit = max(int(min(last, r + interval - _ms(120), r + 0.25 * interval + _ms(320))), min(last, off + _ms(160)))
    t_peak, t_end, t_ratio = _t_wave(rows[:_INDEPENDENT], off, limit)
    start = int(max(0, on - _P_REACH, r - interval + _ms(330)))
    p_on, p_peak, p_off, p_ratio = _p_wave(rows[:_INDEPENDENT], start, on)
    return Waves(completed(rows), r, on, off, t_peak, t_end, limit, t_ratio, p_on, p_peak, p_off, start, p_ratio)


def _size(leads: Signal) -> Signal:
    """Root of the mean square over leads, (m,)."""
    size: Signal = np.sqrt(np.einsum("lm,lm->m", leads, leads) / np.float32(len(leads)))
    return size


def _qrs(leads: Signal, r: int) -> tuple[int, int]:
    """Onset and end of QRS: the first places on either side of R from where on the spatial velocity stays low."""
    first, stop = max(1, r - _ONSET_REACH), min(r + _OFFSET_REACH, leads.shape[1] - 1)
    velocity = _size(leads[:, first + 1 : stop + 1] - leads[:, first - 1 : stop - 1])
    before, after = velocity[r - first :: -1], velocity[r - first :]
    top = float(max(before[: _ms(80)].max(), after[: _ms(80)].max()))
    return r - _quiet_from(before, top), r + _quiet_from(after, top)


def _quiet_from(velocity: Signal, top: float) -> int:
    """Index from which on the velocity stays below the threshold for _QUIET samples."""
    rest = _quantile(velocity, 0.2)
    end = -1  # of the last loud stretch
    for loud in (velocity > rest + _QRS_SHARE * (top - rest)).nonzero()[0].tolist():
        if end >= 0 and loud - end > _QUIET:
            return end + 1
        end = loud
    return end + 1 if len(velocity) - end > _QUIET else len(velocity) - 1


def _t_wave(leads: Signal, off: int, limit: int) -> tuple[int, int, float]:
    """Peak and end of T and its height over the level after it."""
    start = off + _T_GAP
    if limit - start < _ms(80):
        return -1, -1, 0.0
    # From QRS on, so that what the filter does to the first samples lies before the search.
    smooth = uniform_filter1d(_size(leads[:, off:]), _ms(20))[: limit + 1 - off]
    peak = _T_GAP + int(smooth[_T_GAP:-1].argmax())
    tail = smooth[peak:]
    if peak <= _T_GAP or len(tail) < _ms(40):
        return -1, -1, 0.0
    floor = float(tail.min())
    slope = (tail[2:] - tail[:-2]) * np.float32(0.5)
    steepest = int(slope.argmin())
    ratio = (float(smooth[peak]) - floor) / max(floor, 1e-3)
    if slope[steepest] >= 0:
        return -1, -1, 0.0
    peak += off
    end = peak + round(steepest + 1 + (float(tail[steepest + 1]) - floor) / -float(slope[steepest]))
    return (peak, end, ratio) if end <= limit else (peak, -1, ratio)


def _p_wave(leads: Signal, start: int, on: int) -> tuple[int, int, int, float]:
    """Onset, peak and end of P and its height over the rest of the window."""
    stop = on - _P_GAP
    if stop - start < _P_MIN_WINDOW:
        return -1, -1, -1, 0.0
    size = _hump(leads[:, start:stop])
    peak = int(size.argmax())
    height = float(size[peak])
    rest = _quantile(size, 0.25)
    low = rest + 0.15 * (height - rest)
    left, right = (size[:peak] < low).nonzero()[0], (size[peak:] < low).nonzero()[0]
    p_on = start + int(left[-1]) if len(left) else -1
    p_off = start + peak + int(right[0]) if len(right) else -1
    return p_on, start + peak, p_off, height / max(rest, 2e-3)


def _hump(window: Signal) -> Signal:
    """Size over leads of what stands above the straight line between both ends of the window (leads, n)."""
    edge = _ms(10)
    first = np.add.reduce(window[:, :edge], axis=1, keepdims=True) / np.float32(edge)
    last = np.add.reduce(window[:, -edge:], axis=1, keepdims=True) / np.float32(edge)
    line = np.asarray(first + (last - first) * ramp(window.shape[1]), np.float32)
    return uniform_filter1d(_size(window - line), _ms(16))


@lru_cache(maxsize=MARK_RATE)  # lengths of a part of a beat
def ramp(samples: int) -> Signal:
    """From 0 to 1."""
    line = np.linspace(0, 1, samples, dtype=np.float32)
    line.setflags(write=False)
    return line


def _quantile(values: Signal, share: float) -> float:
    """Quantile with linear interpolation; np.quantile takes ten times as long on so few values."""
    ranked = np.sort(values)
    place = share * (len(ranked) - 1)
    below = int(place)
    above = min(below + 1, len(ranked) - 1)
    return float(ranked[below] + (ranked[above] - ranked[below]) * (place - below))

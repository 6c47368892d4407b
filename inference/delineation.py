"""Where the waves of the median beat begin and end.

All leads decide together: QRS is where the spatial velocity (root of the summed squares of the leads' slopes) stands
out from its resting level; the end of T is where the steepest tangent of its descent meets the baseline (Lepeschkin
and Surawicz, Circulation 6:378, 1952), on the root-mean-square of the leads; P is looked for between the end of the
preceding T and QRS. All of it is done below 40 Hz, the band that a source of 100 Hz carries too, so that one recording
gives the same marks whatever its sampling rate.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d

from inference.diagnostic import DIAGNOSTIC_RATE, Signal, smoothed

BAND = 40.0

# I, II, V1 to V6: the limb leads that follow from I and II would count the frontal plane three times.
_INDEPENDENT = np.array([0, 1, 6, 7, 8, 9, 10, 11])


def _ms(milliseconds: float) -> int:
    return round(milliseconds * DIAGNOSTIC_RATE / 1000)


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
    """Marks in samples of the median beat at 500 Hz.

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


def delineate(median: Signal, r: int, rr: float) -> Waves:
    """Marks of a median beat (12, m) with R at index `r`; rr: median RR interval in s, NaN when unknown."""
    beat = smoothed(median, BAND)
    velocity = _spatial_velocity(beat)
    on, off = _qrs(velocity, r)
    beat -= beat[:, max(0, on - _ms(12)) : on + 1].mean(axis=1, keepdims=True)
    interval = rr * DIAGNOSTIC_RATE if rr == rr else float(DIAGNOSTIC_RATE)
    size = np.sqrt((beat[_INDEPENDENT] ** 2).mean(axis=0))
    limit = int(min(beat.shape[1] - 1, r + interval - _ms(120), r + 0.25 * interval + _ms(320)))
    limit = max(limit, min(beat.shape[1] - 1, off + _ms(160)))
    t_peak, t_end, t_ratio = _t_wave(size, off, limit)
    start = int(max(0, on - _P_REACH, r - interval + _ms(330)))
    p_on, p_peak, p_off, p_ratio = _p_wave(beat, start, on)
    return Waves(beat, r, on, off, t_peak, t_end, limit, t_ratio, p_on, p_peak, p_off, start, p_ratio)


def _spatial_velocity(beat: Signal) -> Signal:
    """Root of the summed squares of the slopes of the independent leads, (m,), mV per sample."""
    slope = np.gradient(beat[_INDEPENDENT], axis=1)
    return np.asarray(np.sqrt((slope**2).sum(axis=0)), np.float32)


def _qrs(velocity: Signal, r: int) -> tuple[int, int]:
    """Onset and end of QRS: the first places on either side of R from where on the velocity stays low."""
    before = velocity[max(0, r - _ONSET_REACH) : r + 1][::-1]
    after = velocity[r : r + _OFFSET_REACH]
    top = float(max(before[: _ms(80)].max(), after[: _ms(80)].max()))
    return r - _quiet_from(before, top), r + _quiet_from(after, top)


def _quiet_from(velocity: Signal, top: float) -> int:
    """Index from which on the velocity stays below the threshold for _QUIET samples."""
    rest = _quantile(velocity, 0.2)
    threshold = rest + _QRS_SHARE * (top - rest)
    loud = np.append(np.flatnonzero(velocity > threshold), len(velocity))
    gaps = np.flatnonzero(np.diff(loud) > _QUIET)
    return int(loud[gaps[0]] + 1) if len(gaps) else len(velocity) - 1


def _t_wave(size: Signal, off: int, limit: int) -> tuple[int, int, float]:
    """Peak and end of T and its height over the level after it."""
    start = off + _T_GAP
    if limit - start < _ms(80):
        return -1, -1, 0.0
    smooth = uniform_filter1d(size, _ms(20))
    peak = start + int(np.argmax(smooth[start:limit]))
    tail = smooth[peak : limit + 1]
    if peak <= start or len(tail) < _ms(40):
        return -1, -1, 0.0
    floor = float(tail.min())
    slope = np.gradient(tail)
    steepest = int(np.argmin(slope))
    ratio = (float(smooth[peak]) - floor) / max(floor, 1e-3)
    if slope[steepest] >= 0:
        return -1, -1, 0.0
    end = peak + round(steepest + (float(tail[steepest]) - floor) / -float(slope[steepest]))
    return (peak, end, ratio) if end <= limit else (peak, -1, ratio)


def _p_wave(beat: Signal, start: int, on: int) -> tuple[int, int, int, float]:
    """Onset, peak and end of P and its height over the rest of the window."""
    stop = on - _P_GAP
    if stop - start < _P_MIN_WINDOW:
        return -1, -1, -1, 0.0
    size = _hump(beat[_INDEPENDENT, start:stop])
    peak = int(np.argmax(size))
    height = float(size[peak])
    rest = _quantile(size, 0.25)
    low = rest + 0.15 * (height - rest)
    left, right = np.flatnonzero(size[:peak] < low), np.flatnonzero(size[peak:] < low)
    p_on = start + int(left[-1]) if len(left) else -1
    p_off = start + peak + int(right[0]) if len(right) else -1
    return p_on, start + peak, p_off, height / max(rest, 2e-3)


def _hump(window: Signal) -> Signal:
    """Size over leads of what stands above the straight line between both ends of the window (leads, n)."""
    edge = _ms(10)
    first = window[:, :edge].mean(axis=1, keepdims=True)
    last = window[:, -edge:].mean(axis=1, keepdims=True)
    line = first + (last - first) * np.linspace(0, 1, window.shape[1], dtype=np.float32)
    return uniform_filter1d(np.sqrt(((window - line) ** 2).mean(axis=0)), _ms(16))


def _quantile(values: Signal, share: float) -> float:
    """Quantile with linear interpolation; np.quantile takes ten times as long on so few values."""
    ranked = np.sort(values)
    place = share * (len(ranked) - 1)
    below = int(place)
    above = min(below + 1, len(ranked) - 1)
    return float(ranked[below] + (ranked[above] - ranked[below]) * (place - below))

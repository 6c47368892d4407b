"""Beats: where they are, how regular, and the median beat of each lead.

QRS complexes are found in the mean envelope of the independent leads in the QRS band, each lead scaled to its own steep
parts, so that neither a large lead nor a noisy one decides alone. Beats are aligned by cross-correlation with their
template instead of each beat's own maximum, which would jump between R and S (`inference.alignment`). The median beat
is taken over the largest family of beats that look alike, so ectopic beats and artefacts do not enter it.

Small arrays throughout: a call of numpy costs more than its work here, above all in a process with other threads.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from inference.alignment import aligned
from inference.delineation import MARK_RATE, Waves, delineate
from inference.diagnostic import DETECTION_RATE, DIAGNOSTIC_RATE, LOW_EDGE, QRS_BAND, Signal, Spectrum, spectrum
from inference.limb_leads import INDEPENDENT_ROWS, completed, needed_rows
from inference.median import median_over_rows, middle
from inference.recording import LEADS, Recording

# The window of a beat around R: P wave with a long PR interval before, end of T with a long QT after.
BEFORE_R = 0.4
AFTER_R = 0.6
R_INDEX = round(BEFORE_R * DIAGNOSTIC_RATE)
BEAT_SAMPLES = round((BEFORE_R + AFTER_R) * DIAGNOSTIC_RATE)

_ENVELOPE = round(0.10 * DETECTION_RATE)
_REFRACTORY = round(0.20 * DETECTION_RATE)
_T_WAVE = round(0.40 * DETECTION_RATE)
_BLOCK = round(2.0 * DETECTION_RATE)
_THRESHOLD = 0.35
_T_WAVE_SHARE = 0.5
# A recording whose QRS envelope does not rise to this multiple of its median level has no beats that one could see.
_MIN_CONTRAST = 2.0
# Below this amplitude (mV, in the QRS band) a lead is flat.
_FLAT = 0.005

_WANDER_POINT = round(0.10 * DIAGNOSTIC_RATE)
_WANDER_WIDTH = 8


@dataclass(frozen=True, slots=True)
class RhythmStatistics:
    """Of the RR intervals, in seconds; NaN where there are too few beats. `median`, `mean`, `sdnn` (standard
    deviation), `rmssd` (root mean square of successive differences), `shortest`, `longest`."""

    median: float = float("nan")
    mean: float = float("nan")
    sdnn: float = float("nan")
    rmssd: float = float("nan")
    shortest: float = float("nan")
    longest: float = float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class Beats:
    """What was found in one recording.

    r_peaks: int (k,), samples at `fs` Hz. rows: float32 (8 or 12, BEAT_SAMPLES), the median beat, mV, 0.05-125 Hz at
    DIAGNOSTIC_RATE, R at index R_INDEX, leads as from `needed_rows`; zeros without beats. typical: bool (k,), which
    beats entered it. similarity: (k,), correlation of each QRS with the template. noise: float32 (8,), of the
    independent leads, mean absolute deviation of the typical beats from their median, mV. waves: marks of the median
    beat, None without beats.
    """

    r_peaks: NDArray[np.intp]
    rows: Signal
    typical: NDArray[np.bool_]
    similarity: Signal
    noise: Signal
    rhythm: RhythmStatistics
    waves: Waves | None
    fs: int = MARK_RATE

    @property
    def r_times(self) -> NDArray[np.float64]:
        """R peaks in seconds from the start."""
        return self.r_peaks / self.fs

    @property
    def median(self) -> Signal:
        """The median beat of all leads, (12, BEAT_SAMPLES)."""
        return completed(self.rows)

    @property
    def count(self) -> int:
        """Number of beats found."""
        return len(self.r_peaks)


def find_beats(recording: Recording) -> Beats:
    """Find the beats of a recording at any accepted sampling rate; never raises, no beats gives zero peaks."""
    bands = spectrum(needed_rows(recording.signal), recording.sampling_rate)
    qrs = _scaled_qrs(bands)
    rough = _qrs_positions(qrs)
    if len(rough) == 0:
        return _without_beats()
    positions, similarity, typical = aligned(qrs, rough)
    diagnostic = bands.band(LOW_EDGE, None, DIAGNOSTIC_RATE)
    rows, noise = _median_beat(diagnostic, _samples(positions, DIAGNOSTIC_RATE, bands.duration), typical)
    r_peaks = _samples(positions, MARK_RATE, bands.duration)
    rhythm = rhythm_statistics(((positions[1:] - positions[:-1]) / DETECTION_RATE).tolist())
    waves = delineate(rows, R_INDEX, rhythm.median)
    return Beats(r_peaks, rows, typical, similarity, noise, rhythm, waves)


def rhythm_statistics(rr: Sequence[float]) -> RhythmStatistics:
    """Statistics of consecutive RR intervals in seconds. Of so few numbers plain Python is faster than numpy."""
    count = len(rr)
    if count == 0:
        return RhythmStatistics()
    ranked, mean = sorted(rr), sum(rr) / count
    steps = [later - earlier for earlier, later in pairwise(rr)]
    return RhythmStatistics(
        median=(ranked[(count - 1) // 2] + ranked[count // 2]) / 2,
        mean=mean,
        sdnn=math.sqrt(sum((one - mean) ** 2 for one in rr) / (count - 1)) if steps else float("nan"),
        rmssd=math.sqrt(sum(step**2 for step in steps) / len(steps)) if steps else float("nan"),
        shortest=ranked[0],
        longest=ranked[-1],
    )


def _samples(positions: NDArray[np.float64], rate: int, duration: float) -> NDArray[np.intp]:
    """Positions at DETECTION_RATE as samples at another rate; sample i stands for the instant (i + 1/2) / rate."""
    nearest = np.rint((positions + 0.5) * (rate / DETECTION_RATE) - 0.5).astype(np.intp)
    return np.minimum(np.maximum(nearest, 0), max(1, round(duration * rate)) - 1)


def _without_beats() -> Beats:
    return Beats(
        r_peaks=np.empty(0, np.intp),
        rows=np.zeros((len(LEADS), BEAT_SAMPLES), np.float32),
        typical=np.empty(0, np.bool_),
        similarity=np.empty(0, np.float32),
        noise=np.zeros(len(INDEPENDENT_ROWS), np.float32),
        rhythm=RhythmStatistics(),
        waves=None,
    )


def _scaled_qrs(bands: Spectrum) -> Signal:
    """The QRS band (8, n) of the independent leads at DETECTION_RATE, each divided by the level of its steep parts."""
    qrs = bands.band(*QRS_BAND, DETECTION_RATE, leads=len(INDEPENDENT_ROWS))
    n = qrs.shape[1]
    top = min(n - 1, int(0.98 * n))
    scale = np.partition(np.abs(qrs), top, axis=1)[:, top : top + 1]
    qrs *= np.where(scale > _FLAT, 1 / np.maximum(scale, np.float32(_FLAT)), np.float32(0))
    return qrs


def _qrs_positions(qrs: Signal) -> NDArray[np.intp]:
    """Positions of QRS complexes in `qrs`, to within some 10 ms."""
    envelope = np.add.reduce(np.minimum(np.abs(qrs), np.float32(1.5)), axis=0)
    envelope = uniform_filter1d(uniform_filter1d(envelope, _ENVELOPE), _ENVELOPE // 2)
    level = _typical_height(envelope)
    if level <= _MIN_CONTRAST * float(middle(envelope)):
        return np.empty(0, np.intp)
    summits = envelope == maximum_filter1d(envelope, 2 * _REFRACTORY + 1)
    candidates = np.flatnonzero(summits & (envelope > np.float32(_THRESHOLD * level)))
    return _without_t_waves(candidates, envelope)


def _typical_height(envelope: Signal) -> float:
    """Median over blocks of two seconds of the highest point: what a QRS reaches here."""
    whole = len(envelope) // _BLOCK * _BLOCK
    if whole == 0:
        return float(envelope.max())
    return float(middle(envelope[:whole].reshape(-1, _BLOCK).max(axis=1)))


def _without_t_waves(candidates: NDArray[np.intp], envelope: Signal) -> NDArray[np.intp]:
    """Drop a candidate that follows a much higher one so closely that it is its T wave."""
    kept: list[int] = []
    for candidate in candidates.tolist():
        close = kept and candidate - kept[-1] < _T_WAVE
        if close and candidate - kept[-1] <= _REFRACTORY:
            continue
        if not (close and envelope[candidate] < _T_WAVE_SHARE * envelope[kept[-1]]):
            kept.append(candidate)
    return np.array(kept, np.intp)


def _median_beat(diagnostic: Signal, r_peaks: NDArray[np.intp], typical: NDArray[np.bool_]) -> tuple[Signal, Signal]:
    """Median (leads, BEAT_SAMPLES) of the typical beats, and the mean absolute deviation from it of the first eight
    leads."""
    starts = r_peaks - R_INDEX
    whole = typical & (starts >= 0) & (starts + BEAT_SAMPLES <= diagnostic.shape[1])
    chosen = np.flatnonzero(whole if whole.any() else typical)
    cut = _windows(diagnostic, starts[chosen], BEAT_SAMPLES)
    _level(cut, *_wander(diagnostic, r_peaks, chosen))
    median = median_over_rows(cut)
    independent = len(INDEPENDENT_ROWS)
    deviation = np.abs(cut[:, :independent] - median[:independent])
    noise: Signal = np.add.reduce(deviation, axis=(0, 2)) / np.float32(len(cut) * BEAT_SAMPLES)
    return median, noise


def _windows(signal: Signal, starts: NDArray[np.intp], width: int) -> Signal:
    """Copies (k, leads, width) of the signal from each start on; beyond its ends the last value is held."""
    lowest, beyond = -int(starts.min()), int(starts.max()) + width - signal.shape[1]
    if lowest > 0 or beyond > 0:
        signal = np.pad(signal, ((0, 0), (max(lowest, 0), max(beyond, 0))), mode="edge")
        starts = starts + max(lowest, 0)
    return np.array([signal[:, start : start + width] for start in starts.tolist()])


def _wander(diagnostic: Signal, r_peaks: NDArray[np.intp], chosen: NDArray[np.intp]) -> tuple[Signal, Signal, Signal]:
    """Baseline of the chosen beats: its level shortly before QRS, and its slope before and after that point, each
    (k, leads, 1), mV and mV per sample.

    A line through the same point of each beat (Meyer and Keiser, Comput Biomed Res 10:459, 1977, with straight lines).
    What differs there from beat to beat is wander, and a high-pass that could remove it would alter ST."""
    points = r_peaks - _WANDER_POINT
    around = _windows(diagnostic, points - _WANDER_WIDTH // 2, _WANDER_WIDTH)
    levels = np.asarray(np.add.reduce(around, axis=2, keepdims=True) / np.float32(_WANDER_WIDTH), np.float32)
    slopes = np.zeros((len(levels) + 1, *levels.shape[1:]), np.float32)
    apart = np.maximum(points[1:] - points[:-1], 1).astype(np.float32)
    slopes[1:-1] = (levels[1:] - levels[:-1]) / apart[:, np.newaxis, np.newaxis]
    return levels[chosen], slopes[chosen], slopes[chosen + 1]


_KNOT = R_INDEX - _WANDER_POINT
_BEFORE_KNOT = np.arange(-_KNOT, 0, dtype=np.float32)
_AFTER_KNOT = np.arange(BEAT_SAMPLES - _KNOT, dtype=np.float32)


def _level(cut: Signal, level: Signal, before: Signal, after: Signal) -> None:
    """Take the wander away from the beats (k, leads, BEAT_SAMPLES), in place."""
    cut[:, :, :_KNOT] -= before * _BEFORE_KNOT + level
    cut[:, :, _KNOT:] -= after * _AFTER_KNOT + level

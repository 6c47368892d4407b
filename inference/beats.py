"""Beats: where they are, how regular, and the median beat of each lead.

QRS complexes are found in the mean envelope of all leads in the QRS band, each lead scaled to its own steep parts, so
that neither a large lead nor a noisy one decides alone. Beats are aligned by cross-correlation with their template
instead of each beat's own maximum, which would jump between R and S. The median beat is taken over the largest family
of beats that look alike, so ectopic beats and artefacts do not enter it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from inference.delineation import Waves, delineate
from inference.diagnostic import (
    DETECTION_RATE,
    DIAGNOSTIC_RATE,
    HIGH_EDGE,
    LOW_EDGE,
    QRS_BAND,
    Signal,
    Spectrum,
    spectrum,
)
from inference.median import median_over_rows
from inference.recording import LEADS, Recording

# The window of a beat around R: P wave with a long PR interval before, end of T with a long QT after.
BEFORE_R = 0.4
AFTER_R = 0.6
R_INDEX = round(BEFORE_R * DIAGNOSTIC_RATE)
BEAT_SAMPLES = round((BEFORE_R + AFTER_R) * DIAGNOSTIC_RATE)

_STEP = DIAGNOSTIC_RATE // DETECTION_RATE
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

_QRS_HALF = round(0.09 * DETECTION_RATE)
_MAX_LAG = round(0.05 * DETECTION_RATE)
_ALIKE = 0.85
_EDGE = round(0.12 * DETECTION_RATE)
_WANDER_POINT = round(0.10 * DIAGNOSTIC_RATE)
_WANDER_WIDTH = round(0.03 * DIAGNOSTIC_RATE)


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

    diagnostic: float32 (12, n), mV, 0.05-150 Hz, at `fs` Hz. r_peaks: int (k,), samples of `diagnostic`.
    median: float32 (12, BEAT_SAMPLES), mV, R at index R_INDEX; zeros without beats. typical: bool (k,), which beats
    entered the median. similarity: (k,), correlation of each QRS with the template. noise: float32 (12,), mean absolute
    deviation of the typical beats from their median, mV. waves: marks of the median beat, None without beats.
    """

    diagnostic: Signal
    r_peaks: NDArray[np.intp]
    median: Signal
    typical: NDArray[np.bool_]
    similarity: Signal
    noise: Signal
    rhythm: RhythmStatistics
    waves: Waves | None
    fs: int = DIAGNOSTIC_RATE

    @property
    def r_times(self) -> NDArray[np.float64]:
        """R peaks in seconds from the start."""
        return self.r_peaks / self.fs

    @property
    def count(self) -> int:
        """Number of beats found."""
        return len(self.r_peaks)


def find_beats(recording: Recording) -> Beats:
    """Find the beats of a recording at any accepted sampling rate; never raises, no beats gives zero peaks."""
    bands = spectrum(recording.signal, recording.sampling_rate)
    diagnostic = bands.band(LOW_EDGE, HIGH_EDGE, DIAGNOSTIC_RATE)
    qrs = _scaled_qrs(bands)
    rough = _qrs_positions(qrs)
    if len(rough) == 0:
        return _without_beats(diagnostic)
    positions, similarity, typical = _aligned(qrs, rough)
    r_peaks = np.clip(np.rint((positions + 0.5) * _STEP - 0.5), 0, diagnostic.shape[1] - 1).astype(np.intp)
    median, noise = _median_beat(diagnostic, r_peaks, typical)
    rhythm = rhythm_statistics(np.diff(positions) / DETECTION_RATE)
    waves = delineate(median, R_INDEX, rhythm.median)
    return Beats(diagnostic, r_peaks, median, typical, similarity, noise, rhythm, waves)


def rhythm_statistics(rr: NDArray[np.float64]) -> RhythmStatistics:
    """Statistics of consecutive RR intervals (k,) in seconds."""
    if len(rr) == 0:
        return RhythmStatistics()
    steps = np.diff(rr)
    return RhythmStatistics(
        median=float(np.median(rr)),
        mean=float(rr.mean()),
        sdnn=float(rr.std(ddof=1)) if len(rr) > 1 else float("nan"),
        rmssd=float(np.sqrt(np.mean(steps**2))) if len(steps) else float("nan"),
        shortest=float(rr.min()),
        longest=float(rr.max()),
    )


def _without_beats(diagnostic: Signal) -> Beats:
    leads = len(LEADS)
    return Beats(
        diagnostic=diagnostic,
        r_peaks=np.empty(0, np.intp),
        median=np.zeros((leads, BEAT_SAMPLES), np.float32),
        typical=np.empty(0, np.bool_),
        similarity=np.empty(0, np.float32),
        noise=np.zeros(leads, np.float32),
        rhythm=RhythmStatistics(),
        waves=None,
    )


def _scaled_qrs(bands: Spectrum) -> Signal:
    """The QRS band (12, n) at DETECTION_RATE, each lead divided by the level of its steepest parts."""
    qrs = bands.band(*QRS_BAND, DETECTION_RATE)
    n = qrs.shape[1]
    top = min(n - 1, int(0.98 * n))
    scale = np.partition(np.abs(qrs), top, axis=1)[:, top : top + 1]
    return np.where(scale > _FLAT, qrs / np.maximum(scale, _FLAT), np.float32(0))


def _qrs_positions(qrs: Signal) -> NDArray[np.intp]:
    """Positions of QRS complexes in `qrs`, to within some 10 ms."""
    envelope = np.minimum(np.abs(qrs), np.float32(1.5)).mean(axis=0)
    envelope = uniform_filter1d(uniform_filter1d(envelope, _ENVELOPE), _ENVELOPE // 2)
    level = _typical_height(envelope)
    if level <= _MIN_CONTRAST * float(np.median(envelope)):
        return np.empty(0, np.intp)
    summits = envelope == maximum_filter1d(envelope, 2 * _REFRACTORY + 1)
    candidates = np.flatnonzero(summits & (envelope > _THRESHOLD * level))
    return _without_t_waves(candidates, envelope)


def _typical_height(envelope: Signal) -> float:
    """Median over blocks of two seconds of the highest point: what a QRS reaches here."""
    whole = len(envelope) // _BLOCK * _BLOCK
    if whole == 0:
        return float(envelope.max())
    return float(np.median(envelope[:whole].reshape(-1, _BLOCK).max(axis=1)))


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


def _aligned(qrs: Signal, rough: NDArray[np.intp]) -> tuple[NDArray[np.float64], Signal, NDArray[np.bool_]]:
    """R positions (fractional samples of `qrs`), correlation of each beat with the template, and the typical beats."""
    margin = _QRS_HALF + _MAX_LAG
    padded = np.pad(qrs, ((0, 0), (margin, margin)))
    wide = np.ascontiguousarray(padded[:, rough[:, None] + np.arange(2 * margin + 1)].transpose(1, 0, 2))
    shifts = np.zeros(len(rough))
    typical = np.ones(len(rough), np.bool_)
    energy = _energy(wide)
    for _ in range(2):
        cut = _cut(wide, shifts)
        typical = _largest_family(cut)
        template = _middle(cut[typical].transpose(1, 0, 2))
        shifts, similarity = _best_shifts(wide, energy, template)
    summit = _summit(template)
    positions = rough + shifts + summit
    # Filters of the source ring at both ends of a recording; what is there is a beat only if it looks like one.
    inside = (positions > _EDGE) & (positions < qrs.shape[1] - _EDGE)
    kept = inside | typical
    return positions[kept], similarity[kept], typical[kept]


def _cut(wide: Signal, shifts: NDArray[np.float64]) -> Signal:
    """QRS windows (k, leads, 2 * _QRS_HALF + 1) out of the wider ones, moved by whole samples."""
    start = _MAX_LAG + np.rint(shifts).astype(np.intp)
    window = start[:, None] + np.arange(2 * _QRS_HALF + 1)
    return np.take_along_axis(wide, window[:, None, :], axis=2)


def _largest_family(cut: Signal) -> NDArray[np.bool_]:
    """Which beats (k, leads, m) resemble the beat that resembles most others."""
    flat = cut.reshape(len(cut), -1)
    flat = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    alike = flat @ flat.T
    return np.asarray(alike[np.argmax((alike > _ALIKE).sum(axis=1) + alike.mean(axis=1))] > _ALIKE)


def _best_shifts(wide: Signal, energy: Signal, template: Signal) -> tuple[NDArray[np.float64], Signal]:
    """For each beat the shift (fractional samples) of best correlation with the template, and that correlation."""
    beats = len(wide)
    products = (wide.reshape(beats, -1) @ _shifted_copies(template))[:, ::-1]
    correlation = products / np.maximum(np.sqrt(energy) * np.linalg.norm(template), 1e-6)
    best = np.clip(np.argmax(correlation, axis=1), 1, correlation.shape[1] - 2)
    rows = np.arange(beats)
    before, top, after = (correlation[rows, best + step] for step in (-1, 0, 1))
    curvature = np.minimum(before - 2 * top + after, -1e-6)
    offset = np.clip(0.5 * (before - after) / curvature, -0.5, 0.5)
    return (best + offset - _MAX_LAG).astype(np.float64), top


def _energy(wide: Signal) -> Signal:
    """Summed squares of each beat under the template at each shift."""
    return np.asarray(sliding_window_view((wide**2).sum(axis=1), 2 * _QRS_HALF + 1, axis=1).sum(axis=2), np.float32)


def _shifted_copies(template: Signal) -> Signal:
    """The template (leads, m) at each shift, the last first: (leads * (m + 2 * _MAX_LAG), 2 * _MAX_LAG + 1).

    With it, correlation at all shifts is one matrix product."""
    reach = 2 * _MAX_LAG
    padded = np.zeros((len(template), template.shape[1] + 2 * reach), np.float32)
    padded[:, reach:-reach] = template
    return sliding_window_view(padded, reach + 1, axis=1).reshape(-1, reach + 1)


def _summit(template: Signal) -> float:
    """Offset of R from the middle of the template: where the leads together are largest."""
    size = (template**2).sum(axis=0)
    return float(np.argmax(size)) - _QRS_HALF


def _median_beat(diagnostic: Signal, r_peaks: NDArray[np.intp], typical: NDArray[np.bool_]) -> tuple[Signal, Signal]:
    """Median (12, BEAT_SAMPLES) of the typical beats and their mean absolute deviation from it (12,)."""
    samples = diagnostic.shape[1]
    starts = r_peaks - R_INDEX
    whole = typical & (starts >= 0) & (starts + BEAT_SAMPLES <= samples)
    chosen = whole if whole.any() else typical
    window = np.clip(starts[chosen][:, None] + np.arange(BEAT_SAMPLES), 0, samples - 1)
    cut = np.take(diagnostic, window, axis=1)
    cut -= _wander(diagnostic, r_peaks, window)
    median = median_over_rows(cut)
    cut -= median[:, None]
    return median, np.abs(cut, out=cut).mean(axis=(1, 2))


def _middle(cut: Signal) -> Signal:
    """Median over axis 1 of few samples; several times faster than np.median, which partitions each column alone."""
    ranked = np.sort(cut, axis=1)
    count = cut.shape[1]
    return (ranked[:, (count - 1) // 2] + ranked[:, count // 2]) * np.float32(0.5)


def _wander(diagnostic: Signal, r_peaks: NDArray[np.intp], window: NDArray[np.intp]) -> Signal:
    """Baseline wander (12, k, m) at the samples of `window` (k, m): a line through the same point of each beat, shortly
    before QRS (Meyer and Keiser, Comput Biomed Res 10:459, 1977, with straight lines). What differs there from beat to
    beat is wander, and a high-pass that could remove it would alter ST."""
    knots = np.maximum(r_peaks - _WANDER_POINT, 0)
    around = np.clip(knots[:, None] + np.arange(-_WANDER_WIDTH // 2, _WANDER_WIDTH // 2), 0, diagnostic.shape[1] - 1)
    levels = np.take(diagnostic, around, axis=1).mean(axis=2)
    lines = np.empty((len(levels), *window.shape), np.float32)
    half = len(levels) // 2
    for lead in range(half):
        # np.interp takes complex values: two leads for the search of one.
        pair = np.interp(window, knots, levels[lead] + 1j * levels[lead + half])
        lines[lead], lines[lead + half] = pair.real, pair.imag
    return lines

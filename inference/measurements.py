"""Intervals and axis, measured on the 0.05-125 Hz signal in mV (marks below 40 Hz), never on the model's band.

A number that a clinician may act on is given only where it can be trusted; each rule of that is a constant below.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inference.limb_leads import INDEPENDENT_ROWS

# `Measurements` is needed where no signal is: importing it must not load scipy.
if TYPE_CHECKING:
    from inference.beats import Beats, RhythmStatistics
    from inference.delineation import Waves

# What a human heart can do; outside of it the mark is wrong, not the patient.
HEART_RATE_RANGE = (20.0, 300.0)
PR_RANGE = (80.0, 360.0)
QRS_RANGE = (50.0, 220.0)
QT_RANGE = (200.0, 700.0)

# Unrest between beats over the QRS height (median of the independent leads) from which on no boundary of a wave can be
# trusted. 99.5 % of the PTB-XL recordings at 500 Hz stay below 0.07.
MAX_NOISE = 0.09
# Share of the beats that must look alike, where there are three or more: noise that is taken for beats does not.
MIN_TYPICAL = 1 / 3
# A P or T wave must stand this far above the unrest around it. In PTB-XL (ecg_id 1 to 500) P reaches 4.5 in 97 % of
# normal recordings, while atrial fibrillation stays below 3.4.
MIN_P_RATIO = 3.5
MIN_T_RATIO = 1.0
# In an irregular rhythm (RMSSD over the median RR) only a clear P wave is one.
IRREGULAR = 0.12
MIN_P_RATIO_IRREGULAR = 6.0
# Frontal QRS area (mV x s) under which the axis has no direction.
MIN_AXIS_AREA = 0.002


@dataclass(frozen=True, slots=True)
class Measurements:
    """Global ECG measurements; None where not measurable with confidence. heart_rate in 1/min, pr, qrs, qt and qtc
    (Fridericia: QT / RR^(1/3)) in ms, axis in degrees (-180 to 180, frontal QRS)."""

    heart_rate: float | None = None
    pr: float | None = None
    qrs: float | None = None
    qt: float | None = None
    qtc: float | None = None
    axis: float | None = None


def measure(beats: Beats) -> Measurements:
    """Measure the median beat and the rhythm.

    Without confidence a value is None. Nothing is measured where fewer than MIN_TYPICAL of three or more beats look
    alike. Heart rate needs two beats. Everything else needs a median beat whose noise is
    below MAX_NOISE of its QRS; PR needs a P wave that stands out by MIN_P_RATIO, by MIN_P_RATIO_IRREGULAR if the RR
    intervals are irregular (fibrillation waves must not pass as P); QT needs a T wave that stands out and ends before
    the next beat; the axis needs a QRS that is not isoelectric in the frontal plane. Each value must lie in its range.
    QTc: Fridericia, Acta Med Scand 53:469, 1920, with the median RR interval.
    """
    if not _alike(beats):
        return Measurements()
    heart_rate = _within(60.0 / beats.rhythm.median, HEART_RATE_RANGE)
    waves = beats.waves
    if waves is None or _noise_ratio(beats, waves) > MAX_NOISE:
        return Measurements(heart_rate=heart_rate)
    ms = 1000.0 / waves.fs
    qt = _within((waves.t_end - waves.qrs_on) * ms, QT_RANGE) if _t_stands_out(waves) else None
    return Measurements(
        heart_rate=heart_rate,
        pr=_within((waves.qrs_on - waves.p_on) * ms, PR_RANGE) if _p_stands_out(waves, beats.rhythm) else None,
        qrs=_within((waves.qrs_off - waves.qrs_on) * ms, QRS_RANGE),
        qt=qt,
        qtc=None if qt is None or heart_rate is None else qt / (60.0 / heart_rate) ** (1 / 3),
        axis=frontal_axis(_areas(waves)),
    )


def frontal_axis(leads: NDArray[np.float32], least: float = MIN_AXIS_AREA) -> float | None:
    """Direction in the frontal plane, degrees (0: left, 90: down), of net values (12,) in the order of `LEADS`.

    x is lead I, y is (I + 2 III) / sqrt(3) by Einthoven's triangle. None where the vector is shorter than `least`.
    """
    x, y = float(leads[0]), float(leads[0] + 2 * leads[2]) / 3**0.5
    if not x * x + y * y > least * least:
        return None
    return math.degrees(math.atan2(y, x))


def _areas(waves: Waves) -> NDArray[np.float32]:
    """Net QRS area of each lead, mV x s."""
    return np.asarray(waves.beat[:, waves.qrs_on : waves.qrs_off].sum(axis=1) / waves.fs, np.float32)


def _alike(beats: Beats) -> bool:
    return beats.count < 3 or float(beats.typical.mean()) >= MIN_TYPICAL


def _noise_ratio(beats: Beats, waves: Waves) -> float:
    """Over the independent leads; the others repeat them."""
    qrs = waves.beat[INDEPENDENT_ROWS, waves.qrs_on : waves.qrs_off + 1]
    ratios = sorted((beats.noise / np.maximum(qrs.max(axis=1) - qrs.min(axis=1), np.float32(1e-3))).tolist())
    return float(ratios[(len(ratios) - 1) // 2] + ratios[len(ratios) // 2]) / 2


def _p_stands_out(waves: Waves, rhythm: RhythmStatistics) -> bool:
    irregular = rhythm.rmssd > IRREGULAR * rhythm.median
    return min(waves.p_on, waves.p_off) >= 0 and waves.p_ratio >= (MIN_P_RATIO_IRREGULAR if irregular else MIN_P_RATIO)


def _t_stands_out(waves: Waves) -> bool:
    return waves.t_end >= 0 and waves.t_ratio >= MIN_T_RATIO


def _within(value: float, limits: tuple[float, float]) -> float | None:
    return float(value) if limits[0] <= value <= limits[1] else None

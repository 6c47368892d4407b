"""Clinical features of a recording: what a cardiologist reads off the median beat, the rhythm and the patient.

Amplitudes are in mV, times in ms, areas in mV x ms, angles in degrees. NaN means unknown; a model must take it as such.
Everything is read below 40 Hz at one internal rate, so a recording of 100 Hz and one of 500 Hz give the same numbers.
The list is fixed: a model's input depends on it. Changing a name, a definition or the order needs a new
FEATURES_VERSION and a new model.
"""

import math

import numpy as np
from numpy.typing import NDArray

from inference.beats import Beats
from inference.delineation import MARK_RATE, Waves, ramp
from inference.diagnostic import Signal
from inference.limb_leads import INDEPENDENT_ROWS
from inference.measurements import Measurements, frontal_axis
from inference.median import middle
from inference.recording import LEADS, Sex

FEATURES_VERSION = "2"

_MS = 1000.0 / MARK_RATE

LEAD_FEATURES = (
    "p",  # P wave above the line between its ends
    "q",  # deepest point before R, 0 where there is none; a QS complex counts as Q
    "q_ms",  # time below -0.03 mV before R
    "r",
    "r_ms",  # from QRS onset to R (intrinsicoid deflection)
    "s",
    "qrs_net",  # R + the deeper of Q and S
    "qrs_area",
    "qrs_ptp",
    "qrs_rough",  # path of the trace over twice its height: 1 for one smooth wave, more with notches
    "j",
    "st60",
    "st_slope",  # J to J+60 ms, mV/s
    "t",  # the larger of both directions, signed
    "t_other",  # the largest in the other direction: not 0 in a biphasic T
    "t_area",
    "t_ms",  # from J to the peak of T
)

GLOBAL_FEATURES = (
    "heart_rate",
    "rr_sdnn",
    "rr_rmssd",
    "rr_cv",
    "rr_shortest",  # over the median
    "rr_longest",
    "beats_untypical",  # share
    "beat_similarity",
    "noise",
    "pr",
    "qrs",
    "qt",
    "qtc",
    "p_ms",
    "p_ratio",
    "t_ratio",
    "t_descent_ms",
    "axis",
    "p_axis",
    "t_axis",
    "qrs_t_angle",  # frontal
    "qrs_t_cosine",  # of the areas of the independent leads
    "sokolow_lyon",
    "cornell",
    "cornell_product",
    "gubner",
    "lewis",
    "limb_voltage",
    "chest_voltage",
    "r_transition",  # 1 to 6: the chest lead from which on R exceeds S; 7 where none does
    "r_progression",  # slope of R over V1 to V4, mV a lead
    "r_share_v1",
    "r_share_v2",
    "r_share_v6",
    "p_terminal_v1",
    "st_highest",
    "st_lowest",
    "st_sum",
    "t_inverted",  # leads of I, II, V3 to V6
    "q_leads",  # leads with Q of 30 ms and a quarter of R
    "qrs_fast_share",  # energy of QRS above 15 Hz
    "qrs_complexity",  # share of QRS energy outside of its main plane
    "t_complexity",
)

DEMOGRAPHIC_FEATURES = ("age", "female", "male")

FEATURE_NAMES: tuple[str, ...] = (
    *(f"{lead}_{name}" for name in LEAD_FEATURES for lead in LEADS),
    *GLOBAL_FEATURES,
    *DEMOGRAPHIC_FEATURES,
)

_I, _II, _III, _AVR, _AVL, _AVF, _V1, _V2, _V3, _V4, _V5, _V6 = range(12)
_CHEST = slice(_V1, _V6 + 1)
_NO_R = 0.03
_NAN = float("nan")

# Samples of the median beat.
_J = 1  # to either side of the end of QRS
_ST60 = round(60 / _MS)
_T_START = round(70 / _MS)
_P_GAP = round(16 / _MS)
_SPECTRUM_HALF = round(128 / _MS)

Row = NDArray[np.float32]


def extract(beats: Beats, measurements: Measurements, age: float | None, sex: Sex) -> Row:
    """float32 (len(FEATURE_NAMES),), NaN for unknown. Without beats only demographics are known."""
    features = np.full(len(FEATURE_NAMES), np.nan, np.float32)
    features[-len(DEMOGRAPHIC_FEATURES) :] = _demographics(age, sex)
    if (waves := beats.waves) is not None:
        p = _p_window(waves)
        leads = {"p": _largest(p)} | _qrs_features(waves) | _st_features(waves) | _t_features(waves)
        everything = _rhythm(beats) | _intervals(waves, measurements) | _vectors(p, leads)
        everything |= _voltages(leads, measurements) | _patterns(leads) | _shapes(waves, p)
        count = len(LEAD_FEATURES) * len(LEADS)
        features[:count] = np.concatenate([leads[name] for name in LEAD_FEATURES])
        features[count : count + len(GLOBAL_FEATURES)] = [everything[name] for name in GLOBAL_FEATURES]
    return features


def _demographics(age: float | None, sex: Sex) -> tuple[float, float, float]:
    known = sex in (Sex.FEMALE, Sex.MALE)
    female, male = (float(sex is Sex.FEMALE), float(sex is Sex.MALE)) if known else (_NAN, _NAN)
    return (_NAN if age is None else age, female, male)


def _p_window(waves: Waves) -> Signal:
    """P (12, n) above the line between its ends; where it was not delimited, the whole window searched for it."""
    delimited = min(waves.p_on, waves.p_off) >= 0
    start, stop = (waves.p_on, waves.p_off + 1) if delimited else (waves.p_start, waves.qrs_on - _P_GAP)
    window = waves.beat[:, start : max(start, stop)]
    first, last = window[:, :1], window[:, -1:]
    line: Signal = first + (last - first) * ramp(window.shape[1])
    above: Signal = window - line
    return above


def _largest(window: Signal) -> Row:
    """Signed value furthest from zero in each lead, NaN of nothing."""
    if window.shape[1] == 0:
        return np.full(len(window), np.nan, np.float32)
    high, low = window.max(axis=1), window.min(axis=1)
    largest: Row = np.where(high >= -low, high, low)
    return largest


def _qrs_features(waves: Waves) -> dict[str, Row]:
    qrs = waves.beat[:, waves.qrs_on : waves.qrs_off + 1]
    top = np.maximum(qrs.max(axis=1), np.float32(0))
    has_r = top >= _NO_R
    summit = np.where(has_r, qrs.argmax(axis=1), qrs.shape[1])
    before = np.arange(qrs.shape[1]) < summit[:, np.newaxis]
    early = qrs * before
    q, s = early.min(axis=1), (qrs - early).min(axis=1)
    deepest = np.minimum(q, s)
    height = np.maximum(top - np.minimum(deepest, np.float32(0)), np.float32(1e-3))
    return {
        "q": q,
        "q_ms": np.count_nonzero(early < -_NO_R, axis=1) * _MS,
        "r": top,
        "r_ms": np.where(has_r, summit * _MS, np.nan),
        "s": s,
        "qrs_net": top + deepest,
        "qrs_area": np.add.reduce(qrs, axis=1) * np.float32(_MS),
        "qrs_ptp": height,
        "qrs_rough": np.add.reduce(np.abs(qrs[:, 1:] - qrs[:, :-1]), axis=1) / (2 * height),
    }


def _st_features(waves: Waves) -> dict[str, Row]:
    j = _mean(waves.beat[:, waves.qrs_off - _J : waves.qrs_off + _J + 1])
    at = waves.qrs_off + _ST60
    st60 = _mean(waves.beat[:, at - 2 : at + 3])
    return {"j": j, "st60": st60, "st_slope": (st60 - j) / np.float32(0.06)}


def _mean(window: Signal) -> Row:
    mean: Row = np.add.reduce(window, axis=1) / np.float32(window.shape[1])
    return mean


def _t_features(waves: Waves) -> dict[str, Row]:
    start = waves.qrs_off + _T_START
    window = waves.beat[:, start : max(start + 10, waves.t_limit)]
    highest, lowest = window.argmax(axis=1), window.argmin(axis=1)
    leads = np.arange(len(window))
    high, low = window[leads, highest], window[leads, lowest]
    up = high >= -low
    zero = np.float32(0)
    return {
        "t": np.where(up, high, low),
        "t_other": np.where(up, np.minimum(low, zero), np.maximum(high, zero)),
        "t_area": np.add.reduce(window, axis=1) * np.float32(_MS),
        "t_ms": (np.where(up, highest, lowest) + (start - waves.qrs_off)) * _MS,
    }


def _rhythm(beats: Beats) -> dict[str, float]:
    rhythm, count = beats.rhythm, beats.count
    return {
        "heart_rate": 60 / rhythm.median,
        "rr_sdnn": rhythm.sdnn * 1000,
        "rr_rmssd": rhythm.rmssd * 1000,
        "rr_cv": rhythm.sdnn / rhythm.mean,
        "rr_shortest": rhythm.shortest / rhythm.median,
        "rr_longest": rhythm.longest / rhythm.median,
        "beats_untypical": 1 - sum(beats.typical.tolist()) / count,
        "beat_similarity": sum(beats.similarity.tolist()) / count,
        "noise": float(middle(beats.noise)),
    }


def _intervals(waves: Waves, measurements: Measurements) -> dict[str, float]:
    values = {name: getattr(measurements, name) for name in ("pr", "qrs", "qt", "qtc")}
    return {name: _NAN if value is None else value for name, value in values.items()} | {
        "p_ms": (waves.p_off - waves.p_on) * _MS if min(waves.p_on, waves.p_off) >= 0 else _NAN,
        "p_ratio": waves.p_ratio,
        "t_ratio": waves.t_ratio,
        "t_descent_ms": (waves.t_end - waves.t_peak) * _MS if waves.t_end >= 0 else _NAN,
    }


def _vectors(p: Signal, leads: dict[str, Row]) -> dict[str, float]:
    angles = (frontal_axis(area, least=1e-6) for area in (leads["qrs_area"], p.sum(axis=1), leads["t_area"]))
    axis, p_axis, t_axis = (_NAN if angle is None else angle for angle in angles)
    qrs, t = leads["qrs_area"][INDEPENDENT_ROWS], leads["t_area"][INDEPENDENT_ROWS]
    length = math.sqrt(float(qrs @ qrs) * float(t @ t))
    return {
        "axis": axis,
        "p_axis": p_axis,
        "t_axis": t_axis,
        "qrs_t_angle": abs((axis - t_axis + 180) % 360 - 180),
        "qrs_t_cosine": float(qrs @ t) / length if length > 0 else _NAN,
    }


def _voltages(leads: dict[str, Row], measurements: Measurements) -> dict[str, float]:
    """Hypertrophy criteria in mV (Hancock et al., Circulation 119:e251, 2009)."""
    r, s = leads["r"].tolist(), leads["s"].tolist()
    deep = np.minimum(leads["q"], leads["s"]).tolist()
    cornell = r[_AVL] - deep[_V3]
    height = leads["qrs_ptp"].tolist()
    return {
        "sokolow_lyon": -deep[_V1] + max(r[_V5], r[_V6]),
        "cornell": cornell,
        "cornell_product": _NAN if measurements.qrs is None else cornell * measurements.qrs,
        "gubner": r[_I] - deep[_III],
        "lewis": r[_I] - deep[_III] - r[_III] + s[_I],
        "limb_voltage": max(height[: _AVF + 1]),
        "chest_voltage": max(height[_CHEST]),
    }


def _patterns(leads: dict[str, Row]) -> dict[str, float]:
    """R-wave progression, ST and T over territories, pathological Q (Thygesen et al., Circulation 138:e618, 2018).

    Of twelve numbers plain Python is faster than numpy."""
    r, q, s, st, t, q_ms = (leads[name].tolist() for name in ("r", "q", "s", "st60", "t", "q_ms"))
    share = {}
    transition = 7
    for lead in range(_V6, _V1 - 1, -1):
        deep = -min(q[lead], s[lead])
        share[lead] = r[lead] / max(r[lead] + deep, 1e-3)
        transition = lead - _V1 + 1 if r[lead] > deep else transition
    st_seen = [value for lead, value in enumerate(st) if lead != _AVR]
    q_leads = [i for i in range(len(LEADS)) if i != _AVR and q_ms[i] >= 30 and -q[i] >= 0.25 * r[i]]
    return {
        "r_transition": transition,
        "r_progression": 0.3 * (r[_V4] - r[_V1]) + 0.1 * (r[_V3] - r[_V2]),
        "r_share_v1": share[_V1],
        "r_share_v2": share[_V2],
        "r_share_v6": share[_V6],
        "st_highest": max(st_seen),
        "st_lowest": min(st_seen),
        "st_sum": sum(abs(value) for value in st),
        "t_inverted": sum(t[lead] < -0.05 for lead in (_I, _II, _V3, _V4, _V5, _V6)),
        "q_leads": len(q_leads),
    }


def _shapes(waves: Waves, p: Signal) -> dict[str, float]:
    beat = waves.beat[INDEPENDENT_ROWS]
    qrs = beat[:, waves.qrs_on : waves.qrs_off + 1]
    t = beat[:, waves.qrs_off + _T_START : waves.t_limit]
    v1 = p[_V1]
    # Both at once: the call costs more than the work.
    products = np.empty((2, len(beat), len(beat)), np.float32)
    np.matmul(qrs, qrs.T, out=products[0])
    np.matmul(t, t.T, out=products[1])
    qrs_energies, t_energies = np.linalg.eigvalsh(products).tolist()
    return {
        "p_terminal_v1": float(v1[len(v1) // 2 :].min()) if len(v1) else _NAN,
        "qrs_fast_share": _fast_share(beat[:, waves.r - _SPECTRUM_HALF : waves.r + _SPECTRUM_HALF]),
        "qrs_complexity": _beyond(qrs_energies, 2),
        "t_complexity": _beyond(t_energies, 1),
    }


def _slow_waves() -> Signal:
    """The waves of a Fourier transform of 256 ms below 15 Hz, each of unit energy, the constant first: (n, waves)."""
    n = 2 * _SPECTRUM_HALF
    phase = 2 * np.pi * np.arange(n)[:, np.newaxis] * np.arange(1, round(15 * n / MARK_RATE)) / n
    waves = [np.full((n, 1), (1 / n) ** 0.5), (2 / n) ** 0.5 * np.cos(phase), (2 / n) ** 0.5 * np.sin(phase)]
    return np.concatenate(waves, axis=1).astype(np.float32)


_SLOW_WAVES = _slow_waves()


def _fast_share(around_r: Signal) -> float:
    """Share of the energy of 256 ms around R (leads, n) above 15 Hz, all leads together (Parseval)."""
    slow = around_r @ _SLOW_WAVES
    level, *below = map(float, np.einsum("lk,lk->k", slow, slow))
    total = float(np.vdot(around_r, around_r)) - level
    return max(total - sum(below), 0.0) / max(total, 1e-9)


def _beyond(energies: list[float], dimensions: int) -> float:
    """Share of the energy, given in ascending order by principal dimension, that lies outside of the first ones."""
    total = sum(energies)
    beyond: float = sum(energies[:-dimensions])
    return beyond / total if total > 0 else _NAN

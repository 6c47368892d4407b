"""Clinical features of a recording: what a cardiologist reads off the median beat, the rhythm and the patient.

Amplitudes are in mV, times in ms, areas in mV x ms, angles in degrees. NaN means unknown; a model must take it as such.
Everything is read below 40 Hz at one internal rate, so a recording of 100 Hz and one of 500 Hz give the same numbers.
The list is fixed: a model's input depends on it. Changing a name, a definition or the order needs a new
FEATURES_VERSION and a new model.
"""

import numpy as np
from numpy.typing import NDArray

from inference.beats import Beats
from inference.delineation import Waves
from inference.diagnostic import DIAGNOSTIC_RATE, Signal
from inference.measurements import Measurements, frontal_axis
from inference.recording import LEADS, Sex

FEATURES_VERSION = "1"

_MS = 1000.0 / DIAGNOSTIC_RATE

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
_INDEPENDENT = np.array([_I, _II, *range(_V1, _V6 + 1)])
_NO_R = 0.03
_NAN = float("nan")

Row = NDArray[np.float32]


def extract(beats: Beats, measurements: Measurements, age: float | None, sex: Sex) -> Row:
    """float32 (len(FEATURE_NAMES),), NaN for unknown. Without beats only demographics are known."""
    features = np.full(len(FEATURE_NAMES), np.nan, np.float32)
    features[-len(DEMOGRAPHIC_FEATURES) :] = _demographics(age, sex)
    if beats.waves is not None:
        leads = _lead_features(beats.waves)
        everything = _rhythm(beats) | _intervals(beats.waves, measurements) | _vectors(beats.waves, leads)
        everything |= _voltages(leads, measurements) | _patterns(leads) | _shapes(beats.waves)
        count = len(LEAD_FEATURES) * len(LEADS)
        features[:count] = np.concatenate([leads[name] for name in LEAD_FEATURES])
        features[count : count + len(GLOBAL_FEATURES)] = [everything[name] for name in GLOBAL_FEATURES]
    return features


def _demographics(age: float | None, sex: Sex) -> tuple[float, float, float]:
    known = sex in (Sex.FEMALE, Sex.MALE)
    female, male = (float(sex is Sex.FEMALE), float(sex is Sex.MALE)) if known else (_NAN, _NAN)
    return (_NAN if age is None else age, female, male)


def _lead_features(waves: Waves) -> dict[str, Row]:
    """Each of LEAD_FEATURES as (12,)."""
    return _p_features(waves) | _qrs_features(waves) | _st_features(waves) | _t_features(waves)


def _p_features(waves: Waves) -> dict[str, Row]:
    bump = _p_window(waves)
    if bump.shape[1] == 0:
        return {"p": np.full(len(LEADS), np.nan, np.float32)}
    return {"p": _largest(bump)}


def _p_window(waves: Waves) -> Signal:
    """P (12, n) above the line between its ends; where it was not delimited, the whole window searched for it."""
    delimited = min(waves.p_on, waves.p_off) >= 0
    start, stop = (waves.p_on, waves.p_off + 1) if delimited else (waves.p_start, waves.qrs_on - 8)
    window = waves.beat[:, start : max(start, stop)]
    share = np.linspace(0, 1, window.shape[1], dtype=np.float32)
    line = window[:, :1] + (window[:, -1:] - window[:, :1]) * share
    return np.asarray(window - line, np.float32)


def _largest(window: Signal) -> Row:
    """Signed value furthest from zero in each lead."""
    high, low = window.max(axis=1), window.min(axis=1)
    return np.asarray(np.where(high >= -low, high, low), np.float32)


def _qrs_features(waves: Waves) -> dict[str, Row]:
    qrs = waves.beat[:, waves.qrs_on : waves.qrs_off + 1]
    position = np.arange(qrs.shape[1])
    high, low = np.maximum(qrs.max(axis=1), 0), qrs.min(axis=1)
    has_r = high >= _NO_R
    summit = np.where(has_r, np.argmax(qrs, axis=1), qrs.shape[1])
    before = position < summit[:, None]
    q = np.where(before, qrs, 0).min(axis=1)
    s = np.where(before, 0, qrs).min(axis=1)
    height = np.maximum(high - np.minimum(low, 0), 1e-3)
    return {
        "q": q,
        "q_ms": ((qrs < -_NO_R) & before).sum(axis=1) * _MS,
        "r": high,
        "r_ms": np.where(has_r, summit * _MS, np.nan),
        "s": s,
        "qrs_net": high + np.minimum(q, s),
        "qrs_area": qrs.sum(axis=1) * _MS,
        "qrs_ptp": height,
        "qrs_rough": np.abs(np.diff(qrs, axis=1)).sum(axis=1) / (2 * height),
    }


def _st_features(waves: Waves) -> dict[str, Row]:
    j = waves.beat[:, waves.qrs_off - 1 : waves.qrs_off + 2].mean(axis=1)
    at = waves.qrs_off + round(60 / _MS)
    st60 = waves.beat[:, at - 2 : at + 3].mean(axis=1)
    return {"j": j, "st60": st60, "st_slope": (st60 - j) / 0.06}


def _t_features(waves: Waves) -> dict[str, Row]:
    start = waves.qrs_off + round(70 / _MS)
    window = waves.beat[:, start : max(start + 10, waves.t_limit)]
    high, low = window.max(axis=1), window.min(axis=1)
    up = high >= -low
    peak = np.where(up, window.argmax(axis=1), window.argmin(axis=1))
    return {
        "t": np.where(up, high, low),
        "t_other": np.where(up, np.minimum(low, 0), np.maximum(high, 0)),
        "t_area": window.sum(axis=1) * _MS,
        "t_ms": (peak + start - waves.qrs_off) * _MS,
    }


def _rhythm(beats: Beats) -> dict[str, float]:
    rhythm = beats.rhythm
    return {
        "heart_rate": 60 / rhythm.median,
        "rr_sdnn": rhythm.sdnn * 1000,
        "rr_rmssd": rhythm.rmssd * 1000,
        "rr_cv": rhythm.sdnn / rhythm.mean,
        "rr_shortest": rhythm.shortest / rhythm.median,
        "rr_longest": rhythm.longest / rhythm.median,
        "beats_untypical": 1 - float(beats.typical.mean()),
        "beat_similarity": float(beats.similarity.mean()),
        "noise": float(np.median(beats.noise)),
    }


def _intervals(waves: Waves, measurements: Measurements) -> dict[str, float]:
    values = {name: getattr(measurements, name) for name in ("pr", "qrs", "qt", "qtc")}
    return {name: _NAN if value is None else value for name, value in values.items()} | {
        "p_ms": (waves.p_off - waves.p_on) * _MS if min(waves.p_on, waves.p_off) >= 0 else _NAN,
        "p_ratio": waves.p_ratio,
        "t_ratio": waves.t_ratio,
        "t_descent_ms": (waves.t_end - waves.t_peak) * _MS if waves.t_end >= 0 else _NAN,
    }


def _vectors(waves: Waves, leads: dict[str, Row]) -> dict[str, float]:
    p_area = _p_window(waves).sum(axis=1)
    angles = (frontal_axis(area, least=1e-6) for area in (leads["qrs_area"], p_area, leads["t_area"]))
    axis, p_axis, t_axis = (_NAN if angle is None else angle for angle in angles)
    qrs, t = leads["qrs_area"][_INDEPENDENT], leads["t_area"][_INDEPENDENT]
    length = float(np.linalg.norm(qrs) * np.linalg.norm(t))
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
    height = leads["qrs_ptp"]
    return {
        "sokolow_lyon": -deep[_V1] + max(r[_V5], r[_V6]),
        "cornell": cornell,
        "cornell_product": _NAN if measurements.qrs is None else cornell * measurements.qrs,
        "gubner": r[_I] - deep[_III],
        "lewis": r[_I] - deep[_III] - r[_III] + s[_I],
        "limb_voltage": float(height[: _AVF + 1].max()),
        "chest_voltage": float(height[_CHEST].max()),
    }


def _patterns(leads: dict[str, Row]) -> dict[str, float]:
    """R-wave progression, ST and T over territories, pathological Q (Thygesen et al., Circulation 138:e618, 2018)."""
    r, st = leads["r"][_CHEST], leads["st60"]
    deep = -np.minimum(leads["q"], leads["s"])[_CHEST]
    larger = np.flatnonzero(r > deep)
    share = r / np.maximum(r + deep, 1e-3)
    pathological = (leads["q_ms"] >= 30) & (-leads["q"] >= 0.25 * leads["r"])
    pathological[_AVR] = False
    return {
        "r_transition": float(larger[0] + 1) if len(larger) else 7.0,
        "r_progression": float(r[:4] @ np.array([-0.3, -0.1, 0.1, 0.3], np.float32)),
        "r_share_v1": float(share[0]),
        "r_share_v2": float(share[1]),
        "r_share_v6": float(share[5]),
        "st_highest": float(np.delete(st, _AVR).max()),
        "st_lowest": float(np.delete(st, _AVR).min()),
        "st_sum": float(np.abs(st).sum()),
        "t_inverted": float((leads["t"][[_I, _II, _V3, _V4, _V5, _V6]] < -0.05).sum()),
        "q_leads": float(pathological.sum()),
    }


def _shapes(waves: Waves) -> dict[str, float]:
    qrs = waves.beat[_INDEPENDENT, waves.qrs_on : waves.qrs_off + 1]
    t = waves.beat[_INDEPENDENT, waves.qrs_off + round(70 / _MS) : waves.t_limit]
    v1 = _p_window(waves)[_V1]
    return {
        "p_terminal_v1": float(v1[len(v1) // 2 :].min()) if len(v1) else _NAN,
        "qrs_fast_share": _fast_share(waves),
        "qrs_complexity": _beyond(qrs, 2),
        "t_complexity": _beyond(t, 1),
    }


def _fast_share(waves: Waves) -> float:
    """Share of the energy of 256 ms around R above 15 Hz, all independent leads together."""
    half = round(128 / _MS)
    power = np.abs(np.fft.rfft(waves.beat[_INDEPENDENT, waves.r - half : waves.r + half], axis=1)) ** 2
    total = power.sum(axis=0)
    first = round(15 * 2 * half / DIAGNOSTIC_RATE)
    return float(total[first:].sum() / max(float(total[1:].sum()), 1e-9))


def _beyond(waveform: Signal, dimensions: int) -> float:
    """Share of the energy of (leads, n) that lies outside of its first principal dimensions."""
    if waveform.shape[1] < 2:
        return _NAN
    energies = np.linalg.eigvalsh(waveform @ waveform.T)
    total = float(energies.sum())
    return float(energies[:-dimensions].sum() / total) if total > 0 else _NAN

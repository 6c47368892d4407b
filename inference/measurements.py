"""Intervals and axis, measured on the 0.05-150 Hz signal in mV, never on the model's band."""

from dataclasses import dataclass


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

"""Shifts that are planted into real ECGs, so that monitors can be tried: each one thing that goes wrong in hospitals.

A shift changes recordings, or who is chosen, or what they are sent by. Signals are changed as electrodes would: what is
added to the limb leads obeys Einthoven's and Goldberger's equations.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from inference.recording import LEADS, Recording

Signal = NDArray[np.float32]  # (12, samples), mV

MAINS = 50.0  # Hz
HUM = 0.03  # mV at an electrode
LEAST_RATE = 200.0  # Hz: below it there is no place for the hum
OLD = 70.0  # years

DEVICE_BAND = (0.5, 40.0)  # Hz: the "monitor" setting of many devices
DEVICE_STEP = 0.01  # mV
SENDERS = ("CART1|ER", "CART2|WARD", "MUSE|ECG")  # MSH-3 and MSH-4 of ECGs as they are
DEVICE = "NEWCART|WARD 9"

# Where the electrodes RA, LA and LL lie in the limb leads, row by row of `LEADS`.
LIMB = np.array(
    [[-1, 1, 0], [-1, 0, 1], [0, -1, 1], [1, -0.5, -0.5], [-0.5, 1, -0.5], [-0.5, -0.5, 1]],
    np.float32,
)


def _same(recording: Recording) -> Recording:
    return recording


def _anybody(recording: Recording) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """change: what happens to a recording. takes: which recordings it can happen to. sender: who sends them, None for
    whoever sent them before. by_patient: whether it is patients that are chosen."""

    name: str
    text: str
    change: Callable[[Recording], Recording] = _same
    takes: Callable[[Recording], bool] = _anybody
    sender: str | None = None
    by_patient: bool = False


def gain(recording: Recording) -> Recording:
    """Every lead twice as high: an interface that takes 5 µV for a step of 2.5."""
    return replace(recording, signal=recording.signal * np.float32(2))


def hum(recording: Recording) -> Recording:
    """Mains at every electrode, each with a phase of its own."""
    time = np.arange(recording.signal.shape[1]) / recording.sampling_rate
    phases = np.linspace(0, np.pi, 3 + 6, dtype=np.float32)[:, None]  # RA, LA, LL, V1 to V6
    waves = np.float32(HUM) * np.sin(2 * np.pi * MAINS * time + phases, dtype=np.float32)
    terminal = waves[:3].mean(axis=0)  # Wilson's
    added = np.concatenate([LIMB @ waves[:3], waves[3:] - terminal])
    return replace(recording, signal=recording.signal + added)


def limb_leads(recording: Recording) -> Recording:
    """The electrodes of both arms exchanged."""
    rows = {"I": ("I", -1), "II": ("III", 1), "III": ("II", 1), "aVR": ("aVL", 1), "aVL": ("aVR", 1)}
    taken = [rows.get(lead, (lead, 1)) for lead in LEADS]
    return replace(recording, signal=np.stack([sign * recording.signal[LEADS.index(lead)] for lead, sign in taken]))


def device(recording: Recording) -> Recording:
    """Another filter, and a coarser converter."""
    band = signal.butter(2, DEVICE_BAND, "bandpass", fs=recording.sampling_rate, output="sos")
    filtered = signal.sosfiltfilt(band, np.nan_to_num(recording.signal), axis=1)
    coarse = np.round(filtered / DEVICE_STEP) * DEVICE_STEP
    return replace(recording, signal=coarse.astype(np.float32))


def _fast(recording: Recording) -> bool:
    return recording.sampling_rate >= LEAST_RATE


def _old(recording: Recording) -> bool:
    return recording.age is not None and recording.age >= OLD


SHIFTS: Mapping[str, Shift] = {
    shift.name: shift
    for shift in (
        Shift(name="gain", text="gain x 2", change=gain),
        Shift(name="hum", text=f"{MAINS:.0f} Hz hum, {HUM * 1000:.0f} µV", change=hum, takes=_fast),
        Shift(name="limb-leads", text="arm electrodes exchanged", change=limb_leads),
        Shift(
            name="device",
            text=f"new device, sender: {DEVICE_BAND[0]:g} to {DEVICE_BAND[1]:g} Hz, {DEVICE_STEP * 1000:.0f} µV steps",
            change=device,
            sender=DEVICE,
        ),
        Shift(name="older", text=f"only patients of {OLD:.0f} years and over", takes=_old, by_patient=True),
    )
}

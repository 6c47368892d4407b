"""The domain's one input: a 12-lead ECG in millivolts.

Limb leads are linear combinations of I and II (Einthoven 1908, Goldberger 1942), so eight independent leads
(I, II, V1 to V6) carry the whole ECG:

    III = II - I    aVR = -(I + II) / 2    aVL = I - II / 2    aVF = II - I / 2
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from inference.errors import LeadsMissing, SamplingRateInvalid, SignalMalformed

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
INDEPENDENT_LEADS = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")

# Resting ECG devices sample at 100 to 2,000 Hz; research front ends reach 32 kHz. Outside of this a rate is a unit
# mistake (a period in ms or s sent as a rate).
MIN_SAMPLING_RATE = 50.0
MAX_SAMPLING_RATE = 40_000.0

# Ten minutes at 1 kHz. Anything longer is a Holter recording, which is not a resting ECG and would block the lane.
MAX_SAMPLES = 600_000

MAX_AGE = 130.0


class Sex(StrEnum):
    """Administrative gender in FHIR's words."""

    FEMALE = "female"
    MALE = "male"
    OTHER = "other"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A resting 12-lead ECG.

    signal: float32, shape (12, samples), millivolts, rows in the order of `LEADS`; NaN marks an invalid sample.
    sampling_rate: Hz. recorded_at: aware, or None when the source is undated. age: years at the time of recording.
    paced, resting: what the source states; None where it says nothing.
    notes: what was assumed or completed on the way in, in words a clinician may read.

    Raises SignalMalformed, SamplingRateInvalid; ValueError for a naive time or an impossible age (a caller's defect).
    """

    signal: NDArray[np.float32]
    sampling_rate: float
    recorded_at: datetime | None = None
    age: float | None = None
    sex: Sex = Sex.UNKNOWN
    paced: bool | None = None
    resting: bool | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.signal.dtype != np.float32 or self.signal.ndim != 2 or self.signal.shape[0] != len(LEADS):
            raise SignalMalformed(f"a recording needs 12 leads of float32 samples, not {self.signal.shape}")
        if not 0 < self.signal.shape[1] <= MAX_SAMPLES:
            raise SignalMalformed(f"{self.signal.shape[1]} samples a lead; 1 to {MAX_SAMPLES} are accepted")
        if not MIN_SAMPLING_RATE <= self.sampling_rate <= MAX_SAMPLING_RATE:
            raise SamplingRateInvalid(
                f"sampling rate {self.sampling_rate:g} Hz; {MIN_SAMPLING_RATE:g} to {MAX_SAMPLING_RATE:g} are accepted"
            )
        if self.recorded_at is not None and self.recorded_at.tzinfo is None:
            raise ValueError("recorded_at must be aware")
        if self.age is not None and not 0 <= self.age <= MAX_AGE:
            raise ValueError(f"age {self.age} is not 0 to {MAX_AGE:g} years")
        self.signal.setflags(write=False)

    @property
    def duration(self) -> float:
        """Seconds."""
        return float(self.signal.shape[1] / self.sampling_rate)


def assemble(leads: Mapping[str, NDArray[np.floating]]) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Put leads given by name (keys from `LEADS`, values in mV, one length) into one array of shape (12, samples).

    Missing limb leads are completed from I and II; the second value names what was completed, as notes for
    `Recording.notes`. Raises LeadsMissing when an independent lead is absent, SignalMalformed when lengths differ.
    """
    missing = [lead for lead in INDEPENDENT_LEADS if lead not in leads]
    if missing:
        raise LeadsMissing(f"missing {', '.join(missing)}: the eight independent leads I, II, V1 to V6 are needed")
    lengths = {lead: len(values) for lead, values in leads.items()}
    if len(set(lengths.values())) != 1:
        raise SignalMalformed(f"leads differ in length: {lengths}")
    one, two = np.asarray(leads["I"], np.float32), np.asarray(leads["II"], np.float32)
    derived = {"III": two - one, "aVR": -(one + two) / 2, "aVL": one - two / 2, "aVF": two - one / 2}
    completed = [lead for lead in derived if lead not in leads]
    signal = np.stack([np.asarray(leads.get(lead, derived.get(lead)), np.float32) for lead in LEADS])
    notes = (f"Leads {', '.join(completed)} were calculated from I and II.",) if completed else ()
    return signal, notes

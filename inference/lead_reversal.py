"""Exchanged electrodes, as far as one recording can tell.

Exchanged arm electrodes turn lead I upside down: it becomes the mirror image of V6, which sees the heart from the same
side, and its P wave points down. Right arm and left leg exchanged do the same to II. The six chest leads are taken
round the chest, so that each looks most like its neighbours; if they are clearly smoother in another order, two of
them are exchanged. (Batchvarov et al., Europace 9:1081, 2007, describe the patterns.) Left arm with left leg, and V5
with V6, cannot be told from a normal variant and are not looked for.

The limits were set on PTB-XL and Chapman recordings by exchanging leads in them. Found are 93 % of exchanged arms, 81 %
of right arm and left leg, 96 % of V1 and V6, 82 % of V2 and V4, 69 % of V1 and V3, 49 % of V2 and V3, 21 % of V1 and
V2. As they are, 1.1 % of the recordings are suspected, some of them rightly.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.coarse_beat import BEFORE_R, CoarseBeats
from inference.recording import LEADS

_I, _II, _AVR, _V6 = (LEADS.index(lead) for lead in ("I", "II", "aVR", "V6"))
_CHEST = LEADS.index("V1")

# Seconds from R, wide enough for a coarse alignment.
_P_WAVE = (-0.22, -0.075)
_PR_SEGMENT = (-0.085, -0.055)
_QRS = (-0.055, 0.065)
_T_WAVE = (0.13, 0.38)
_CHEST_WINDOW = (-0.06, 0.36)

# Correlation of the QRS complexes of two leads that look from the same side: a mirror image with the P wave inverted
# too, or one so exact that no P wave (atrial fibrillation) is needed.
_MIRRORED = -0.3
_EXACTLY_MIRRORED = -0.8
_P_INVERTED = -0.005  # mV, mean over the P window

# How much smoother the chest leads must become. The exchanges that one recording can show, as positions 1 to 6.
_SMOOTHER = 0.55
_EXCHANGES = ((1, 2), (1, 3), (2, 3), (3, 4), (4, 5), (1, 6), (2, 4), (3, 5), (4, 6))


def _order(one: int, other: int) -> list[int]:
    order = list(range(6))
    order[one - 1], order[other - 1] = other - 1, one - 1
    return order


_ORDERS = np.array([list(range(6)), *(_order(*pair) for pair in _EXCHANGES)])


@dataclass(frozen=True, slots=True)
class Suspicion:
    """leads: those that look wrong. text: which electrodes may be exchanged."""

    leads: tuple[str, ...]
    text: str


def suspected_reversal(beats: CoarseBeats, lost: NDArray[np.bool_]) -> Suspicion | None:
    """The most likely exchange, or None. lost: (12,), leads that carry no signal and cannot testify."""
    if beats.beat is None:
        return None
    limb = None if lost[[_I, _II, _AVR, _V6]].any() else _limb(_Beat(beats.beat, beats.rate))
    if limb is not None or lost[_CHEST:].any():
        return limb
    return _chest(_Beat(beats.beat, beats.rate))


@dataclass(frozen=True, slots=True, eq=False)
class _Beat:
    beat: NDArray[np.float32]
    rate: float

    def part(self, lead: int | slice, window: tuple[float, float]) -> NDArray[np.float32]:
        start, end = (round((BEFORE_R + seconds) * self.rate) for seconds in window)
        return self.beat[lead, start : end + 1]

    def qrs(self, lead: int) -> NDArray[np.float32]:
        qrs: NDArray[np.float32] = self.part(lead, _QRS) - self.part(lead, _PR_SEGMENT).mean()
        return qrs

    def p_wave(self, lead: int) -> float:
        """Mean deviation from the line through its feet, mV."""
        wave = self.part(lead, _P_WAVE)
        return float(wave.mean() - (wave[0] + wave[-1]) / 2)

    def t_wave(self, lead: int) -> float:
        return float(self.part(lead, _T_WAVE).mean() - self.part(lead, _PR_SEGMENT).mean())

    def likeness(self, lead: int, other: int) -> float:
        one, two = self.qrs(lead), self.qrs(other)
        return float((one @ two) / np.sqrt((one @ one) * (two @ two) + 1e-12))


def _limb(beat: _Beat) -> Suspicion | None:
    # II first: exchanging right arm and left leg puts -III into I, which may point away from V6 as well.
    inverted = beat.p_wave(_II) < 0 and beat.t_wave(_II) < 0
    if inverted and beat.likeness(_II, _V6) < _MIRRORED:
        return Suspicion(("II", "aVR", "aVF"), "Lead II is upside down: right arm and left leg may be exchanged.")
    likeness = beat.likeness(_I, _V6)
    if likeness < _EXACTLY_MIRRORED or (likeness < _MIRRORED and beat.p_wave(_I) < _P_INVERTED):
        text = "Lead I mirrors V6: the arm electrodes may be exchanged (or dextrocardia)."
        return Suspicion(("I", "aVR", "aVL"), text)
    return None


def _chest(beat: _Beat) -> Suspicion | None:
    leads = beat.part(slice(_CHEST, None), _CHEST_WINDOW)
    leads = leads / np.sqrt(np.einsum("ij,ij->i", leads, leads) + 1e-9)[:, np.newaxis]
    # Squared distance of every two leads; the roughness of an order is the sum along it.
    distance = 2 - 2 * np.einsum("ik,jk->ij", leads, leads)
    roughness = distance[_ORDERS[:, :-1], _ORDERS[:, 1:]].sum(axis=1)
    best = int(roughness[1:].argmin())
    if roughness[1 + best] > _SMOOTHER * roughness[0]:
        return None
    names = tuple(f"V{position}" for position in _EXCHANGES[best])
    return Suspicion(names, f"{names[0]} and {names[1]} look exchanged in the series V1 to V6.")

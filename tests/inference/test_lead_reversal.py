from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.coarse_beat import CoarseBeats, find_coarse_beats, to_grid
from inference.formats import read
from inference.lead_reversal import Suspicion, suspected_reversal
from inference.recording import LEADS

Signal = NDArray[np.float32]
NONE_LOST = np.zeros(12, np.bool_)


@pytest.fixture(scope="module")
def signal(examples: Path) -> Signal:
    return read(examples / "00010_hr.hea").signal


def _suspicion(signal: Signal, lost: NDArray[np.bool_] = NONE_LOST, rate: float = 500) -> Suspicion | None:
    grid, grid_rate = to_grid(signal, rate)
    return suspected_reversal(find_coarse_beats(grid, grid_rate, np.diff(grid, axis=1)), lost)


def _arms_exchanged(signal: Signal) -> Signal:
    exchanged = signal[[0, 2, 1, 4, 3, 5, *range(6, 12)]]
    exchanged[0] *= -1
    return exchanged


def _right_arm_and_leg_exchanged(signal: Signal) -> Signal:
    exchanged = signal[[2, 1, 0, 5, 4, 3, *range(6, 12)]]
    exchanged[:3] *= -1
    return exchanged


def _chest_exchanged(signal: Signal, one: str, other: str) -> Signal:
    order = list(range(12))
    i, j = LEADS.index(one), LEADS.index(other)
    order[i], order[j] = j, i
    return signal[order]


def test_nothing_is_suspected_in_a_normal_recording(signal: Signal) -> None:
    assert _suspicion(signal) is None


def test_exchanged_arms_are_suspected(signal: Signal) -> None:
    suspicion = _suspicion(_arms_exchanged(signal))
    assert suspicion is not None
    assert "arm" in suspicion.text


def test_right_arm_and_left_leg_exchanged_are_suspected(signal: Signal) -> None:
    suspicion = _suspicion(_right_arm_and_leg_exchanged(signal))
    assert suspicion is not None
    assert "leg" in suspicion.text


@pytest.mark.parametrize(("one", "other"), [("V1", "V3"), ("V2", "V4")])
def test_exchanged_chest_leads_are_named(signal: Signal, one: str, other: str) -> None:
    suspicion = _suspicion(_chest_exchanged(signal, one, other))
    assert suspicion is not None
    assert suspicion.leads == (one, other)


def test_a_lost_lead_cannot_testify(signal: Signal) -> None:
    lost = NONE_LOST.copy()
    lost[LEADS.index("V6")] = True
    assert _suspicion(_arms_exchanged(signal), lost) is None
    assert _suspicion(_chest_exchanged(signal, "V1", "V3"), lost) is None


def test_without_a_beat_nothing_is_suspected() -> None:
    assert suspected_reversal(CoarseBeats(0, 0, None, 125), NONE_LOST) is None


def test_exchanges_made_in_real_recordings_are_mostly_found_and_rarely_imagined(shared_data: Path) -> None:
    recordings = [read(path) for path in sorted((shared_data / "ptbxl/records100").glob("*/*.hea"))[::15]]
    changes: dict[str, Callable[[Signal], Signal]] = {
        "none": lambda s: s,
        "arms": _arms_exchanged,
        "right arm and leg": _right_arm_and_leg_exchanged,
        "V2 and V4": lambda s: _chest_exchanged(s, "V2", "V4"),
    }
    found = {
        name: np.mean([_suspicion(change(r.signal), rate=r.sampling_rate) is not None for r in recordings])
        for name, change in changes.items()
    }
    assert found["none"] < 0.02
    assert found["arms"] > 0.85
    assert found["right arm and leg"] > 0.7
    assert found["V2 and V4"] > 0.7

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.formats import read
from inference.pacing import paced

PACED = {"00144_hr", "00190_hr", "00385_hr", "00498_hr"}  # scp code PACE among PTB-XL's first 500


@pytest.fixture(scope="module")
def signal(examples: Path) -> NDArray[np.float32]:
    return read(examples / "00010_hr.hea").signal


def _with_spikes(signal: NDArray[np.float32]) -> NDArray[np.float32]:
    spiked = signal.copy()
    for start in range(250, 4900, 400):
        spiked[:, start : start + 2] += 2
    return spiked


def test_a_normal_recording_is_not_paced(signal: NDArray[np.float32]) -> None:
    assert not paced(signal, 500)


def test_a_spike_each_beat_is_pacing(signal: NDArray[np.float32]) -> None:
    assert paced(_with_spikes(signal), 500)


def test_one_artefact_is_not_pacing(signal: NDArray[np.float32]) -> None:
    torn = signal.copy()
    torn[:, 2000:2002] += 5
    assert not paced(torn, 500)


def test_below_400_hz_nothing_is_claimed(signal: NDArray[np.float32]) -> None:
    assert not paced(_with_spikes(signal)[:, ::5].copy(), 100)


def test_a_flat_signal_is_not_paced() -> None:
    assert not paced(np.zeros((12, 5000), np.float32), 500)


def test_the_four_paced_recordings_are_found_and_no_other(shared_data: Path) -> None:
    paths = sorted((shared_data / "ptbxl/records500").glob("*/*.hea"))
    some = [path for i, path in enumerate(paths) if path.stem in PACED or i % 4 == 0]
    assert {path.stem for path in some if paced(read(path).signal, 500)} == PACED

from pathlib import Path

import numpy as np
import pytest

from inference.limb_leads import INDEPENDENT_ROWS, completed, needed_rows
from inference.recording import INDEPENDENT_LEADS, LEADS, assemble
from tests.inference.ecg_files import read


@pytest.fixture
def signal(examples: Path) -> np.ndarray:
    return read(examples / "00184_hr").signal


def test_the_independent_rows_are_those_of_the_independent_leads() -> None:
    assert tuple(LEADS[row] for row in INDEPENDENT_ROWS) == INDEPENDENT_LEADS


def test_of_a_recording_that_obeys_einthoven_eight_leads_are_needed(signal: np.ndarray) -> None:
    rows = needed_rows(signal)
    np.testing.assert_array_equal(rows, signal[INDEPENDENT_ROWS])
    # Stored to the nearest microvolt.
    np.testing.assert_allclose(completed(rows), signal, atol=0.002)


def test_completion_is_that_of_a_recording_with_eight_leads(signal: np.ndarray) -> None:
    given = {lead: signal[LEADS.index(lead)] for lead in INDEPENDENT_LEADS}
    np.testing.assert_allclose(completed(signal[INDEPENDENT_ROWS]), assemble(given)[0], atol=1e-6)


@pytest.mark.parametrize("lead", range(2, 6))
def test_a_derived_lead_that_does_not_follow_keeps_its_own_signal(signal: np.ndarray, lead: int) -> None:
    other = signal.copy()
    other[lead] = -other[lead]
    rows = needed_rows(other)
    assert rows.shape == other.shape
    np.testing.assert_array_equal(completed(rows), other)


def test_a_gap_in_a_limb_lead_is_no_agreement(signal: np.ndarray) -> None:
    torn = signal.copy()
    torn[4] = np.nan
    assert len(needed_rows(torn)) == len(LEADS)

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from inference.einthoven import disagreeing_leads
from inference.recording import INDEPENDENT_LEADS, LEADS, assemble

NONE_LOST = np.zeros(12, np.bool_)


def _steps(seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    signal, _ = assemble({lead: rng.normal(size=200) for lead in INDEPENDENT_LEADS})
    return np.diff(signal, axis=1)


@given(st.integers(0, 2**32 - 1))
def test_leads_made_from_i_and_ii_agree(seed: int) -> None:
    assert disagreeing_leads(_steps(seed), NONE_LOST) == ()


@pytest.mark.parametrize("lead", ["III", "aVR", "aVL", "aVF"])
def test_a_derived_lead_with_its_sign_turned_is_named(lead: str) -> None:
    steps = _steps()
    steps[LEADS.index(lead)] *= -1
    assert disagreeing_leads(steps, NONE_LOST) == (lead,)


def test_i_and_ii_under_each_others_name_break_what_follows_from_their_difference() -> None:
    steps = _steps()[[1, 0, *range(2, 12)]]
    assert disagreeing_leads(steps, NONE_LOST) == ("III", "aVL", "aVF")


def test_relations_with_a_lost_lead_are_not_judged() -> None:
    steps, lost = _steps(), NONE_LOST.copy()
    steps[LEADS.index("I")] = 0
    lost[LEADS.index("I")] = True
    assert disagreeing_leads(steps, lost) == ()


def test_rounding_and_a_little_noise_do_not_matter() -> None:
    steps = _steps() + np.random.default_rng(1).normal(0, 0.05, (12, 199)).astype(np.float32)
    assert disagreeing_leads(steps, NONE_LOST) == ()

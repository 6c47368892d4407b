from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from inference.errors import LeadsMissing, SamplingRateInvalid, SignalMalformed
from inference.recording import INDEPENDENT_LEADS, LEADS, MAX_SAMPLES, Recording, assemble


def _signal(samples: int = 100) -> NDArray[np.float32]:
    return np.zeros((12, samples), np.float32)


def test_a_recording_knows_its_duration() -> None:
    assert Recording(_signal(5000), 500).duration == 10.0


def test_a_recordings_signal_cannot_be_changed() -> None:
    recording = Recording(_signal(), 500)
    with pytest.raises(ValueError, match="read-only"):
        recording.signal[0, 0] = 1


@pytest.mark.parametrize(
    "signal",
    [np.zeros((12, 100)), np.zeros((11, 100), np.float32), np.zeros(1200, np.float32), np.zeros((12, 0), np.float32)],
)
def test_a_signal_of_another_shape_or_type_is_refused(
    signal: NDArray[np.float32],
) -> None:
    with pytest.raises(SignalMalformed):
        Recording(signal, 500)


def test_a_holter_recording_is_refused() -> None:
    with pytest.raises(SignalMalformed, match="600000"):
        Recording(_signal(MAX_SAMPLES + 1), 1000)


@pytest.mark.parametrize("rate", [0, -500, 2, 49.9, 40_001, float("nan"), float("inf")])
def test_a_rate_that_is_a_period_or_nonsense_is_refused(rate: float) -> None:
    with pytest.raises(SamplingRateInvalid):
        Recording(_signal(), rate)


def test_a_time_without_zone_is_a_callers_defect() -> None:
    Recording(_signal(), 500, recorded_at=datetime(2024, 1, 1, tzinfo=UTC))
    with pytest.raises(ValueError, match="aware"):
        Recording(_signal(), 500, recorded_at=datetime(2024, 1, 1))  # noqa: DTZ001 - that is the point


@pytest.mark.parametrize("age", [-1, 300])
def test_an_impossible_age_is_a_callers_defect(age: float) -> None:
    with pytest.raises(ValueError, match="years"):
        Recording(_signal(), 500, age=age)


millivolts = st.lists(st.floats(-5, 5, width=32), min_size=8, max_size=8)


@given(millivolts)
def test_missing_limb_leads_follow_einthoven_and_goldberger(values: list[float]) -> None:
    given_leads = {lead: np.array([v], np.float32) for lead, v in zip(INDEPENDENT_LEADS, values, strict=True)}
    signal, notes = assemble(given_leads)
    one, two, three, avr, avl, avf = signal[:6, 0]
    assert one + three == pytest.approx(two, abs=1e-5)
    assert avr + avl + avf == pytest.approx(0, abs=1e-5)
    assert avf == pytest.approx((two + three) / 2, abs=1e-5)
    assert notes == ("Leads III, aVR, aVL, aVF were calculated from I and II.",)


def test_leads_that_are_given_are_kept_and_put_in_order() -> None:
    signal, notes = assemble({lead: np.full(3, i) for i, lead in reversed(list(enumerate(LEADS)))})
    assert signal[:, 0].tolist() == list(range(12))
    assert signal.dtype == np.float32
    assert notes == ()


def test_a_missing_independent_lead_is_named() -> None:
    with pytest.raises(LeadsMissing, match="V4"):
        assemble({lead: np.zeros(3) for lead in LEADS if lead != "V4"})


def test_leads_of_different_length_are_refused() -> None:
    with pytest.raises(SignalMalformed, match="length"):
        assemble({lead: np.zeros(3 + (lead == "V6")) for lead in LEADS})

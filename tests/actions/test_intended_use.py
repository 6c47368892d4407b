from typing import Any

import numpy as np
import pytest

from actions.intended_use import outside_intended_use
from inference.quality import QualityCode, QualityReport
from inference.recording import Recording
from tests.actions.cases import flawed


def recording(**given: Any) -> Recording:
    return Recording(signal=np.zeros((12, 5000), np.float32), sampling_rate=500, **given)


def test_a_resting_ecg_of_an_adult_is_inside() -> None:
    assert outside_intended_use(recording(age=18.0, paced=False, resting=True), QualityReport()) == ()


def test_what_the_source_does_not_say_is_inside() -> None:
    assert outside_intended_use(recording(), QualityReport()) == ()


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"age": 17.99}, "the patient is 17 years old, under 18"),
        ({"age": 0.0}, "the patient is 0 years old, under 18"),
        ({"paced": True}, "the source states a paced rhythm"),
        ({"resting": False}, "the source states that it is not a resting 12-lead ECG"),
    ],
)
def test_each_reason_is_named(given: dict[str, Any], reason: str) -> None:
    assert outside_intended_use(recording(**given), QualityReport()) == (reason,)


def test_suspected_pacing_spikes_are_outside() -> None:
    assert outside_intended_use(recording(), flawed(QualityCode.PACING_SPIKES)) == ("pacing spikes are suspected",)


def test_all_reasons_are_given_together() -> None:
    reasons = outside_intended_use(
        recording(age=5, paced=True, resting=False), flawed(QualityCode.PACING_SPIKES, QualityCode.NOISE)
    )
    assert len(reasons) == 4

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actions.analysis import Analysis
from inference.measurements import Measurements
from interop.cds_hooks.comparison import CHANGES, compared
from tests.fakes import make_prediction
from tests.interop.cds_hooks.analyses import analysis

AXES = st.floats(-180, 180)


def measured(**values: float) -> Analysis:
    return replace(analysis(), measurements=Measurements(**values))


def test_what_is_new_what_stays_and_what_is_gone() -> None:
    now = replace(analysis(), prediction=make_prediction(MI=0.8, CD=0.6))
    before = replace(analysis(), prediction=make_prediction(CD=0.5, HYP=0.9, NORM=0.4))
    assert compared(now, before) == (
        "New: Myocardial infarction.",
        "Found in both: Conduction disturbance.",
        "No longer found: Hypertrophy.",
    )


def test_measurements_that_differ_by_more_than_two_recordings_do() -> None:
    texts = compared(measured(qtc=521, heart_rate=80), measured(qtc=430, heart_rate=75, qrs=90))
    assert "QTc 521 ms, before 430 ms." in texts
    assert not any("heart rate" in text.lower() for text in texts)


@given(AXES, AXES)
def test_an_axis_differs_by_the_shorter_way_round(now: float, before: float) -> None:
    told = any(text.startswith("Axis") for text in compared(measured(axis=now), measured(axis=before)))
    apart = abs((now - before + 180) % 360 - 180)
    if abs(apart - CHANGES["axis"]) > 1e-6:
        assert told is (apart > CHANGES["axis"])


@pytest.mark.parametrize("place", [0, 1])
def test_one_that_could_not_be_read_cannot_be_compared_with(place: int) -> None:
    pair = [analysis(), analysis()]
    pair[place] = replace(pair[place], prediction=None)
    (text,) = compared(*pair)
    assert "could not be interpreted" in text


def test_no_change_is_said_too() -> None:
    quiet = replace(analysis(), prediction=make_prediction(NORM=0.9))
    (text,) = compared(quiet, quiet)
    assert "no measurement has changed" in text

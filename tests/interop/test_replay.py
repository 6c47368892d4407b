from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from actions.analysis import Analysis, Door, RequestContext
from actions.analyze import Analyze
from actions.policy import load_policy
from inference.errors import ModelUnavailable
from inference.features import FEATURE_NAMES
from inference.measurements import Measurements
from inference.prediction import ModelStatus
from inference.quality import QualityReport
from inference.recording import Recording
from interop.replay import TOLERANCE, Difference, Engine, _differ, _results, differences
from tests.fakes import CANDIDATE, FakeClassify, FixedClock, SequentialIds, make_prediction
from tests.interop.service import flat_ecg, real_ecg

POLICY = load_policy(None)
WINDOW = timedelta(hours=24)
SAYS = make_prediction(MI=0.83)


def engine(**changed: Any) -> Engine:
    given: dict[str, Any] = {"classify": FakeClassify(SAYS), "policy": POLICY, "acute_window": WINDOW}
    return Engine(**(given | changed))


def analysed(recording: Recording, prediction: Any = SAYS) -> Analysis:
    use = Analyze(classify=FakeClassify(prediction), policy=POLICY, clock=FixedClock(), ids=SequentialIds())
    context = RequestContext(door=Door.FHIR, received_at=FixedClock().now, correlation_id="c")
    return use(recording, context)


def fields(found: tuple[Difference, ...]) -> list[str]:
    return [one.field for one in found]


def test_the_same_gives_the_same() -> None:
    past = analysed(real_ecg())
    assert differences(past, real_ecg(), engine(), features=past.features) == ()


def test_age_and_sex_are_those_of_the_analysis() -> None:
    past = analysed(real_ecg())
    assert differences(past, replace(real_ecg(), age=None), engine(), features=past.features) == ()


def test_a_probability_that_differs_in_its_last_bit_is_found() -> None:
    past = analysed(real_ecg())
    other = make_prediction(MI=float(np.nextafter(0.83, 1)))
    found = differences(past, real_ecg(), engine(classify=FakeClassify(other)))
    assert "prediction.probabilities.MI" in fields(found)
    assert (found[0].then, found[0].now) == (0.83, float(np.nextafter(0.83, 1)))
    assert differences(past, real_ecg(), engine(classify=FakeClassify(other)), tolerance=TOLERANCE) == ()


def test_the_tolerance_is_for_numbers_and_no_larger_than_it_says() -> None:
    past = analysed(real_ecg())
    found = differences(past, real_ecg(), engine(classify=FakeClassify(make_prediction(MI=0.84))), tolerance=TOLERANCE)
    assert "prediction.probabilities.MI" in fields(found)
    (text,) = differences(replace(past, conclusion="Normal."), real_ecg(), engine(), tolerance=TOLERANCE)
    assert (text.field, text.then) == ("conclusion", "Normal.")


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"measurements": Measurements()}, "measurements.heart_rate"),
        ({"quality": QualityReport(())}, "quality.findings"),
        ({"recommendations": ()}, "recommendations"),
        ({"conclusion_codes": ()}, "conclusion_codes"),
        ({"warnings": ("something else",)}, "warnings"),
        ({"outside_intended_use": ("something else",)}, "outside_intended_use"),
        ({"archived": True}, "archived"),
        ({"sampling_rate": 499.0}, "sampling_rate"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_result_is_compared(changed: dict[str, Any], expected: str) -> None:
    recording = replace(real_ecg(), signal=_with_a_finding())
    past = replace(analysed(recording), **changed)
    assert any(field.startswith(expected) for field in fields(differences(past, recording, engine())))


def _with_a_finding() -> Any:
    """V6 without a signal for a while: usable, with a remark."""
    signal = real_ecg().signal.copy()
    signal[11] = 0
    return signal


def test_thresholds_and_rules_of_another_card_and_file_are_found() -> None:
    past = analysed(real_ecg())
    other = replace(SAYS, thresholds=dict.fromkeys(SAYS.thresholds, 0.4))
    found = differences(past, real_ecg(), engine(classify=FakeClassify(other)))
    assert "prediction.thresholds.MI" in fields(found)


def test_a_model_that_was_promoted_since_is_the_same_model() -> None:
    past = analysed(real_ecg(), make_prediction(CANDIDATE, MI=0.83))
    promoted = replace(CANDIDATE, status=ModelStatus.CHAMPION)
    found = differences(past, real_ecg(), engine(classify=FakeClassify(make_prediction(promoted, MI=0.83))))
    assert found == ()


def test_features_are_compared_by_their_names() -> None:
    past = analysed(real_ecg())
    assert past.features is not None
    other = past.features.copy()
    other[3] += 1
    (found,) = differences(past, real_ecg(), engine(), features=other)
    assert found.field == f"features.{FEATURE_NAMES[3]}"
    (shorter,) = differences(past, real_ecg(), engine(), features=past.features[:-1])
    assert shorter.field == "features"


def test_another_acute_window_shows_in_the_results() -> None:
    recording = replace(real_ecg(), recorded_at=FixedClock().now - timedelta(hours=2))
    past = analysed(recording)
    assert differences(past, recording, engine()) == ()
    found = fields(differences(past, recording, engine(acute_window=timedelta(hours=1))))
    assert "archived" in found


def test_the_time_of_then_counts_and_not_that_of_now() -> None:
    past = analysed(replace(real_ecg(), recorded_at=FixedClock().now - timedelta(hours=23)))
    assert not past.archived
    assert differences(past, replace(real_ecg(), recorded_at=past.recorded_at), engine()) == ()


@pytest.mark.parametrize("stated", [{"paced": True}, {"resting": False}, {"paced": True, "resting": False}])
def test_what_the_source_stated_is_known_by_what_followed_from_it(stated: dict[str, Any]) -> None:
    past = analysed(replace(real_ecg(), **stated))
    assert len(past.outside_intended_use) == len(stated)
    assert differences(past, real_ecg(), engine()) == ()


def test_notes_of_the_door_stand_among_the_warnings() -> None:
    past = analysed(replace(real_ecg(), notes=("Only the year of birth is known.",)))
    assert differences(past, real_ecg(), engine(), notes=["Only the year of birth is known."]) == ()
    assert fields(differences(past, real_ecg(), engine())) == ["warnings"]


def test_what_could_not_be_interpreted_needs_no_model() -> None:
    past = analysed(flat_ecg())
    assert past.prediction is None
    assert differences(past, flat_ecg(), engine(classify=None)) == ()


def test_what_could_not_be_interpreted_and_now_can_differs_in_quality() -> None:
    past = replace(analysed(flat_ecg()), age=74.0)
    assert fields(differences(past, real_ecg(), engine(classify=None))) == ["quality"]


def test_what_was_interpreted_and_now_cannot_differs() -> None:
    found = fields(differences(analysed(real_ecg()), flat_ecg(), engine()))
    assert "prediction" in found
    assert any(field.startswith("quality") for field in found)


def test_without_the_model_of_then_nothing_is_said() -> None:
    with pytest.raises(ModelUnavailable):
        differences(analysed(real_ecg()), real_ecg(), engine(classify=None))


def test_a_zero_with_another_sign_is_another_value() -> None:
    past = analysed(real_ecg())
    zero, other = (replace(past, measurements=replace(past.measurements, axis=value)) for value in (0.0, -0.0))
    assert [one.field for one in _differ("", _results(zero), _results(other), 0.0)] == ["measurements.axis"]

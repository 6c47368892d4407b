import numpy as np

from inference.features import FEATURE_NAMES
from inference.labels import Superclass
from tests.training.monitoring.ecgs import detail_of, ecgs
from tests.training.monitoring.seen import analysis, unreadable
from training.monitoring.columns import BY_NAME, COLUMNS, PLACES, sample_of


def test_every_column_has_a_name_of_its_own_and_a_value_for_each_ecg() -> None:
    sample = sample_of(ecgs(3, seed=0))
    assert len(BY_NAME) == len(COLUMNS) == len(sample.columns)
    assert {len(values) for values in sample.columns.values()} == {3} == {len(sample)}


def test_a_feature_is_found_at_its_place() -> None:
    features = np.arange(len(FEATURE_NAMES), dtype="<f4")
    sample = sample_of([analysis(features=features.tobytes())])
    assert {name: sample.columns[name].tolist() for name in PLACES} == {name: [at] for name, at in PLACES.items()}
    assert sample.columns["V5_st60"].tolist() == [FEATURE_NAMES.index("V5_st60")]


def test_results_and_quality_become_words() -> None:
    row = analysis(
        urgency="immediate",
        probabilities={**dict.fromkeys((c.value for c in Superclass), 0.1), "MI": 0.3},
        detail=detail_of("noise", sampling_rate=250.0),
    )
    columns = sample_of([row]).columns
    told = {name: columns[name][0] for name in ("urgent", "decided MI", "decided CD", "quality noise", "sampling rate")}
    assert told == {
        "urgent": "yes", "decided MI": "yes", "decided CD": "no", "quality noise": "yes", "sampling rate": "250 Hz"
    }  # fmt: skip
    assert columns["quality saturation"][0] == "no"


def test_what_is_not_known_is_left_out() -> None:
    rows = [unreadable(sex="unknown", age=None, features=None), analysis(features=b"\0" * 8)]
    sample = sample_of(rows)
    assert sample.known("sex").tolist() == ["male"]
    assert sample.known("age").tolist() == [65.0]
    assert len(sample.known("heart_rate")) == 0  # of another version of the features, or of none
    assert sample.known("urgent").tolist() == ["no"]
    assert sample.known("interpretable").tolist() == ["no", "yes"]
    assert len(sample.known("probability MI")) == len(sample.known("decided MI")) == 1
    assert len(sample_of([])) == 0

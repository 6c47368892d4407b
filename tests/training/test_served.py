from pathlib import Path

import numpy as np
import pytest

from actions.policy import load_policy
from inference.labels import Superclass
from training.datasets.entry import Split
from training.datasets.ptbxl import read_index
from training.fairness import judge_fairness
from training.served import fairness_input

THRESHOLDS = dict.fromkeys(Superclass, 0.3)


def test_certain_and_right_predictions_of_real_recordings_are_as_urgent_as_the_truth(ptbxl: Path) -> None:
    entries = [e for e in read_index(ptbxl, Split.VAL) if e.age is not None][:12]
    labels = np.array([[e.labels[c] for c in Superclass] for e in entries], np.float32)
    backwards = [e.recording_id for e in entries][::-1]
    given, serve = fairness_input(entries, backwards, labels[::-1], THRESHOLDS, load_policy())
    assert np.array_equal(given.urgent, given.true_urgent == 1)
    assert 0 < given.urgent.sum() < len(given)
    assert serve(np.zeros_like(labels)).sum() < given.urgent.sum()
    report = judge_fairness(given)
    assert report.recordings + sum(report.left_out.values()) == 12
    assert not report.passes, "twelve are too few to judge"


def test_recordings_that_were_not_predicted_or_whose_age_is_unknown_do_not_enter(ptbxl: Path) -> None:
    entries = read_index(ptbxl, Split.VAL)
    aged = [e for e in entries if e.age is not None]
    unaged = next(e for e in entries if e.age is None)
    ids = [aged[0].recording_id, unaged.recording_id]
    given, _ = fairness_input(entries, ids, np.zeros((2, 5), np.float32), THRESHOLDS, load_policy())
    assert given.age == [aged[0].age]
    with pytest.raises(ValueError, match="no recording of known age"):
        fairness_input(entries, ["none"], np.zeros((1, 5), np.float32), THRESHOLDS, load_policy())

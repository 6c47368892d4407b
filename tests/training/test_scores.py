import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from inference.labels import Superclass
from training.scores import assess, bootstrap, class_auc, macro_auc

THRESHOLDS = dict.fromkeys(Superclass, 0.5)


def _random(recordings: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    labels = (rng.random((recordings, 5)) < 0.4).astype(np.float32)
    return labels, (0.4 * labels + rng.random((recordings, 5))).astype(np.float32) / 1.4


def test_the_auc_is_that_of_scikit_learn_also_with_ties() -> None:
    labels, probabilities = _random()
    for given in (probabilities, probabilities.round(1)):
        expected = roc_auc_score(labels, given, average=None)
        assert [class_auc(labels, given, c) for c in Superclass] == pytest.approx(expected)
        assert macro_auc(labels, given) == pytest.approx(roc_auc_score(labels, given))


def test_the_macro_auc_leaves_out_classes_without_both_kinds() -> None:
    labels, probabilities = _random()
    labels[:, 4] = 0
    four = [class_auc(labels, probabilities, c) for c in list(Superclass)[:4]]
    assert macro_auc(labels, probabilities) == pytest.approx(np.mean(four))
    with pytest.raises(ValueError, match="no class"):
        macro_auc(np.zeros_like(labels), probabilities)


def test_a_bootstrap_interval_holds_the_value_and_shrinks_with_more_recordings() -> None:
    labels, probabilities = _random(400)
    few = bootstrap(macro_auc, labels[:100], probabilities[:100])
    many = bootstrap(macro_auc, labels, probabilities)
    assert few.low < few.value < few.high
    assert many.high - many.low < few.high - few.low


def test_sensitivity_and_specificity_are_those_of_the_threshold() -> None:
    labels = np.zeros((4, 5), np.float32)
    labels[:2] = 1
    probabilities = np.full((4, 5), 0.1, np.float32)
    probabilities[[0, 3]] = 0.5  # one of two positives and one of two negatives reach the threshold
    scores = assess(labels, probabilities, THRESHOLDS).classes[Superclass.CD]
    assert (scores.positives, scores.sensitivity, scores.specificity) == (2, 0.5, 0.5)


def test_a_class_without_positives_has_no_auc_and_no_sensitivity() -> None:
    labels, probabilities = _random()
    labels[:, 0] = 0
    scores = assess(labels, probabilities, THRESHOLDS).classes[Superclass.NORM]
    assert (scores.positives, scores.auc, scores.sensitivity) == (0, None, None)

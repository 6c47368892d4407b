import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from training.bootstrap import evaluate_once
from training.ranking import auc, average_precision, precision_recall, rank, roc_at


def _random(seed: int = 3, recordings: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = (rng.random(recordings) < 0.4).astype(np.float32)
    return truth, (0.4 * truth + rng.random(recordings)).astype(np.float32) / 1.4


def test_auc_and_average_precision_are_those_of_scikit_learn_also_with_ties() -> None:
    truth, probability = _random()
    for given in (probability, probability.round(1)):
        assert evaluate_once(auc(truth, given), 200) == pytest.approx(roc_auc_score(truth, given))
        assert evaluate_once(average_precision(truth, given), 200) == pytest.approx(
            average_precision_score(truth, given)
        )


def test_a_weighted_score_is_that_of_recordings_repeated_as_often() -> None:
    truth, probability = _random()
    counts = np.random.default_rng(5).integers(0, 4, 200)
    weights = counts[:, None].astype(np.float64)
    repeated, scores = np.repeat(truth, counts), np.repeat(probability, counts)
    assert auc(truth, probability)(weights)[0] == pytest.approx(roc_auc_score(repeated, scores))
    assert average_precision(truth, probability)(weights)[0] == pytest.approx(average_precision_score(repeated, scores))


def test_a_recording_whose_label_is_unknown_counts_for_nothing() -> None:
    truth, probability = _random()
    masked = truth.copy()
    masked[::3] = np.nan
    known = ~np.isnan(masked)
    expected = roc_auc_score(truth[known], probability[known])
    assert evaluate_once(auc(masked, probability), 200) == pytest.approx(expected)


@pytest.mark.parametrize("truth", [np.zeros(9), np.ones(9), np.full(9, np.nan)])
def test_without_both_kinds_nothing_is_defined(truth: np.ndarray) -> None:
    probability = np.linspace(0, 1, 9)
    assert np.isnan(evaluate_once(auc(truth, probability), 9))
    assert np.isnan(evaluate_once(average_precision(truth, probability), 9))


def test_the_roc_curve_is_that_of_scikit_learn() -> None:
    truth, probability = _random()
    rates = np.linspace(0, 1, 33)
    x, y, _ = roc_curve(truth, probability, drop_intermediate=False)
    (found,) = roc_at(rank(truth, probability), np.ones((200, 1)), rates)
    inside = ~np.isin(rates, x)  # on a step both ends are right
    assert found[inside] == pytest.approx(np.interp(rates, x, y)[inside])


def test_the_precision_recall_curve_is_that_of_scikit_learn() -> None:
    truth, probability = _random()
    recall, precision = precision_recall(rank(truth, probability))
    expected_precision, expected_recall, _ = precision_recall_curve(truth, probability)
    assert recall == pytest.approx(expected_recall[-2::-1])
    assert precision == pytest.approx(expected_precision[-2::-1])

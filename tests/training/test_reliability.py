import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from training.bootstrap import evaluate_once
from training.reliability import brier, calibration_error, recalibration, reliability_bins


def _calibrated(recordings: int = 20_000, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    probability = expit(rng.normal(-1, 1.5, recordings))
    return (rng.random(recordings) < probability).astype(np.float64), probability


def test_calibrated_probabilities_have_slope_one_intercept_zero_and_little_error() -> None:
    truth, probability = _calibrated()
    slope, intercept = recalibration(truth, probability) or pytest.fail("not defined")
    assert slope.low < 1 < slope.high
    assert intercept.low < 0 < intercept.high
    assert evaluate_once(calibration_error(truth, probability), len(truth)) < 0.015


def test_probabilities_that_are_too_extreme_and_too_high_show_it_in_slope_and_intercept() -> None:
    truth, probability = _calibrated()
    slope, intercept = recalibration(truth, expit(2 * logit(probability) + 1)) or pytest.fail("not defined")
    assert slope.value == pytest.approx(0.5, abs=0.03)
    assert intercept.value == pytest.approx(-0.5, abs=0.06)
    assert evaluate_once(calibration_error(truth, expit(logit(probability) + 1)), len(truth)) > 0.1


def test_slope_and_intercept_are_those_of_a_logistic_regression() -> None:
    truth, probability = _calibrated(500)
    reference = LogisticRegression(C=np.inf).fit(logit(probability)[:, None], truth)
    slope, intercept = recalibration(truth, probability) or pytest.fail("not defined")
    assert slope.value == pytest.approx(reference.coef_[0, 0], rel=1e-3)
    assert intercept.value == pytest.approx(reference.intercept_[0], rel=1e-2, abs=1e-3)


@pytest.mark.parametrize("truth", [np.zeros(40), np.ones(40), np.arange(40) >= 20.0])
def test_one_kind_only_or_kinds_that_are_separated_have_no_slope(truth: np.ndarray) -> None:
    assert recalibration(truth.astype(float), np.linspace(0.1, 0.9, 40)) is None


def test_the_brier_score_is_that_of_scikit_learn() -> None:
    truth, probability = _calibrated(300)
    assert evaluate_once(brier(truth, probability), 300) == pytest.approx(brier_score_loss(truth, probability))


def test_a_calibration_error_is_the_mean_distance_over_the_bins() -> None:
    truth, probability = _calibrated(200)
    bins = reliability_bins(truth, probability)
    expected = sum(b.recordings * abs(b.predicted - b.observed) for b in bins) / 200
    assert evaluate_once(calibration_error(truth, probability), 200) == pytest.approx(expected)
    assert [b.recordings for b in bins] == [20] * 10
    assert [b.predicted for b in bins] == sorted(b.predicted for b in bins)


def test_unknown_labels_are_left_out() -> None:
    truth, probability = _calibrated(200)
    masked = np.where(np.arange(200) % 2, truth, np.nan)
    for score in (brier, calibration_error):
        alone = evaluate_once(score(truth[1::2], probability[1::2]), 100)
        assert evaluate_once(score(masked, probability), 200) == pytest.approx(alone)
    assert sum(b.recordings for b in reliability_bins(masked, probability)) == 100

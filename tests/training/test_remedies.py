from dataclasses import asdict

import numpy as np
import pytest

from inference.recording import Sex
from tests.training.test_fairness import population
from training.fairness import FairnessInput
from training.fairness_report import prices_markdown
from training.remedies import reweighing, trade_off
from training.scores import Probabilities


def _serve(probabilities: Probabilities) -> np.ndarray:
    """Urgent is whatever has a class of 0.5."""
    return np.asarray(probabilities[:, 1] >= 0.5)


@pytest.fixture
def unfair() -> FairnessInput:
    """A model that gives women's findings lower probabilities."""
    given = population({(Sex.MALE, 50): (150, 75, 60), (Sex.FEMALE, 70): (150, 75, 60)})
    probabilities = given.probabilities.copy()
    probabilities[150:] *= 0.75
    return FairnessInput(
        probabilities=probabilities,
        labels=given.labels,
        thresholds=given.thresholds,
        urgent=_serve(probabilities),
        true_urgent=given.true_urgent,
        age=given.age,
        sex=given.sex,
    )


def test_the_model_as_it_is_comes_first_and_fails(unfair: FairnessInput) -> None:
    first = trade_off(unfair, _serve)[0]
    assert first.remedy == "as it is"
    assert first.sex_ratio is not None
    assert first.sex_ratio < 0.8
    assert not first.passes


def test_a_shift_for_all_keeps_the_auc_and_trades_sensitivity_for_specificity(unfair: FairnessInput) -> None:
    prices = {price.remedy: price for price in trade_off(unfair, _serve)}
    as_it_is, up, down = prices["as it is"], prices["every logit +1"], prices["every logit -1"]
    assert up.macro_auc == pytest.approx(as_it_is.macro_auc)
    assert up.urgency_sensitivity > as_it_is.urgency_sensitivity > down.urgency_sensitivity
    assert up.urgency_specificity < as_it_is.urgency_specificity < down.urgency_specificity
    assert up.sex_ratio is not None
    assert as_it_is.sex_ratio is not None
    assert up.sex_ratio > as_it_is.sex_ratio


def test_a_shift_by_sex_makes_the_ratio_hold_and_is_called_not_acceptable(unfair: FairnessInput) -> None:
    last = trade_off(unfair, _serve)[-1]
    assert last.remedy.startswith("logits of female patients +")
    assert last.sex_ratio is not None
    assert last.sex_ratio >= 0.8
    assert not last.acceptable
    assert "not acceptable without a clinical decision" in prices_markdown([asdict(last)])


def test_a_fair_model_needs_no_shift_by_sex() -> None:
    given = population({(Sex.MALE, 50): (100, 50, 50), (Sex.FEMALE, 70): (100, 50, 50)})
    assert all(price.acceptable for price in trade_off(given, lambda _: given.urgent))


def test_a_model_that_was_trained_otherwise_is_judged_by_its_own_probabilities(unfair: FairnessInput) -> None:
    fair = population({(Sex.MALE, 50): (150, 75, 60), (Sex.FEMALE, 70): (150, 75, 60)}).probabilities
    price = next(p for p in trade_off(unfair, _serve, {"reweighed": fair}) if p.remedy == "reweighed")
    assert price.sex_ratio is not None
    assert price.sex_ratio > 0.8
    assert price.macro_auc > trade_off(unfair, _serve)[0].macro_auc


def test_reweighed_recordings_have_the_same_urgent_rate_in_both_sexes() -> None:
    given = population({(Sex.MALE, 50): (120, 0, 90), (Sex.FEMALE, 50): (80, 0, 20), (Sex.UNKNOWN, 50): (10, 0, 5)})
    weights = reweighing(given.true_urgent, given.sex)
    men, women = np.arange(210) < 120, (np.arange(210) >= 120) & (np.arange(210) < 200)
    rates = [np.average(given.true_urgent[rows], weights=weights[rows]) for rows in (men, women)]
    assert rates == pytest.approx([110 / 200] * 2)
    assert weights.mean() == pytest.approx(1)
    assert (weights[200:] == 1).all()


def test_a_sex_without_urgent_recordings_cannot_be_reweighed() -> None:
    given = population({(Sex.MALE, 50): (20, 0, 10), (Sex.FEMALE, 50): (20, 0, 0)})
    assert (reweighing(given.true_urgent, given.sex) == 1).all()

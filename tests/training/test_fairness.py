import json
from dataclasses import replace

import numpy as np
import pytest

from inference.labels import Superclass
from inference.recording import Sex
from training.fairness import FairnessInput, judge_fairness
from training.fairness_report import fairness_markdown

THRESHOLDS = dict.fromkeys(Superclass, 0.5)


def population(groups: dict[tuple[Sex, float | None], tuple[int, int, int]]) -> FairnessInput:
    """Sex and age -> recordings, how many of them are called urgent, how many truly are. Labels follow the truth."""
    sex, age, urgent, true = [], [], [], []
    for (group_sex, group_age), (recordings, called, truly) in groups.items():
        sex += [group_sex] * recordings
        age += [group_age] * recordings
        urgent += [i < called for i in range(recordings)]
        true += [i < truly for i in range(recordings)]
    truth = np.array(true, np.float32)
    noise = np.random.default_rng(0).random((len(truth), 5)).astype(np.float32)
    return FairnessInput(
        probabilities=0.4 * truth[:, None] + 0.6 * noise,
        labels=np.repeat(truth[:, None], 5, axis=1),
        thresholds=THRESHOLDS,
        urgent=np.array(urgent),
        true_urgent=truth.astype(np.float64),
        age=age,
        sex=sex,
    )


def test_the_reference_case_of_equal_groups_with_two_thirds_of_the_urgent_results_male_fails() -> None:
    """Of 500 urgent results 318 are male and 182 female, of 500 recordings each."""
    report = judge_fairness(population({(Sex.MALE, 50): (500, 318, 250), (Sex.FEMALE, 50): (500, 182, 250)}))
    found = report.sex.parity_ratio
    assert found is not None
    assert found.value == pytest.approx(0.364 / 0.636)
    assert round(found.value, 2) == 0.57
    assert found.low < 0.57 < found.high < 0.8
    assert not report.conditions[0].passed
    assert not report.passes


def test_equal_urgent_rates_give_a_ratio_of_one_and_pass() -> None:
    report = judge_fairness(
        population(
            {
                (sex, age): (100, called, called)
                for sex in (Sex.MALE, Sex.FEMALE)
                for age, called in ((30, 30), (70, 75))
            }
        )
    )
    assert [c.value for c in report.conditions] == [1.0, 1.0]
    assert report.passes


def test_exactly_four_fifths_pass() -> None:
    report = judge_fairness(population({(Sex.MALE, 50): (100, 50, 50), (Sex.FEMALE, 70): (100, 40, 40)}))
    assert report.conditions[0].value == 0.8
    assert report.conditions[0].passed


def test_ages_are_judged_by_predicted_over_true_and_not_by_parity() -> None:
    """The old are ill more often: calling them urgent more often is right."""
    report = judge_fairness(population({(Sex.MALE, 30): (100, 30, 30), (Sex.FEMALE, 70): (100, 75, 75)}))
    assert report.age.parity_ratio is not None
    assert report.age.parity_ratio.value == pytest.approx(0.4)
    assert report.conditions[1].value == 1.0
    assert report.conditions[1].passed


def test_an_age_group_whose_urgent_recordings_are_called_too_seldom_fails() -> None:
    report = judge_fairness(population({(Sex.MALE, 30): (100, 15, 30), (Sex.FEMALE, 70): (100, 75, 75)}))
    assert report.conditions[1].value == pytest.approx(0.5)
    assert not report.passes


def test_a_group_of_nineteen_is_listed_but_not_judged() -> None:
    report = judge_fairness(
        population({(Sex.MALE, 30): (20, 10, 10), (Sex.FEMALE, 50): (20, 10, 10), (Sex.MALE, 85): (19, 0, 19)})
    )
    old = report.age.groups["80 and over"]
    assert (old.recordings, old.judged, old.predicted_to_true) == (19, False, None)
    assert report.age.groups["under 40"].judged
    assert report.conditions[1].value == 1.0
    assert "| 80 and over | 19 | 0: 0.00 (0.00 to 0.17) |" in fairness_markdown(report.to_json())


def test_a_group_with_four_truly_urgent_recordings_has_no_ratio_of_predicted_to_true() -> None:
    report = judge_fairness(
        population({(Sex.MALE, 30): (40, 1, 4), (Sex.FEMALE, 50): (40, 20, 20), (Sex.MALE, 70): (40, 18, 20)})
    )
    assert report.age.groups["under 40"].predicted_to_true is None
    assert report.age.groups["under 40"].judged, "its urgent rate can be"
    assert report.conditions[1].value == pytest.approx(0.9)


def test_what_cannot_be_judged_does_not_pass() -> None:
    report = judge_fairness(population({(Sex.MALE, 50): (30, 10, 10), (Sex.FEMALE, 50): (19, 6, 6)}))
    assert report.sex.parity_ratio is None
    assert [c.passed for c in report.conditions] == [False, False]
    assert report.sex.odds["urgent"] is None
    assert "cannot be judged" in fairness_markdown(report.to_json())


def test_minors_and_unknown_patients_are_left_out_and_counted() -> None:
    report = judge_fairness(
        population(
            {
                (Sex.MALE, 50): (30, 10, 10),
                (Sex.FEMALE, None): (4, 4, 4),
                (Sex.UNKNOWN, 50): (5, 5, 5),
                (Sex.MALE, 17): (6, 6, 6),
            }
        )
    )
    assert report.recordings == 30
    assert list(report.left_out.values()) == [9, 6]


def test_equalized_odds_are_those_of_the_definition() -> None:
    """Of 40 truly urgent each, 40 men but 30 women are found; of 60 others 6 men and no woman are called."""
    given = population({(Sex.MALE, 50): (100, 46, 40), (Sex.FEMALE, 50): (100, 30, 40)})
    gap = judge_fairness(given).sex.odds["urgent"]
    assert gap is not None
    assert gap.true_positive_rate == {"female": 0.75, "male": 1.0}
    assert gap.false_positive_rate == {"female": 0.0, "male": 0.1}
    assert gap.difference == 0.25
    assert gap.ratio == 0.0


def test_unknown_truth_leaves_a_recording_in_the_urgent_rate_only() -> None:
    given = population({(Sex.MALE, 30): (40, 20, 20), (Sex.FEMALE, 70): (40, 20, 20)})
    masked = replace(given, true_urgent=np.where(np.arange(80) % 2, given.true_urgent, np.nan))
    group = judge_fairness(masked).sex.groups["male"]
    assert (group.urgent.recordings, group.true_urgent.recordings) == (40, 20)
    assert group.predicted_to_true is not None
    assert group.predicted_to_true.value == 1.0


def test_intervals_are_wider_when_recordings_share_a_patient() -> None:
    given = population({(Sex.MALE, 30): (100, 50, 50), (Sex.FEMALE, 70): (100, 45, 45)})
    shared = replace(given, patients=[str(i // 10) for i in range(200)])
    alone, together = (judge_fairness(g).sex.parity_ratio for g in (given, shared))
    assert alone is not None
    assert together is not None
    assert together.high - together.low > 1.5 * (alone.high - alone.low)
    assert judge_fairness(shared).patients == 20


def test_columns_of_different_length_are_refused() -> None:
    given = population({(Sex.MALE, 50): (30, 10, 10)})
    with pytest.raises(ValueError, match="differ in length"):
        replace(given, age=[1.0])


def test_the_json_holds_conditions_and_verdict_and_survives_a_round_trip() -> None:
    found = judge_fairness(population({(Sex.MALE, 50): (100, 50, 50), (Sex.FEMALE, 70): (100, 40, 40)})).to_json()
    again = json.loads(json.dumps(found, allow_nan=False))
    assert again["passes"] is True
    assert [(c["threshold"], c["passed"]) for c in again["conditions"]] == [(0.8, True), (0.8, True)]
    assert fairness_markdown(again) == fairness_markdown(found)

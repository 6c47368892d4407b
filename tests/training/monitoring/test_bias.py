import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.monitoring.seen import DAY, NOW, Seen, analysis, group, pair, unreadable
from training.monitoring.bias import monitor
from training.monitoring.observed import Window
from training.monitoring.outcome import Outcome

WINDOW = Window.before(NOW, 30)


def looked_at(seen: Seen) -> Outcome:
    return monitor(seen, WINDOW)


def test_the_case_of_the_issue_is_flagged() -> None:
    """Of the urgent results 63.6 % (7 of 11) are of men and 36.4 % (4 of 11) of women, in groups of one size."""
    found = looked_at(Seen(group(1000, 350, sex="male") + group(1000, 200, sex="female")))
    sex = found.content["groups"]["sex"]
    urgent = {name: sex["groups"][name]["urgent"] for name in ("male", "female")}
    assert [round(100 * urgent[name] / sum(urgent.values()), 1) for name in ("male", "female")] == [63.6, 36.4]
    assert sex["ratio"] == pytest.approx(0.5714, abs=1e-4)
    assert (sex["flag"], sex["judgement"], sex["lowest"], sex["highest"]) == (True, "judged", "female", "male")
    assert found.flag
    by_sex, by_age = found.findings
    assert (by_sex.key, by_sex.flag, by_sex.severity) == ("bias:sex", True, "warning")
    assert by_sex.text == "Lowest over highest 0.57, needed 0.8: female 20.0%, male 35.0%."
    assert (by_age.key, by_age.flag) == ("bias:age", None), "all are of one age"


def test_immediate_and_urgent_count_and_nothing_else() -> None:
    rows = [analysis(urgency=urgency) for urgency in ("immediate", "urgent", "routine", "none")]
    assert looked_at(Seen(rows)).content["groups"]["sex"]["groups"]["male"]["urgent"] == 2


@pytest.mark.parametrize(("urgent", "ratio", "flag"), [(8, 0.8, False), (7, 0.7, True)])
def test_four_fifths_passes_and_less_does_not(urgent: int, ratio: float, flag: bool) -> None:
    found = looked_at(Seen(group(20, 10) + group(20, urgent, sex="female"))).content["groups"]["sex"]
    assert (found["ratio"], found["flag"]) == (pytest.approx(ratio), flag)
    assert found["interval"]["low"] < found["ratio"] < found["interval"]["high"]


def test_groups_of_19_are_listed_and_not_compared() -> None:
    found = looked_at(Seen(group(200, 100) + group(19, 0, sex="female")))
    sex = found.content["groups"]["sex"]
    assert (sex["ratio"], sex["interval"], sex["flag"], sex["judgement"]) == (None, None, False, "too few to judge")
    female = sex["groups"]["female"]
    assert (female["n"], female["rate"], female["judgement"]) == (19, 0.0, "too few to judge")
    assert 0 < female["high"] < 0.2
    assert [finding.flag for finding in found.findings] == [None, None]
    assert not found.flag


def test_where_nobody_is_urgent_there_is_no_ratio_and_nothing_to_flag() -> None:
    found = looked_at(Seen(group(30, 0) + group(30, 0, sex="female")))
    sex = found.content["groups"]["sex"]
    assert (sex["ratio"], sex["flag"], sex["judgement"]) == (None, False, "no urgent results")
    assert found.findings[0].flag is False


def test_unknown_sex_and_age_are_listed_apart_and_not_compared() -> None:
    rows = group(30, 15) + group(30, 15, sex="female") + group(30, 0, sex="unknown", age=None)
    found = looked_at(Seen(rows)).content["groups"]
    assert found["sex"]["ratio"] == 1.0
    assert (found["sex"]["unknown"]["n"], found["sex"]["unknown"]["rate"]) == (30, 0.0)
    assert (found["age"]["unknown"]["n"], set(found["sex"]["groups"])) == (30, {"female", "male"})


def test_another_sex_is_a_group_like_any() -> None:
    found = looked_at(Seen(group(30, 15) + group(30, 15, sex="female") + group(20, 5, sex="other"))).content["groups"]
    assert (found["sex"]["ratio"], found["sex"]["lowest"]) == (0.5, "other")


def test_the_ratio_by_age_is_of_the_lowest_and_the_highest_of_four_groups_and_is_told_as_information() -> None:
    ages = {"under 40": (39.9, 4), "40 to 59": (59.0, 6), "60 to 79": (60.0, 8), "80 and over": (95.0, 10)}
    rows = [row for age, urgent in ages.values() for row in group(20, urgent, age=age)]
    found = looked_at(Seen(rows))
    by_age = found.content["groups"]["age"]
    assert {name: one["urgent"] for name, one in by_age["groups"].items()} == {n: u for n, (_, u) in ages.items()}
    assert (by_age["ratio"], by_age["lowest"], by_age["highest"]) == (0.4, "under 40", "80 and over")
    assert (found.findings[1].flag, found.findings[1].severity) == (True, "info")


def test_only_live_results_of_the_window_count_and_the_silent_ones_are_told() -> None:
    old = group(9, 9, analyzed_at=NOW - 31 * DAY) + group(9, 9, analyzed_at=NOW)
    found = looked_at(Seen(group(20, 2) + group(5, 5, mode="silent") + old)).content
    assert (found["analyses"], found["left_out"]) == (20, {"silent": 5})
    assert found["groups"]["sex"]["groups"]["male"]["n"] == 20


def test_what_cannot_be_urgent_is_among_the_analyses_and_told() -> None:
    male = looked_at(Seen([unreadable(), analysis(age=17.9), analysis()])).content["groups"]["sex"]["groups"]["male"]
    assert (male["n"], male["not_interpretable"], male["under_18"]) == (3, 1, 1)


def over_read(sex: str, hits: int, false_alarms: int) -> list[object]:
    """10 infarcts of which some are found, 10 others of which some are taken for one."""
    positives = [pair(True, 0.9 if i < hits else 0.1, sex=sex) for i in range(10)]
    negatives = [pair(False, 0.8 if i < false_alarms else 0.05, sex=sex) for i in range(10)]
    return [*positives, *negatives]


def test_equalized_odds_are_the_spread_of_true_and_false_positive_rates() -> None:
    found = looked_at(Seen(pairs=over_read("male", 9, 2) + over_read("female", 6, 5)))  # type: ignore[arg-type]
    odds = found.content["equalized_odds"]["sex"]["MI"]
    assert (odds["judgement"], odds["tpr_difference"], odds["fpr_difference"]) == (
        "judged", pytest.approx(0.3), pytest.approx(0.3),
    )  # fmt: skip
    female = odds["groups"]["female"]
    assert (female["tpr"]["count"], female["tpr"]["n"], female["fpr"]["count"]) == (6, 10, 5)
    assert found.content["overreads"] == {"n": 40, "left_out": {"silent": 0, "not interpretable": 0}}


def test_performance_parity_is_the_spread_of_the_aucs() -> None:
    """Men: 90 of 100 pairs won by the found ones, and of the missed one 8 of 10. Women: 60, and 4 times 5."""
    found = looked_at(Seen(pairs=over_read("male", 9, 2) + over_read("female", 6, 5)))  # type: ignore[arg-type]
    areas = found.content["performance_parity"]["sex"]["MI"]
    assert areas["groups"]["male"]["auc"]["value"] == pytest.approx(0.98)
    assert areas["groups"]["female"]["auc"]["value"] == pytest.approx(0.80)
    assert areas["difference"] == pytest.approx(0.18)
    assert (areas["groups"]["male"]["n"], areas["groups"]["male"]["positives"]) == (20, 10)


def test_without_enough_over_reads_nothing_is_said_of_odds() -> None:
    found = looked_at(Seen(pairs=over_read("male", 9, 2) + over_read("female", 6, 5)[:14]))  # type: ignore[arg-type]
    odds, areas = (found.content[name]["sex"]["MI"] for name in ("equalized_odds", "performance_parity"))
    assert (odds["judgement"], odds["tpr_difference"]) == ("too few to judge", None)
    assert (areas["judgement"], areas["difference"], areas["groups"]["female"]["auc"]) == (
        "too few to judge",
        None,
        None,
    )
    assert odds["groups"]["female"]["tpr"]["n"] == 10, "they are listed nevertheless"


RATES = st.integers(0, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


@given(RATES, RATES)
def test_a_ratio_is_given_only_of_groups_of_20_and_flags_as_it_says(
    men: tuple[int, int], women: tuple[int, int]
) -> None:
    sex = looked_at(Seen(group(*men) + group(*women, sex="female"))).content["groups"]["sex"]
    if min(men[0], women[0]) < 20 or men[1] + women[1] == 0:
        assert (sex["ratio"], sex["flag"]) == (None, False)
        return
    rates = sorted((men[1] / men[0], women[1] / women[0]))
    assert math.isclose(sex["ratio"], rates[0] / rates[1])
    assert sex["flag"] is (sex["ratio"] < 0.8)

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.bootstrap import bootstrap
from training.monitoring.paired import Table, apart, auc_difference
from training.ranking import auc

COUNTS = st.builds(Table, *(st.integers(0, 200) for _ in range(4)))


def test_kappa_is_that_of_the_textbook() -> None:
    """Cohen's example in words: 20 and 15 alike of 50, 5 and 10 apart: 0.7 observed, 0.5 by chance."""
    assert Table(20, 5, 10, 15).kappa == pytest.approx(0.4)
    assert Table(30, 0, 0, 20).kappa == 1.0
    assert Table(0, 25, 25, 0).kappa == -1.0


def test_where_both_always_say_the_same_word_there_is_no_kappa() -> None:
    assert Table(0, 0, 0, 40).kappa is None
    assert Table(40, 0, 0, 0).kappa is None
    assert Table(0, 0, 0, 0).kappa is None


def test_mcnemar_looks_only_at_those_who_are_told_apart() -> None:
    """10 against 2: twice the chance of 10, 11 or 12 heads of 12."""
    expected = 2 * sum(math.comb(12, heads) for heads in (10, 11, 12)) / 2**12
    assert Table(70, 10, 2, 18).p_value == pytest.approx(expected)
    assert Table(700, 10, 2, 180).p_value == pytest.approx(expected)
    assert Table(50, 0, 0, 50).p_value == 1.0


def test_the_difference_has_a_width_where_nobody_is_told_apart() -> None:
    found = Table(10, 0, 0, 10).difference
    assert found is not None
    assert found.value == 0.0
    assert found.low == pytest.approx(-found.high)
    assert 0.05 < found.high < 0.15
    assert Table(0, 0, 0, 0).difference is None


def test_the_interval_of_the_difference_holds_the_true_one_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    chances = np.array([0.1, 0.04, 0.1, 0.76])  # truly 6 more of a hundred
    found = [Table(*map(int, rng.multinomial(150, chances))).difference for _ in range(2000)]
    held = [one is not None and one.low <= 0.06 <= one.high for one in found]
    assert 0.93 < np.mean(held) < 0.975


@given(COUNTS)
def test_swapped_the_difference_changes_its_sign_and_the_p_value_stays(table: Table) -> None:
    swapped = Table(table.both, table.second, table.first, table.neither)
    assert swapped.p_value == pytest.approx(table.p_value)
    one, other = table.difference, swapped.difference
    if one is None or other is None:
        assert table.n == 0
        return
    assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))
    assert -1 <= one.low <= one.value <= one.high <= 1


def test_a_table_counts_pairs() -> None:
    yes, no = True, False
    first, second = np.array([yes, yes, no, no, no]), np.array([yes, no, yes, no, no])
    found = Table.of(first, second)
    assert found == Table(1, 1, 1, 2)
    assert found.to_json("a", "b") == {"both": 1, "a_only": 1, "b_only": 1, "neither": 2, "p_value": 1.0}


def test_probabilities_lie_apart_in_either_direction() -> None:
    found = apart(np.array([0.1, 0.5, 0.9]), np.array([0.2, 0.5, 0.6]))
    assert (found["mean"], found["p50"], found["max"]) == pytest.approx((0.4 / 3, 0.1, 0.3))
    assert set(apart(np.array([]), np.array([])).values()) == {None}


def test_the_difference_of_two_areas_is_of_the_same_resamples() -> None:
    """Two classifiers that rank alike differ by nothing in every resample, however few there are."""
    rng = np.random.default_rng(0)
    truth = (rng.random(60) < 0.4).astype(float)
    first = truth + rng.normal(0, 1, 60)
    same = bootstrap(auc_difference(truth, first, 2 * first + 1), 60)
    assert same is not None
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    better = truth + rng.normal(0, 0.3, 60)
    found = bootstrap(auc_difference(truth, first, better), 60)
    areas = [bootstrap(auc(truth, one), 60) for one in (first, better)]
    assert found is not None
    assert areas[0] is not None
    assert areas[1] is not None
    assert found.value == pytest.approx(areas[1].value - areas[0].value)
    assert found.low > 0

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from training.monitoring.shares import interval_json, lowest_over_highest, share

COUNTS = st.integers(1, 500).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of)))


def test_a_share_has_its_wilson_interval() -> None:
    """8 of 20: (0.4 + 1.92073 / 20 ± 1.95996 sqrt(0.24 / 20 + 3.84146 / 1600)) / (1 + 3.84146 / 20)."""
    assert share(8, 20, "urgent") == {
        "n": 20, "urgent": 8, "rate": 0.4,
        "low": pytest.approx(0.21881, abs=1e-5), "high": pytest.approx(0.61342, abs=1e-5),
    }  # fmt: skip


def test_a_share_of_nothing_is_not_known() -> None:
    assert share(0, 0) == {"n": 0, "count": 0, "rate": None, "low": None, "high": None}
    assert interval_json(None) is None


@given(COUNTS)
def test_every_share_lies_in_its_interval(counted: tuple[int, int]) -> None:
    found = share(*counted)
    low, high = binomtest(*counted).proportion_ci(method="wilson")
    assert (found["low"], found["high"]) == (pytest.approx(low), pytest.approx(high))
    assert found["low"] - 1e-12 <= found["rate"] <= found["high"] + 1e-12


def test_the_ratio_of_the_issue() -> None:
    """Of the urgent results 63.6 % are of men and 36.4 % of women, in groups of one size: 36.4 / 63.6."""
    found = lowest_over_highest([(364, 2000), (636, 2000)])
    assert found is not None
    assert found.value == pytest.approx(0.5723, abs=1e-4)
    assert found.low < found.value < found.high < 0.8


def test_nobody_among_twenty_is_not_certainly_nobody() -> None:
    """0 of 20 may be 16 %, says Wilson; 20 of 20 be 84 %."""
    unlike, alike = lowest_over_highest([(0, 20), (21, 21)]), lowest_over_highest([(20, 20), (20, 20)])
    assert unlike is not None
    assert alike is not None
    assert (unlike.value, unlike.low) == (0.0, 0.0)
    assert 0.08 < unlike.high < 0.2
    assert (alike.value, alike.high) == (1.0, 1.0)
    assert 0.8 < alike.low < 0.95


@pytest.mark.parametrize("counts", [[], [(3, 20)], [(0, 20), (0, 30)]])
def test_there_is_no_ratio_of_fewer_than_two_groups_or_where_nobody_is_counted(counts: list[tuple[int, int]]) -> None:
    assert lowest_over_highest(counts) is None


@given(st.lists(COUNTS, min_size=2, max_size=5))
def test_a_ratio_is_between_0_and_1_and_does_not_depend_on_the_order(counts: list[tuple[int, int]]) -> None:
    found = lowest_over_highest(counts)
    if found is None:
        assert not any(count for count, _ in counts)
        return
    again = lowest_over_highest(counts[::-1])
    assert again is not None
    assert found.value == again.value
    assert 0 <= found.low <= found.value <= found.high <= 1

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from tests.training.monitoring.ecgs import ecgs
from training.monitoring.columns import BY_NAME, COLUMNS, Family, sample_of
from training.monitoring.shift_tests import (
    ALPHA,
    CHI_SQUARED,
    FISHER,
    LEAST_DISTANCE,
    MIN_ECGS,
    ShiftTest,
    compare,
    holm,
    homogeneity,
    judge,
    kolmogorov_smirnov,
    quartiles,
    shares,
)


def words(**counts: int) -> np.ndarray:
    return np.array([name for name, count in counts.items() for _ in range(count)], dtype=object)


def made(p_value: float | None, effect: float | None = 0.5) -> ShiftTest:
    return ShiftTest(
        name="x", family=Family.SIGNAL, test="", statistic=0.0, p_value=p_value, effect=effect, least=LEAST_DISTANCE,
        n=100, n_reference=100, against="",
    )  # fmt: skip


def test_the_distance_of_distributions_is_the_statistic_and_the_size() -> None:
    _, statistic, p_value, effect = kolmogorov_smirnov(np.arange(100) + 25.0, np.arange(100.0))
    assert statistic == effect == pytest.approx(0.25)
    assert p_value == pytest.approx(stats.kstwobign.sf(0.25 * 50**0.5), rel=0.5)


def test_the_reference_is_a_sample_too() -> None:
    """Evidently's own test takes the reference for the truth: then p is far too small where both are of one size."""
    now, then = words(yes=60, no=40), words(yes=45, no=55)
    test, statistic, p_value, effect = homogeneity(now, then)
    table = np.array([[60, 40], [45, 55]])
    assert test == CHI_SQUARED
    assert statistic == pytest.approx(stats.chi2_contingency(table, correction=False).statistic)
    assert effect == pytest.approx(0.15)
    assert p_value > 5 * stats.chisquare([60, 40], [45, 55]).pvalue


def test_few_of_two_categories_are_tested_exactly_and_many_are_merged() -> None:
    test, statistic, p_value, effect = homogeneity(words(no=98, yes=2), words(no=100))
    assert (test, statistic) == (FISHER, None)
    assert effect == pytest.approx(0.02)
    assert p_value == pytest.approx(stats.fisher_exact(np.array([[98, 2], [100, 0]])).pvalue)
    rare = {f"r{number}": 1 for number in range(8)}
    test, statistic, p_value, effect = homogeneity(words(a=92, **rare), words(a=92, b=8))
    assert test == CHI_SQUARED
    assert p_value == pytest.approx(1.0)  # eight rare ones together are as frequent as b


def test_a_category_that_only_one_side_has_is_a_shift() -> None:
    _, _, p_value, effect = homogeneity(words(a=50, new=50), words(a=100))
    assert effect == pytest.approx(0.5)
    assert p_value < 1e-10


def test_one_category_cannot_differ() -> None:
    assert homogeneity(words(a=90), words(a=80)) == (CHI_SQUARED, 0.0, 1.0, 0.0)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_orders_and_never_lowers(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(a >= p for a, p in zip(adjusted, p_values, strict=True))
    assert adjusted[int(np.argmin(p_values))] == pytest.approx(min(1.0, min(p_values) * len(p_values)))


def test_holm_is_that_of_statsmodels() -> None:
    p_values = np.random.default_rng(0).uniform(size=50) ** 4
    assert holm(p_values.tolist()) == pytest.approx(multipletests(p_values, method="holm")[1].tolist())
    assert holm([]) == []


def test_a_shift_must_be_no_chance_and_large() -> None:
    tests = [made(1e-9), made(1e-9, effect=0.24), made(0.5), made(None, None)]
    assert [one.flag for one in judge(tests)] == [True, False, False, None]
    assert [one.p_adjusted for one in judge(tests)][:3] == pytest.approx([3e-9, 3e-9, 0.5])  # the fourth is no test
    assert judge([made(ALPHA * 0.9)])[0].flag
    assert not judge([made(ALPHA * 0.9), made(1.0)])[0].flag


def test_columns_are_compared_and_described() -> None:
    now, then = sample_of(ecgs(200, seed=1, shift=2.0)), sample_of(ecgs(500, seed=2))
    tests = judge([compare(column, now, then, "before") for column in COLUMNS])
    flags = Counter(one.tested.family for one in tests if one.flag)
    assert flags[Family.SIGNAL] == sum(column.family is Family.SIGNAL for column in COLUMNS)
    assert set(flags) == {Family.SIGNAL}
    noise = next(one.tested for one in tests if one.tested.name == "noise")
    assert (noise.n, noise.n_reference, noise.against) == (200, 500, "before")
    assert noise.current["median"] - noise.reference["median"] == pytest.approx(2.0, abs=0.3)


def test_too_few_are_not_tested() -> None:
    few, many = sample_of(ecgs(MIN_ECGS - 1, seed=1, shift=9.0)), sample_of(ecgs(MIN_ECGS, seed=2))
    for now, then in ((few, many), (many, few)):
        for name in ("noise", "sender"):
            found = compare(BY_NAME[name], now, then, "")
            assert (found.p_value, found.statistic, found.effect) == (None, None, None)
    assert compare(BY_NAME["noise"], many, many, "").p_value is not None


def test_sides_are_told_in_short() -> None:
    assert quartiles(np.arange(5.0)) == {"median": 2.0, "q1": 1.0, "q3": 3.0}
    assert quartiles(np.array([])) is None
    many = words(**{f"s{number}": 12 - number for number in range(12)})
    assert len(shares(many)) == 11
    assert shares(many)["other"] == pytest.approx(3 / 78)
    assert shares(words()) == {}

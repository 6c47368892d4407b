import numpy as np
import pytest

from training.bootstrap import (
    RESAMPLES,
    bootstrap,
    evaluate_once,
    lowest_over_highest,
    mean_of,
    ratio,
    resampled,
)


def _share(hits: int, recordings: int) -> np.ndarray:
    return np.arange(recordings) < hits


def test_the_interval_of_a_share_is_about_that_of_the_binomial_distribution() -> None:
    found = bootstrap(ratio(_share(300, 1000), np.ones(1000)), 1000)
    assert found is not None
    error = 1.96 * np.sqrt(0.3 * 0.7 / 1000)
    assert (found.value, found.low, found.high) == pytest.approx((0.3, 0.3 - error, 0.3 + error), abs=0.004)


def test_equal_seeds_draw_equally_and_others_do_not() -> None:
    statistic = ratio(_share(30, 100), np.ones(100))
    assert np.array_equal(resampled(statistic, 100), resampled(statistic, 100))
    assert not np.array_equal(resampled(statistic, 100), resampled(statistic, 100, seed=1))


def test_patients_are_drawn_and_not_recordings() -> None:
    """Ten copies of each recording are no more evidence than one, as long as they are of one patient."""
    hits = np.repeat(_share(15, 50), 10)
    patients = [str(i // 10) for i in range(500)]
    alone = bootstrap(ratio(_share(15, 50), np.ones(50)), 50)
    copied = bootstrap(ratio(hits, np.ones(500)), 500, patients)
    counted_as_many = bootstrap(ratio(hits, np.ones(500)), 500)
    assert alone is not None
    assert copied is not None
    assert counted_as_many is not None
    assert copied.high - copied.low == pytest.approx(alone.high - alone.low, rel=0.1)
    assert counted_as_many.high - counted_as_many.low < (copied.high - copied.low) / 2


def test_a_set_too_large_for_one_array_is_drawn_in_parts_of_the_same_shape() -> None:
    sizes = []

    def statistic(weights: np.ndarray) -> np.ndarray:
        sizes.append(weights.shape[1])
        return np.asarray(weights.sum(axis=0))

    totals = resampled(statistic, 5_000)
    assert len(sizes) > 1
    assert sum(sizes) == len(totals) == RESAMPLES
    assert set(totals) == {5_000.0}


def test_what_is_not_defined_has_no_interval() -> None:
    assert bootstrap(ratio(np.zeros(5), np.zeros(5)), 5) is None


def test_a_mean_leaves_out_what_is_not_defined() -> None:
    whole, undefined = ratio(np.ones(4), np.ones(4)), ratio(np.ones(4), np.zeros(4))
    assert evaluate_once(mean_of([whole, undefined]), 4) == 1.0
    assert np.isnan(evaluate_once(mean_of([undefined]), 4))


def test_lowest_over_highest_needs_every_figure() -> None:
    quarter, half = ratio(_share(1, 4), np.ones(4)), ratio(_share(2, 4), np.ones(4))
    assert evaluate_once(lowest_over_highest([half, quarter]), 4) == 0.5
    assert np.isnan(evaluate_once(lowest_over_highest([half, ratio(np.ones(4), np.zeros(4))]), 4))


def test_patients_must_be_given_for_every_recording() -> None:
    with pytest.raises(ValueError, match="2 patients for 3 recordings"):
        resampled(ratio(np.ones(3), np.ones(3)), 3, ["a", "b"])

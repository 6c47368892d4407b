import numpy as np
import pytest

from inference.median import median_over_rows, middle


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 8, 11, 12, 17, 31, 64, 100])
def test_it_is_the_median_over_rows_of_each_value(rows: int) -> None:
    values = np.random.default_rng(rows).normal(0, 1, (rows, 3, 20)).astype(np.float32)
    before = values.copy()
    ranked = np.sort(values, axis=0)
    expected = (ranked[(rows - 1) // 2] + ranked[rows // 2]) * np.float32(0.5)
    assert np.array_equal(median_over_rows(values), expected)
    assert np.array_equal(values, before), "and what it is taken of stays as it was"


def test_equal_values_do_not_disturb_it() -> None:
    values = np.random.default_rng(0).integers(0, 3, (9, 2, 50)).astype(np.float32)
    assert np.array_equal(median_over_rows(values), np.median(values, axis=0))


@pytest.mark.parametrize("count", [1, 2, 7, 12])
def test_the_middle_of_a_few_numbers_is_their_median(count: int) -> None:
    values = np.random.default_rng(count).normal(0, 1, (4, count)).astype(np.float32)
    np.testing.assert_allclose(middle(values), np.median(values, axis=-1), rtol=1e-6)

import numpy as np
import pytest

from inference.median import median_over_rows


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 8, 11, 12, 17, 31, 64, 100])
def test_it_is_the_median_of_each_column(rows: int) -> None:
    values = np.random.default_rng(rows).normal(0, 1, (3, rows, 20)).astype(np.float32)
    before = values.copy()
    ranked = np.sort(values, axis=1)
    expected = (ranked[:, (rows - 1) // 2] + ranked[:, rows // 2]) * np.float32(0.5)
    assert np.array_equal(median_over_rows(values), expected)
    assert np.array_equal(values, before), "and what it is taken of stays as it was"


def test_equal_values_do_not_disturb_it() -> None:
    values = np.random.default_rng(0).integers(0, 3, (2, 9, 50)).astype(np.float32)
    assert np.array_equal(median_over_rows(values), np.median(values, axis=1))

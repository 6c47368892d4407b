import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.errors import SignalMalformed
from interop.resources.sampled_data import counted, numbers, resolution

decimals = st.decimals(-9999, 9999, places=3, allow_nan=False).map(str) | st.integers(-(10**6), 10**6).map(str)


@given(st.lists(decimals, min_size=1, max_size=50))
def test_decimals_are_read_as_they_are(tokens: list[str]) -> None:
    assert numbers(" ".join(tokens)).tolist() == [float(token) for token in tokens]


@given(st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=50))
def test_whole_numbers_are_read_as_they_are(values: list[int]) -> None:
    assert numbers(" ".join(map(str, values))).tolist() == values


@given(st.lists(decimals | st.sampled_from("EUL"), min_size=1, max_size=50))
def test_e_u_and_l_become_nan(tokens: list[str]) -> None:
    values = numbers(" ".join(tokens))
    expected = [np.nan if token in "EUL" else float(token) for token in tokens]
    np.testing.assert_array_equal(values, expected)


@given(st.text(alphabet="0123456789+-. \t\n\r,[]{}eEULnulltrue\"'xX_", max_size=30))
def test_any_text_is_read_as_its_tokens_or_refused(text: str) -> None:
    try:
        values = numbers(text)
    except SignalMalformed:
        return
    assert values.tolist() == pytest.approx(
        [np.nan if token in ("E", "U", "L") else float(token) for token in text.split()], nan_ok=True
    )


NO_DECIMALS = (
    *("", "  ", "1,2", "[1] 2", "null 1", "true", '"5"'),
    *("+5", ".5", "5.", "007", "-07", "0x1", "1_0", "-", "1 -", "1 - 2", "--1", "1-2", "1.2.3", "NaN", "EE", "inf"),
)


@pytest.mark.parametrize("text", NO_DECIMALS)
def test_what_fhir_calls_no_decimal_is_refused(text: str) -> None:
    with pytest.raises(SignalMalformed):
        numbers(text)


@pytest.mark.parametrize("text", [" 1 2", "1  2 ", "1\n2", "1\t2"])
def test_other_white_space_is_tolerated(text: str) -> None:
    assert numbers(text).tolist() == [1, 2]


def test_exponents_are_read() -> None:
    assert numbers("1e-3 2E2 E").tolist()[:2] == [0.001, 200]


def test_the_first_bad_sample_is_named() -> None:
    with pytest.raises(SignalMalformed, match="sample 3 is 'x'"):
        numbers("1 2 x y")


@pytest.mark.parametrize(
    ("step", "expected"), [(0.001, 0.001), (0.0025, 0.0001), (0.00488, 0.00001), (0.0000123, 0.00001)]
)
def test_the_coarsest_step_that_keeps_every_sample_is_chosen(step: float, expected: float) -> None:
    signal = (np.arange(-500, 500) * step).astype(np.float32).reshape(2, 500)
    assert resolution(signal) == expected


def test_large_amplitudes_on_the_grid_stay_on_it() -> None:
    signal = (np.arange(-30_000, 30_000) * 0.001).astype(np.float32).reshape(12, 5000)
    assert resolution(signal) == 0.001


def test_whole_periods_are_written_as_integers() -> None:
    signal = np.zeros((1, 3), np.float32)
    assert [counted(signal, rate).sampled(str)[0]["period"] for rate in (500.0, 512.0)] == [2, 1.953125]
    assert counted(signal, 500.0).text(0) == "0 0 0"

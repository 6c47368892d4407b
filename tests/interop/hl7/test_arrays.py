import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.errors import SignalMalformed
from interop.hl7.arrays import read_array


def read(value: bytes, separator: str = "^") -> list[float]:
    return [float(number) for number in read_array(value, separator, "OBX[1]-5")]


def test_values_are_read_in_order() -> None:
    assert read(b"-0.537^-0.542^0^32767^1e-3") == [-0.537, -0.542, 0.0, 32767.0, 0.001]


def test_numbers_that_json_does_not_know_are_read_too() -> None:
    assert read(b"+1.5^.5^5.^007") == [1.5, 0.5, 5.0, 7.0]


def test_another_component_separator_is_followed() -> None:
    assert read(b"1*2*3", "*") == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "value",
    [b"", b" ", b"1^^2", b"^1", b"1^", b"1^a", b"1^nan", b"1^inf", b"1^true", b"1^[2]", b'1^"2"', b"1,2", b"1 ^ 2",
     b"1~2", b"1^1e999", b"1^-", b"1^1.2.3", b"1_0^2", b"1&2"],
)  # fmt: skip
def test_anything_but_numbers_is_refused_with_its_place(value: bytes) -> None:
    with pytest.raises(SignalMalformed) as caught:
        read(value)
    assert caught.value.element == "OBX[1]-5"


def test_more_values_than_any_ecg_has_are_refused() -> None:
    with pytest.raises(SignalMalformed):
        read(b"1^" * 600_000 + b"1")


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_what_was_written_is_read_back_exactly(values: list[float]) -> None:
    assert read("^".join(repr(value) for value in values).encode()) == values


@given(st.binary(max_size=30))
def test_any_bytes_are_numbers_or_refused(value: bytes) -> None:
    try:
        assert np.isfinite(read(value)).all()
    except SignalMalformed:
        return

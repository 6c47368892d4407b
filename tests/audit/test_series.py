import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from audit import series
from audit.packed import Packed, Plain, WithSeries, decompressed, pack
from inference.formats import wfdb

NUMBERS = arrays(np.int32, array_shapes(min_dims=2, max_dims=2, max_side=30))
SMALL = arrays(np.int32, array_shapes(min_dims=2, max_dims=2, max_side=30), elements=st.integers(-(2**15), 2**15 - 1))


def text_with(count: int) -> bytes:
    return b'{"data":["' + b'","'.join([series.MARK] * count) + b'"]}'


@given(NUMBERS | SMALL)
def test_a_text_with_any_numbers_comes_back_with_the_same_bytes(numbers: NDArray[np.int32]) -> None:
    body = WithSeries(text_with(len(numbers)), numbers)
    assert decompressed(body.frame) == body.content
    read = [[int(number) for number in row.split(" ")] for row in json.loads(body.content)["data"]]
    assert read == numbers.tolist()


def test_a_real_ecg_takes_about_half_the_room_of_its_packed_text(examples: Path) -> None:
    signal = wfdb.read(examples / "00184_hr.hea").signal
    body = WithSeries(text_with(len(signal)), np.rint(1000 * signal).astype(np.int32))
    assert len(body.frame) < 0.55 * len(pack(body.content).frame)


def test_a_mark_without_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="2 marks for 1 series"):
        _ = WithSeries(text_with(2), np.zeros((1, 3), np.int32)).frame


def test_bodies_are_equal_that_read_the_same() -> None:
    body = WithSeries(text_with(1), np.array([[1, -2, 3]], np.int32))
    assert body == Plain(b'{"data":["1 -2 3"]}') == Packed(body.frame)
    assert len({body, Plain(body.content), pack(body.content)}) == 1
    assert body != Plain(b"{}")
    assert body != b'{"data":["1 -2 3"]}'

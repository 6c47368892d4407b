import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interop.json_numbers import numbers, object_with_matrix

FINITE = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**63 - 1)


@given(st.lists(FINITE, min_size=1, max_size=20))
def test_numbers_are_those_that_orjson_reads(values: list[float]) -> None:
    content = orjson.dumps(values)
    found = numbers(content)
    assert found is not None
    assert found.tolist() == np.array(orjson.loads(content), np.float64).tolist()


@pytest.mark.parametrize(
    "content",
    [b"[1,[2]]", b"[1,true]", b"[1,null]", b'[1,"2"]', b"[1 2]", b"[01]", b"[1e999]", b"{}", b"7", b"", b"\xff", b"[1"],
)
def test_anything_else_than_numbers_is_left_to_the_caller(content: bytes) -> None:
    assert numbers(content) is None


def test_whole_numbers_beyond_64_bits_are_left_to_the_caller() -> None:
    assert numbers(b"[123456789012345678901234567890]") is None


def test_an_object_is_split_into_its_matrix_and_the_rest() -> None:
    found = object_with_matrix(b'{"age": 7, "m": [[1, 2.5], [-3, 4e0]], "names": ["a", "b"], "x": {"y": null}}', "m")
    assert found is not None
    rest, matrix = found
    assert rest == {"age": 7, "names": ["a", "b"], "x": {"y": None}}
    assert matrix.tolist() == [[1.0, 2.5], [-3.0, 4.0]]


@pytest.mark.parametrize(
    "content",
    [
        b'{"m": [[1, 2], [3]]}',
        b'{"m": [[1, [2]], [3, 4]]}',
        b'{"m": [[1, [2]], 3]}',
        b'{"m": [[1, null]]}',
        b'{"m": [[1, true]]}',
        b'{"m": ["ab", "cd"]}',
        b'{"m": [[], []]}',
        b'{"m": []}',
        b'{"m": [1, 2]}',
        b'{"m": 1}',
        b'{"n": [[1]]}',
        b'{"m": [[1]], "m": [[2]]}',
        b"[[1]]",
        b'{"m": [[1]]',
    ],
)
def test_a_member_that_is_no_matrix_of_numbers_is_left_to_the_caller(content: bytes) -> None:
    assert object_with_matrix(content, "m") is None


def test_a_document_after_a_broken_one_is_read() -> None:
    assert object_with_matrix(b'{"m": [[1, null]]}', "m") is None
    found = numbers(b"[1, 2]")
    assert found is not None
    assert found.tolist() == [1.0, 2.0]

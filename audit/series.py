"""Whole numbers in a text, stored as numbers.

Neighbouring samples of an ECG differ by little, so the differences are stored: sign in the lowest bit, that small ones
of either sign are small (zigzag, as in Protocol Buffers), all lowest bytes first (as HDF5's shuffle filter does), and
then compressed. Differences wrap around, so that nothing is lost for any number.

    frame = MAGIC, bytes a number, series, values a series, length of the text's frame, text's frame, numbers' frame
"""

import struct
from collections.abc import Callable

import numpy as np
import orjson
from numpy.typing import NDArray

Transform = Callable[[bytes], bytes]
Numbers = NDArray[np.int32]

MAGIC = b"ECS\x01"  # a Zstandard frame begins with 28 B5 2F FD
MARK = b"\x00"  # stands for a series; JSON has no such character (RFC 8259, section 7)

_HEAD = struct.Struct("<4sBHII")
_COMMA_TO_SPACE = bytes.maketrans(b",", b" ")
_SMALL = np.iinfo(np.int16)


def written(text: bytes, numbers: Numbers) -> bytes:
    """The text with each mark replaced by a row of numbers, one space between them."""
    first, *others = text.split(MARK)
    parts = [first]
    for row, piece in zip(numbers, others, strict=True):
        parts += (whole_numbers(row), piece)
    return b"".join(parts)


def whole_numbers(row: NDArray[np.integer]) -> bytes:
    """Decimals with one space between them. row: contiguous."""
    return orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].translate(_COMMA_TO_SPACE)


def packed(text: bytes, numbers: Numbers, compress: Transform) -> bytes:
    """One frame of both. numbers: (series, values), not empty. Raises ValueError unless each series has its mark."""
    series, values = numbers.shape
    if text.count(MARK) != series:
        raise ValueError(f"{text.count(MARK)} marks for {series} series")
    fits = _SMALL.min <= numbers.min() and numbers.max() <= _SMALL.max
    kind: type[np.int16] | type[np.int32] = np.int16 if fits else np.int32
    head = compress(text)
    body = compress(_shuffled(_zigzag(_differences(numbers.astype(kind)))))
    return _HEAD.pack(MAGIC, np.dtype(kind).itemsize, series, values, len(head)) + head + body


def unpacked(frame: bytes, decompress: Transform) -> tuple[bytes, Numbers]:
    """Text and numbers of a frame."""
    _, size, series, values, length = _HEAD.unpack_from(frame)
    text_end = _HEAD.size + length
    coded = np.frombuffer(decompress(frame[text_end:]), np.uint8).reshape(size, -1).T
    unsigned = np.ascontiguousarray(coded).view(f"<u{size}").reshape(series, values)
    differences = ((unsigned >> 1) ^ (0 - (unsigned & 1))).astype(unsigned.dtype)
    numbers = np.cumsum(differences, axis=1, dtype=unsigned.dtype).view(f"<i{size}")
    return decompress(frame[_HEAD.size : text_end]), numbers.astype(np.int32)


def _differences(numbers: NDArray[np.signedinteger]) -> NDArray[np.signedinteger]:
    found = np.empty_like(numbers)
    found[:, 0] = numbers[:, 0]
    np.subtract(numbers[:, 1:], numbers[:, :-1], out=found[:, 1:])
    return found


def _zigzag(values: NDArray[np.signedinteger]) -> NDArray[np.signedinteger]:
    """0, -1, 1, -2, ... -> 0, 1, 2, 3, ... by the bits; to be read as unsigned."""
    return (values << 1) ^ (values >> (8 * values.itemsize - 1))


def _shuffled(values: NDArray[np.signedinteger]) -> bytes:
    """The lowest byte of each value, then the next of each."""
    stored = values.astype(values.dtype.newbyteorder("<"), copy=False)
    return stored.view(np.uint8).reshape(-1, stored.itemsize).T.tobytes()

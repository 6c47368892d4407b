"""The compression of Philips Sierra ECG files, the way out: residuals, second differences, LZW.

Of the limb leads after II, what is stored is the difference from what I and II give. A sample is told by how far it
lies off the line through the two before it, each number by its high bytes first and its low bytes after all of them.
"""

import struct
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

CODE_BITS = 10
END = (1 << CODE_BITS) - 1
BIAS = 64


def xli(counts: NDArray[np.int16]) -> bytes:
    """The chunks of twelve leads in the order of `LEADS`. counts: (12, samples)."""
    return b"".join(_chunk(row) for row in _residuals(counts.astype(np.int64)))


def _residuals(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    one, two, three, right, left, foot = counts[:6]
    limb = [
        one,
        two,
        two - one - three,
        -right - (one + two) // 2,
        (one - three) // 2 - left,
        (two + three) // 2 - foot,
    ]
    return np.concatenate([np.stack(limb), counts[6:]])


def _chunk(row: NDArray[np.int64]) -> bytes:
    off_line = 2 * row[1:-1] - row[:-2] - row[2:]
    numbers = np.concatenate([row[:2], off_line[1:] + BIAS, [BIAS]]).astype(">i2").view(np.uint8).reshape(-1, 2)
    compressed = _packed(_lzw(numbers.T.tobytes()))
    return struct.pack("<ihh", len(compressed), 0, int(off_line[0])) + compressed


def _lzw(content: bytes) -> Iterator[int]:
    """Codes of 10 bits; when the table is full it stays as it is."""
    table = {bytes([value]): value for value in range(256)}
    known = b""
    for value in content:
        longer = known + bytes([value])
        if longer in table:
            known = longer
            continue
        yield table[known]
        if len(table) < END:
            table[longer] = len(table)
        known = bytes([value])
    yield table[known]
    yield END


def _packed(codes: Iterable[int]) -> bytes:
    bits = "".join(f"{code:0{CODE_BITS}b}" for code in codes)
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")

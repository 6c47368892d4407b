"""Contents in the form in which they are stored: one Zstandard frame, some with the digest of what is in it.

Packing an ECG takes longer than storing it, and neither needs the interpreter's lock nor a transaction: so the doors
pack in another thread while the model runs, and the writer thread only writes.

An ECG that we write ourselves is 60,000 whole numbers in a little text. They are stored as numbers (`audit.series`),
in half the room that their packed text takes and a quarter of the time, that of writing the text included; the text
is made when somebody reads it.
"""

import hashlib
import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import zstandard
from numpy.typing import NDArray

from audit import series

# Level 1 packs a 436 KB ECG to 16 % in 1.5 ms. Level 3 takes 0.3 ms more for the same size; level -50 saves 0.6 ms
# and stores three times as much, which then has to be written and synced.
COMPRESSION_LEVEL = 1


class _Compressors(threading.local):
    """One for each thread: they are not made to be shared, and making one takes longer than packing a small text."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=COMPRESSION_LEVEL)
        self.decompressor = zstandard.ZstdDecompressor()


_compressors = _Compressors()


class Body(ABC):
    """A content: as it is read, and as it is stored; what is not there is made when it is asked for. Two are equal that
    read the same."""

    __slots__ = ()

    @property
    @abstractmethod
    def content(self) -> bytes:
        """As it is read."""

    @property
    @abstractmethod
    def frame(self) -> bytes:
        """As it is stored."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Body) and self.content == other.content

    def __hash__(self) -> int:
        return hash(self.content)


@dataclass(frozen=True, slots=True, eq=False)
class Plain(Body):
    """A content that is not packed yet."""

    text: bytes

    @property
    def content(self) -> bytes:
        """See `Body`."""
        return self.text

    @property
    def frame(self) -> bytes:
        """See `Body`."""
        return compressed(self.text)


@dataclass(frozen=True, slots=True, eq=False)
class Packed(Body):
    """A content as it is stored. stored: its frame."""

    stored: bytes

    @property
    def frame(self) -> bytes:
        """See `Body`."""
        return self.stored

    @property
    def content(self) -> bytes:
        """See `Body`."""
        return decompressed(self.stored)


@dataclass(frozen=True, slots=True, eq=False)
class Hashed(Packed):
    """The same, with the digest of the content. sha256: hex."""

    sha256: str


@dataclass(frozen=True, slots=True, eq=False)
class WithSeries(Body):
    """A text with series of whole numbers in it. text: with a `series.MARK` in the place of each. numbers: (series,
    values)."""

    text: bytes
    numbers: NDArray[np.int32]

    @property
    def content(self) -> bytes:
        """See `Body`."""
        return series.written(self.text, self.numbers)

    @property
    def frame(self) -> bytes:
        """See `Body`."""
        return series.packed(self.text, self.numbers, compressed)


def pack(content: bytes) -> Packed:
    """Compress."""
    return Packed(compressed(content))


def pack_and_hash(content: bytes) -> Hashed:
    """Compress and hash."""
    return Hashed(compressed(content), hashlib.sha256(content).hexdigest())


def compressed(content: bytes) -> bytes:
    """The content as one frame."""
    return _compressors.compressor.compress(content)


def decompressed(frame: bytes) -> bytes:
    """The content of a frame of any kind."""
    if frame.startswith(series.MAGIC):
        return series.written(*series.unpacked(frame, _compressors.decompressor.decompress))
    return _compressors.decompressor.decompress(frame)

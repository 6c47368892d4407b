"""The Minimal Lower Layer Protocol as a core without I/O: bytes in, frozen events out.

A frame is `0x0B` content `0x1C 0x0D` (HL7 v2 Transport Specification: MLLP, release 1). What real senders do beside
that, and what becomes of it:

- a run of start bytes opens one frame;
- bytes between frames are counted and reported as `Garbage` (line ends between frames are harmless and are not);
- `0x1C` without `0x0D` is content, except right before a start byte: there the sender forgot the carriage return;
- a start byte inside of a frame means that the frame before never ended: it is lost, and reported as `Unterminated`;
- content beyond the limit is reported as `Oversize` with its head, so that it can be answered by its control id.
  After that the stream has no frame boundary to trust, and everything more is dropped.

Which events come out does not depend on how the stream was cut into reads.
"""

from dataclasses import dataclass
from typing import TypeAlias

START = 0x0B
END = 0x1C
RETURN = 0x0D
_START = bytes([START])
_END = bytes([END])
_TERMINATOR = bytes([END, RETURN])

HEAD_BYTES = 4096  # holds any real MSH, so that what was not taken whole can still be answered with its control id


@dataclass(frozen=True, slots=True)
class Frame:
    """One whole frame, without its start and end."""

    content: bytes


@dataclass(frozen=True, slots=True)
class Oversize:
    """A frame over the limit. head: its first bytes."""

    head: bytes


@dataclass(frozen=True, slots=True)
class Unterminated:
    """A frame that was cut off by the start of another. head: its first bytes, size: all that came of it."""

    head: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Garbage:
    """Bytes outside of any frame, up to the start of the frame that follows."""

    size: int


Event: TypeAlias = Frame | Oversize | Unterminated | Garbage


def frame(content: bytes) -> bytes:
    """The content as it goes over the wire."""
    return _START + content + _TERMINATOR


class Framer:
    """Cuts one direction of one connection into frames of at most `max_bytes` of content.

    It holds at most one frame and the read that is being fed; every byte is looked at a fixed number of times.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._content = bytearray()
        self._scanned = 0
        self._open = False
        self._dead = False
        self._garbage = 0

    @property
    def in_frame(self) -> bool:
        """Whether a frame has begun and not ended: its sender is owed a deadline."""
        return self._open

    @property
    def garbage(self) -> int:
        """Bytes outside of any frame since the last one, not reported yet."""
        return self._garbage

    def feed(self, data: bytes) -> list[Event]:
        """Take in what was read, give back what it completed."""
        events: list[Event] = []
        rest = data
        while rest and not self._dead:
            rest = self._inside(rest, events) if self._open else self._outside(rest, events)
        return events

    def _outside(self, data: bytes, events: list[Event]) -> bytes:
        start = data.find(_START)
        skipped = data if start < 0 else data[:start]
        self._garbage += len(skipped) - skipped.count(b"\r") - skipped.count(b"\n")
        if start < 0:
            return b""
        if self._garbage:
            events.append(Garbage(self._garbage))
        self._garbage = 0
        self._open = True
        return data[start + 1 :]

    def _inside(self, data: bytes, events: list[Event]) -> bytes:
        content = self._content
        content += data.lstrip(_START) if not content else data
        # The last byte that was scanned may be the first half of a terminator.
        begin = max(0, self._scanned - 1)
        end = content.find(_TERMINATOR, begin)
        start = content.find(_START, begin, end if end >= 0 else len(content))
        stop = start if start >= 0 else end
        if stop < 0:
            self._scanned = len(content)
            self._refuse_above_limit(len(content) - content.endswith(_END), events)
            return b""
        cut_off = start >= 0 and not content.endswith(_END, 0, start)
        size = stop - (start >= 0 and not cut_off)
        if self._refuse_above_limit(size, events):
            return b""
        taken = bytes(content[:size])
        events.append(Unterminated(taken[:HEAD_BYTES], size) if cut_off else Frame(taken))
        # A start byte is left in place: it opens the next frame.
        rest = bytes(content[stop if start >= 0 else stop + len(_TERMINATOR) :])
        self._reset()
        return rest

    def _refuse_above_limit(self, size: int, events: list[Event]) -> bool:
        if size <= self._max_bytes:
            return False
        events.append(Oversize(bytes(self._content[: min(HEAD_BYTES, self._max_bytes)])))
        self._dead = True
        self._reset()
        return True

    def _reset(self) -> None:
        self._content = bytearray()
        self._scanned = 0
        self._open = False

import time

from hypothesis import given
from hypothesis import strategies as st

from interop.mllp.framing import Event, Frame, Framer, Garbage, Oversize, Unterminated, frame

LIMIT = 12


def events_of(*reads: bytes, limit: int = LIMIT) -> list[Event]:
    framer = Framer(limit)
    return [event for read in reads for event in framer.feed(read)]


def test_a_frame_gives_its_content() -> None:
    assert events_of(b"\x0bMSH|1\r\x1c\r") == [Frame(b"MSH|1\r")]


def test_a_frame_sent_byte_by_byte_gives_its_content() -> None:
    wire = frame(b"MSH|1\r")
    assert events_of(*(wire[i : i + 1] for i in range(len(wire)))) == [Frame(b"MSH|1\r")]


def test_several_frames_in_one_read_come_in_order() -> None:
    assert events_of(frame(b"a") + frame(b"b") + frame(b"c")) == [Frame(b"a"), Frame(b"b"), Frame(b"c")]


def test_a_run_of_start_bytes_opens_one_frame() -> None:
    assert events_of(b"\x0b\x0b", b"\x0b", b"\x0ba\x1c\r") == [Frame(b"a")]


def test_an_end_byte_without_carriage_return_is_content() -> None:
    assert events_of(b"\x0ba\x1cb\x1c\x1c\r") == [Frame(b"a\x1cb\x1c")]


def test_a_terminator_cut_in_two_ends_the_frame() -> None:
    assert events_of(b"\x0ba\x1c", b"\r\x0bb\x1c", b"\r") == [Frame(b"a"), Frame(b"b")]


def test_a_forgotten_carriage_return_before_the_next_frame_is_forgiven() -> None:
    assert events_of(b"\x0ba\x1c\x0bb\x1c\r") == [Frame(b"a"), Frame(b"b")]


def test_a_frame_that_never_ended_is_reported_when_the_next_starts() -> None:
    assert events_of(b"\x0babc\x0bd\x1c\r") == [Unterminated(b"abc", 3), Frame(b"d")]


def test_line_ends_between_frames_are_no_garbage() -> None:
    assert events_of(frame(b"a") + b"\r\n" + frame(b"b")) == [Frame(b"a"), Frame(b"b")]


def test_bytes_between_frames_are_counted() -> None:
    assert events_of(b"GET ", b"/ HTTP", frame(b"a")) == [Garbage(10), Frame(b"a")]


def test_garbage_without_a_frame_can_be_asked_for() -> None:
    framer = Framer(LIMIT)
    assert framer.feed(b"GET / HTTP/1.1\r\n") == []
    assert framer.garbage == 14


def test_an_empty_frame_is_a_frame() -> None:
    assert events_of(b"\x0b\x1c\r") == [Frame(b"")]


def test_a_frame_as_long_as_the_limit_is_taken() -> None:
    assert events_of(b"\x0b" + b"x" * LIMIT + b"\x1c", b"\r") == [Frame(b"x" * LIMIT)]


def test_a_frame_over_the_limit_is_refused_with_its_head_and_ends_the_stream() -> None:
    framer = Framer(LIMIT)
    assert framer.feed(b"\x0b" + b"x" * (LIMIT + 1)) == [Oversize(b"x" * LIMIT)]
    assert framer.feed(b"\x1c\r" + frame(b"a")) == []


def test_only_the_head_of_an_oversize_frame_is_kept() -> None:
    (event,) = events_of(b"\x0b" + b"x" * 10_000, limit=9_000)
    assert event == Oversize(b"x" * 4096)


def test_an_open_frame_is_known_so_that_it_can_time_out() -> None:
    framer = Framer(LIMIT)
    assert not framer.in_frame
    framer.feed(b"\x0bMSH")
    assert framer.in_frame
    framer.feed(b"\x1c\r")
    assert not framer.in_frame


def by_the_byte(stream: bytes, limit: int) -> list[Event]:
    """The same rules, spelled out one byte at a time: slow and plain."""
    events: list[Event] = []
    content: bytes | None = None
    garbage = 0
    for byte in stream:
        if content is None:
            if byte == 0x0B:
                events += [Garbage(garbage)] if garbage else []
                content, garbage = b"", 0
            else:
                garbage += byte not in b"\r\n"
        elif byte == 0x0B:
            if content.endswith(b"\x1c"):
                events.append(Frame(content[:-1]))
            elif content:
                events.append(Unterminated(content, len(content)))
            content = b""
        else:
            content += bytes([byte])
            if content.endswith(b"\x1c\r"):
                events.append(Frame(content[:-2]))
                content = None
            elif len(content) - content.endswith(b"\x1c") > limit:
                return [*events, Oversize(content[:limit])]
    return events


STREAMS = st.lists(st.sampled_from([b"\x0b", b"\x1c", b"\r", b"\n", b"a", b"bc", b"\x1c\r"]), max_size=40).map(b"".join)


@given(STREAMS, st.data())
def test_any_split_of_any_stream_gives_the_same_events(stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    reads = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert events_of(*reads, limit=5) == by_the_byte(stream, 5)


def test_a_large_frame_in_small_reads_takes_linear_time() -> None:
    framer = Framer(4_000_000)
    framer.feed(b"\x0b")
    piece = b"x\x1c" * 32
    started = time.perf_counter()
    for _ in range(40_000):
        framer.feed(piece)
    # Quadratic scanning would look at 50 GB here.
    assert time.perf_counter() - started < 5
    assert framer.feed(b"\x1c\r") == [Frame(piece * 40_000)]

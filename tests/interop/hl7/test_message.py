import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.errors import InvalidContent, Malformed
from interop.hl7.fields import Separators, component, raw
from interop.hl7.message import MAX_ENVELOPE_BYTES, MAX_MSH_BYTES, MAX_SEGMENTS, Message, parse, read_header
from tests.vectors.hl7 import oru


def test_the_header_is_read_field_by_field() -> None:
    header = read_header(oru.ECG)
    assert (header.code, header.event, header.control_id) == ("ORU", "R01", "M-0001")
    assert (header.processing_id, header.version, header.character_set) == ("P", "2.5.1", "UNICODE UTF-8")
    assert header.sending_application == "CARDIO^1.2.840.1^ISO"
    assert header.sender == "CARDIO|GENERAL"
    assert header.sent_at == "20260302093000+0100"
    assert (header.accept_ack, header.application_ack) == ("", "")


def test_a_header_is_read_from_a_message_that_was_cut_off() -> None:
    assert read_header(oru.MSH[:100]).control_id == "M-0001"


def test_other_encoding_characters_are_followed() -> None:
    header = read_header(b"MSH#*!?$#APP#FAC###20260101##ORU*R01#42#P#2.4\r")
    assert header.separators == Separators("#", "*", "!", "?", "$")
    assert (header.code, header.event, header.control_id) == ("ORU", "R01", "42")


def test_left_out_encoding_characters_are_the_usual_ones() -> None:
    assert read_header(b"MSH|^~|A|B|||20260101||ADT^A01|1|P|2.3\r").separators == Separators()


def test_the_truncation_character_of_version_2_7_is_no_obstacle() -> None:
    assert read_header(b"MSH|^~\\&#|A|B|||20260101||ADT^A01|1|P|2.7\r").separators == Separators()


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"PID|1\r", b"MSH", b"MSH|", b"MSH|^~\\&", b"MSH|^^\\&|A\r", b"MSHA^~\\&A\r", b"MSH|ab|\r"],
)
def test_what_has_no_usable_msh_is_malformed(content: bytes) -> None:
    with pytest.raises(Malformed):
        read_header(content)


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
def test_segments_may_end_with_cr_lf_or_both(end: bytes) -> None:
    message = parse(oru.ECG.replace(b"\r", end))
    assert [str(segment[0]) for segment in message.segments] == ["MSH", "PID", "PV1", "OBR"]
    assert len(message.groups[0].observations) == 9


def test_a_line_feed_within_a_text_does_not_end_the_segment() -> None:
    message = parse(oru.message(oru.MSH, oru.PID, b"OBR|1||||\nhello\nOBX", b"OBX|1|TX|x||a\nb"))
    assert raw(message.first("OBR"), 5) == "\nhello\nOBX"
    assert message.groups[0].observations[0].value == b"a\nb"


def test_observations_belong_to_the_obr_before_them() -> None:
    message = parse(oru.message(oru.MSH, b"OBX|1|ST|a", b"OBR|1", b"OBX|1|ST|b", b"OBX|2|ST|c", b"OBR|2", b"NTE|1"))
    assert [[obx.identifier for obx in group.observations] for group in message.groups] == [["a"], ["b", "c"], []]
    assert message.groups[0].obr is None
    assert raw(message.groups[2].obr, 1) == "2"


def test_an_observation_knows_its_place_in_the_message() -> None:
    message = parse(oru.message(oru.MSH, b"OBR|1", b"OBX|1|ST|b", b"OBR|2", b"OBX|1|ST|c"))
    assert message.groups[1].observations[0].at(5) == "OBX[2]-5"


def test_the_value_of_an_observation_stays_the_bytes_that_came() -> None:
    observation = parse(oru.message(oru.MSH, b"OBX|1|NA|I||1^2^3|mV")).groups[0].observations[0]
    assert observation.value == b"1^2^3"
    assert (observation.value_type, observation.unit, observation.status) == ("NA", "mV", "")


@pytest.mark.parametrize(
    ("character_set", "encoding"),
    [("UNICODE UTF-8", "utf-8"), ("8859/1", "latin-1"), ("8859/15", "iso8859-15"), ("", "utf-8"), ("", "latin-1")],
)
def test_names_are_read_in_the_character_set_of_the_message(character_set: str, encoding: str) -> None:
    msh = oru.MSH.replace(b"UNICODE UTF-8", character_set.encode())
    message = parse(oru.message(msh, oru.PID.decode().encode(encoding)))
    assert component(raw(message.first("PID"), 5), message.header.separators, 1) == "Müller"


def test_an_unknown_character_set_is_refused() -> None:
    with pytest.raises(InvalidContent) as caught:
        parse(oru.ECG.replace(b"UNICODE UTF-8", b"EBCDIC"))
    assert caught.value.element == "MSH-18"


def test_text_that_breaks_its_declared_character_set_is_refused() -> None:
    with pytest.raises(InvalidContent) as caught:
        parse(oru.ECG.replace("Müller".encode(), "Müller".encode("latin-1")))
    assert caught.value.element == "MSH-18"


@pytest.mark.parametrize(
    "line", [b"no segment", b"obx|1", b"OBX2|1", b"O", b"MSH|^~\\&|second", b"BTS|1", b"FHS|^~\\&"]
)
def test_a_line_that_is_no_segment_is_malformed(line: bytes) -> None:
    with pytest.raises(Malformed):
        parse(oru.message(oru.MSH, oru.PID, line))


def test_a_batch_is_malformed() -> None:
    with pytest.raises(Malformed):
        parse(oru.message(b"BHS|^~\\&|A", oru.MSH))


def test_a_message_of_too_many_segments_is_malformed() -> None:
    with pytest.raises(Malformed):
        parse(oru.message(oru.MSH, *[b"NTE|1"] * MAX_SEGMENTS))


@given(
    st.lists(st.sampled_from([b"MSH", b"OBX", b"|", b"^~\\&", b"^", b"\r", b"\n", b"\xc3", b"A1", b'""']), max_size=40)
)
def test_any_bytes_behind_a_header_are_read_or_refused(pieces: list[bytes]) -> None:
    try:
        message: Message = parse(b"MSH|^~\\&|A|B" + b"".join(pieces))
    except (Malformed, InvalidContent):
        return
    assert message.header.separators.field == "|"


@given(st.binary(max_size=60))
def test_any_bytes_are_a_header_or_malformed(content: bytes) -> None:
    try:
        header = read_header(b"MSH" + content)
    except Malformed:
        return
    assert header.separators.field.encode(header.encoding) == content[:1]


def test_an_msh_or_an_envelope_that_would_take_long_to_read_is_malformed() -> None:
    with pytest.raises(Malformed):
        read_header(oru.MSH + b"^" * MAX_MSH_BYTES)
    with pytest.raises(Malformed):
        parse(oru.message(oru.MSH, b"NTE|" + b"^" * MAX_ENVELOPE_BYTES))

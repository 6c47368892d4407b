"""The envelope of a message: header, patient, visit, orders; and its OBX segments with their values left as bytes.

python-hl7 parses every segment but OBX. A waveform of 60,000 values would cost it 377 ms (and hl7apy 9 s), so an OBX
is split at its field separators only, and its value stays the slice of bytes that came.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import hl7

from inference.errors import InvalidContent, Malformed
from interop.hl7.fields import CHARACTER_SETS, Separators, component, separators_of

_LEADING = b"\xef\xbb\xbf\r\n\t "
_LINE_END = re.compile(rb"[\r\n]")
_SEGMENT_NAME = re.compile(rb"[A-Z][A-Z0-9]{2}")
_HEADERS = frozenset({b"MSH", b"BHS", b"FHS", b"BTS", b"FTS"})

MAX_SEGMENTS = 5000  # twelve leads with their facets are below 100; this bounds what a hostile message can cost
# OBX-11 (table 0085) of a value that does not count: deleted, wrong (another patient's, say), cannot be obtained.
_WITHDRAWN = frozenset({"D", "W", "X"})

MAX_CONTROL_ID = 199  # MSH-10 from version 2.6 on; before it was 20, which nobody keeps

# python-hl7 takes some 6 us for each value, and the header is read in the event loop: both must stay cheap.
MAX_MSH_BYTES = 4096
MAX_ENVELOPE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """MSH. Fields 3 to 7 are raw (escapes and components as received), the rest is the part that decides.

    encoding: the Python codec in which the raw fields were read, and in which they must be written back.
    """

    separators: Separators
    encoding: str
    sending_application: str
    sending_facility: str
    receiving_application: str
    receiving_facility: str
    sent_at: str
    code: str
    event: str
    control_id: str
    processing_id: str
    version: str
    accept_ack: str
    application_ack: str
    character_set: str

    @property
    def sender(self) -> str:
        """Who sent it, `MSH-3|MSH-4` by their first components: the key of a sender in `ECG_SENDERS`."""
        application = component(self.sending_application, self.separators, 1)
        facility = component(self.sending_facility, self.separators, 1)
        return f"{application}|{facility}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Obx:
    """One observation. position: counted from 1 over the whole message. value: OBX-5 as it came."""

    position: int
    value_type: str
    identifier: str
    sub_id: str
    value: bytes
    unit: str
    status: str
    observed_at: str

    @property
    def withdrawn(self) -> bool:
        """Whether its value must not be used."""
        return self.status in _WITHDRAWN

    def at(self, field: int) -> str:
        """The HL7 location of one of its fields, `OBX[3]-6`."""
        return f"OBX[{self.position}]-{field}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderGroup:
    """One OBR with its observations. obr is None for observations before any OBR."""

    obr: hl7.Segment | None
    observations: tuple[Obx, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A whole message. segments: all but OBX, in order."""

    header: Header
    segments: tuple[hl7.Segment, ...]
    groups: tuple[OrderGroup, ...]

    def first(self, name: str) -> hl7.Segment | None:
        """The first segment of that name."""
        return next((segment for segment in self.segments if str(segment[0]) == name), None)


def read_header(content: bytes) -> Header:
    """Read MSH alone, also of a message that was cut off. Raises Malformed when it does not begin with a usable MSH."""
    line = _LINE_END.split(content.lstrip(_LEADING)[: MAX_MSH_BYTES + 1], maxsplit=1)[0]
    if len(line) > MAX_MSH_BYTES:
        raise Malformed(f"MSH is longer than {MAX_MSH_BYTES} bytes", element="MSH")
    if not line.startswith(b"MSH"):
        raise Malformed("the message does not begin with MSH", element="MSH")
    separators = separators_of(line.decode("latin-1"))
    if separators is None:
        raise Malformed("MSH-1 and MSH-2 are no usable encoding characters", element="MSH-2")
    character_set = _character_set(line, separators)
    encoding = _encoding(character_set, line) or "latin-1"
    try:
        text = line.decode(encoding)
    except UnicodeDecodeError:
        encoding, text = "latin-1", line.decode("latin-1")
    return _header(text, separators, encoding, character_set)


def parse(content: bytes) -> Message:
    """Read a whole message. Segments end with CR, LF or CRLF.

    Raises Malformed (no MSH, a line that is no segment, a batch, too much of it), InvalidContent (a character set
    that is not supported or that the message breaks).
    """
    header = read_header(content)
    lines = list(_lines(content, header.separators.field.encode()))
    envelope = b"\r".join(line for line in lines if not line.startswith(b"OBX"))
    if len(envelope) > MAX_ENVELOPE_BYTES:
        raise Malformed(f"{len(envelope)} bytes beside the observations; at most {MAX_ENVELOPE_BYTES} are read")
    segments = tuple(hl7.parse(_text(envelope, header.character_set)))
    encoding = _encoding(header.character_set, envelope) or "latin-1"
    return Message(
        header=header, segments=segments, groups=tuple(_groups(lines, segments, header.separators.field, encoding))
    )


def _header(text: str, separators: Separators, encoding: str, character_set: str) -> Header:
    # By hand: every message passes here, and python-hl7 takes longer for MSH than the database for the message.
    fields = text.strip().split(separators.field)

    def whole(field: int) -> str:
        return fields[field - 1] if field <= len(fields) else ""

    def first(field: int, number: int = 1) -> str:
        return component(whole(field), separators, number)

    return Header(
        separators=separators,
        encoding=encoding,
        sending_application=whole(3),
        sending_facility=whole(4),
        receiving_application=whole(5),
        receiving_facility=whole(6),
        sent_at=first(7),
        code=first(9),
        event=first(9, 2),
        control_id=whole(10).strip(),
        processing_id=first(11),
        version=first(12),
        accept_ack=first(15),
        application_ack=first(16),
        character_set=character_set,
    )


def _character_set(line: bytes, separators: Separators) -> str:
    """MSH-18, first repetition: its codes are ASCII, so it can be read before the character set is known."""
    fields = line.decode("latin-1").split(separators.field)
    return fields[17].split(separators.repetition)[0].strip() if len(fields) > 17 else ""


def _encoding(character_set: str, content: bytes) -> str | None:
    """The codec for a character set of table 0211; None when it is not known here.

    Absent means ASCII by the standard. Senders that break this mean UTF-8 or else ISO 8859-1, which takes any byte.
    """
    declared = CHARACTER_SETS.get(character_set.upper() or "ASCII")
    if declared != "ascii":
        return declared
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def _text(content: bytes, character_set: str) -> str:
    encoding = _encoding(character_set, content)
    if encoding is None:
        raise InvalidContent(f"character set {character_set[:30]!r} is not supported", element="MSH-18")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise InvalidContent(f"the text is not {character_set}, as MSH-18 says", element="MSH-18") from error


def _lines(content: bytes, field_separator: bytes) -> Iterator[bytes]:
    """The segments. A bare LF ends a segment only where the next one begins: elsewhere it is a line break in a text."""
    content = content.lstrip(_LEADING)
    if b"\n" in content:
        content = content.replace(b"\r\n", b"\r")
        content = re.sub(rb"\n(?=[A-Z][A-Z0-9]{2}" + re.escape(field_separator) + rb"|\s*\Z)", b"\r", content)
    lines = [line for line in content.split(b"\r") if line.strip()]
    if len(lines) > MAX_SEGMENTS:
        raise Malformed(f"{len(lines)} segments; at most {MAX_SEGMENTS} are read")
    for number, line in enumerate(lines, 1):
        name, separator, _ = line[:4].partition(field_separator)
        if not _SEGMENT_NAME.fullmatch(name) or (len(line) > 3 and not separator):
            raise Malformed(f"line {number} is no segment", element=f"segment {number}")
        if number > 1 and name in _HEADERS:
            raise Malformed(f"{name.decode()} within a message: batches are not taken", element=f"segment {number}")
        yield line


def _groups(
    lines: list[bytes], segments: tuple[hl7.Segment, ...], field_separator: str, encoding: str
) -> Iterator[OrderGroup]:
    envelope = iter(segments)
    obr: hl7.Segment | None = None
    observations: list[Obx] = []
    position = 0
    for line in lines:
        if line.startswith(b"OBX"):
            position += 1
            observations.append(_observation(line.split(field_separator.encode()), position, encoding))
            continue
        segment = next(envelope)
        if line.startswith(b"OBR"):
            if observations or obr is not None:
                yield OrderGroup(obr=obr, observations=tuple(observations))
            obr, observations = segment, []
    if observations or obr is not None:
        yield OrderGroup(obr=obr, observations=tuple(observations))


def _observation(fields: list[bytes], position: int, encoding: str) -> Obx:
    def text(field: int) -> str:
        return fields[field].decode(encoding, "replace").strip() if field < len(fields) else ""

    return Obx(
        position=position,
        value_type=text(2).upper(),
        identifier=text(3),
        sub_id=text(4),
        value=fields[5] if len(fields) > 5 else b"",
        unit=text(6),
        status=text(11).upper(),
        observed_at=text(14),
    )

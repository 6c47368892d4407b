"""What is taken in at all: the checks on MSH, in the order in which a sender can act on them."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from inference.errors import (
    ControlIdMissing,
    EventUnsupported,
    InvalidContent,
    MessageTypeUnsupported,
    MessageVersionUnsupported,
    ProcessingIdRefused,
)
from interop.hl7.fields import without_control
from interop.hl7.message import MAX_CONTROL_ID, Header
from interop.hl7.senders import Sender

# MSH-9.1 -> the events that are taken; None: all. ADT is taken so that a feed may carry it; none concerns us yet.
EVENTS: Mapping[str, frozenset[str] | None] = MappingProxyType({"ORU": frozenset({"R01", "W01"}), "ADT": None})

VERSIONS = frozenset({"2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1", "2.8", "2.8.1", "2.8.2"})

_ACKNOWLEDGEMENTS = frozenset({"ACK", "MCF"})
_QUOTED = 20  # of a refused value, so that an answer stays short


def is_acknowledgement(header: Header, content: bytes) -> bool:
    """Whether a message answers one of ours: it must never be answered itself."""
    mark = re.escape(header.separators.field.encode())
    return header.code in _ACKNOWLEDGEMENTS or re.search(rb"[\r\n]MSA" + mark, content[:4096]) is not None


def check_header(header: Header, sender: Sender) -> None:
    """Raises MessageTypeUnsupported, EventUnsupported, MessageVersionUnsupported, ProcessingIdRefused,
    ControlIdMissing, InvalidContent (MSH-10 too long)."""
    if header.code not in EVENTS:
        raise MessageTypeUnsupported(f"message type {_quoted(header.code)} is not taken", element="MSH-9.1")
    events = EVENTS[header.code]
    if events is not None and header.event not in events:
        raise EventUnsupported(f"event {_quoted(header.event)} is not taken", element="MSH-9.2")
    if header.version not in VERSIONS:
        raise MessageVersionUnsupported(f"version {_quoted(header.version)} is not taken", element="MSH-12")
    if header.processing_id not in sender.processing_ids:
        raise ProcessingIdRefused(
            f"processing id {_quoted(header.processing_id)} is not taken from this sender", element="MSH-11"
        )
    if not header.control_id:
        raise ControlIdMissing("MSH-10 is empty", element="MSH-10")
    if len(header.control_id) > MAX_CONTROL_ID:
        raise InvalidContent(f"MSH-10 is longer than {MAX_CONTROL_ID} characters", element="MSH-10")


def _quoted(value: str) -> str:
    return repr(without_control(value)[:_QUOTED])

"""Acknowledgements (HL7 v2.5.1 chapter 2.9): pure, from a header and an outcome to the bytes of the answer.

Original mode (MSH-15 and MSH-16 both empty): one answer, AA, AE or AR. Enhanced mode: an accept acknowledgement CA, CE
or CR as MSH-15 wants it, and an application acknowledgement AA, AE or AR as MSH-16 wants it, each with its own MSH-10.
Everything is committed before the first of them is sent.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import TypeAlias

from inference.errors import EcgError, InvalidContent
from interop.errors import answer_to
from interop.hl7.fields import Separators, escape, without_control
from interop.hl7.message import Header
from interop.hl7.times import write_time

APPLICATION = "ECG-ACTIONS"  # MSH-3 of an answer to a message that did not say whom it meant

# Chapter 2.9.3.1: when an acknowledgement is wanted, as (on success, on error).
_WANTED: Mapping[str, tuple[bool, bool]] = MappingProxyType(
    {"AL": (True, True), "NE": (False, False), "ER": (False, True), "SU": (True, False)}
)
_ACCEPT = MappingProxyType({"AA": "CA", "AE": "CE", "AR": "CR"})
_ERR_LOCATION = re.compile(
    r"(?P<segment>[A-Z][A-Z0-9]{2})(?:\[(?P<sequence>\d+)\])?(?:-(?P<field>\d+)(?:\.(?P<component>\d+))?)?"
)
_STRUCTURED_ERR_SINCE = (2, 5)
_STRUCTURED_TYPE_SINCE = (2, 4)
_MAX_PROBLEMS = 20  # ERR segments in one answer
_MSA_3_LENGTH = 80


NewControlId: TypeAlias = Callable[[], str]  # a fresh MSH-10 for a message of ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a message. error is None on success. stored: whether it is in the inbox, which is what an accept
    acknowledgement tells. text: for MSA-3."""

    error: EcgError | None = None
    stored: bool = True
    text: str = ""

    @property
    def code(self) -> str:
        """AA, AE or AR."""
        return "AA" if self.error is None else answer_to(self.error).ack


def acknowledge(header: Header | None, outcome: Outcome, *, created_at: datetime, new_id: NewControlId) -> bytes:
    """The answer to a message: none, one or two HL7 messages in a row, each from MSH to its last CR.

    header is None for what is no HL7 message at all: the answer then names no control id.
    """
    if header is None:
        return _message(_nobody(), outcome.code, outcome, created_at, new_id())
    if not header.accept_ack and not header.application_ack:
        return _message(header, outcome.code, outcome, created_at, new_id())
    return b"".join(_message(header, code, outcome, created_at, new_id()) for code in _enhanced(header, outcome))


def split(answer: bytes) -> list[bytes]:
    """The HL7 messages in an answer."""
    return [message for message in re.split(rb"(?<=\r)(?=MSH)", answer) if message]


def _enhanced(header: Header, outcome: Outcome) -> Iterator[str]:
    refused = outcome.code == "AR" or not outcome.stored
    if accept_wanted := _wants(header.accept_ack, failed=refused):
        yield _ACCEPT[outcome.code] if refused else "CA"
    # One refusal is enough; where the sender wants no accept acknowledgement it comes in the application's name.
    if not (refused and accept_wanted) and _wants(header.application_ack, failed=outcome.error is not None):
        yield outcome.code


def _wants(condition: str, *, failed: bool) -> bool:
    on_success, on_error = _WANTED.get(condition.upper(), (False, False))
    return on_error if failed else on_success


def _message(header: Header, code: str, outcome: Outcome, created_at: datetime, control_id: str) -> bytes:
    mark = header.separators.field
    error = None if code == "CA" else outcome.error
    text = error.message if error is not None else outcome.text
    segments = [
        _msh(header, created_at, control_id),
        mark.join(["MSA", code, without_control(header.control_id), escape(text[:_MSA_3_LENGTH], header.separators)]),
        *(_errors(header, error) if error is not None else ()),
    ]
    lines = [segment.rstrip(mark) if number else segment for number, segment in enumerate(segments)]
    return "".join(line + "\r" for line in lines).encode(header.encoding, "replace")


def _msh(header: Header, created_at: datetime, control_id: str) -> str:
    separators = header.separators
    fields = [
        "MSH",
        separators.msh_2,
        without_control(header.receiving_application),
        without_control(header.receiving_facility),
        without_control(header.sending_application),
        without_control(header.sending_facility),
        write_time(created_at),
        "",
        _message_type(header),
        control_id,
        without_control(header.processing_id) or "P",
        without_control(header.version) or "2.5.1",
        *[""] * 5,
        without_control(header.character_set),
    ]
    return separators.field.join(fields).rstrip(separators.field)


def _message_type(header: Header) -> str:
    if version_of(header) < _STRUCTURED_TYPE_SINCE:
        return "ACK"
    event = without_control(header.event)
    return header.separators.component.join(["ACK", event, "ACK"] if event else ["ACK"])


def version_of(header: Header) -> tuple[int, int]:
    """MSH-12 as (major, minor); 2.5 where it is no version."""
    match = re.match(r"(\d+)\.(\d+)", header.version)
    return (int(match[1]), int(match[2])) if match else _STRUCTURED_ERR_SINCE


def _errors(header: Header, error: EcgError) -> Iterator[str]:
    problems = error.problems if isinstance(error, InvalidContent) else ((error.element, error.message),)
    for element, message in problems[:_MAX_PROBLEMS]:
        if version_of(header) < _STRUCTURED_ERR_SINCE:
            yield _old_err(header.separators, error, element)
        else:
            yield _err(header.separators, error, element, message)


def _err(separators: Separators, error: EcgError, element: str | None, message: str) -> str:
    """ERR of 2.5 and later: location, HL70357, severity, our own code, text for a user."""
    code, text = answer_to(error).condition
    condition = separators.component.join([code, escape(text, separators), "HL70357"])
    own = separators.component.join([escape(error.code, separators), "", "99ECG"])
    location = separators.component.join(_location(element))
    return separators.field.join(["ERR", "", location, condition, "E", own, "", "", escape(message, separators)])


def _old_err(separators: Separators, error: EcgError, element: str | None) -> str:
    """ERR before 2.5: ERR-1 is segment^sequence^field^code&text&system."""
    code, text = answer_to(error).condition
    segment, sequence, field = [*_location(element), "", "", ""][:3]
    condition = separators.subcomponent.join([code, escape(text, separators), "HL70357"])
    return separators.field.join(["ERR", separators.component.join([segment, sequence, field, condition])])


def _location(element: str | None) -> list[str]:
    """`OBX[3]-6.1` as ERL: segment, its number, field, repetition, component."""
    match = _ERR_LOCATION.match(element or "")
    if match is None:
        return []
    parts = [match["segment"], match["sequence"] or "1"]
    if match["field"]:
        parts.append(match["field"])
    if match["component"]:
        parts += ["1", match["component"]]
    return parts


def _nobody() -> Header:
    """The header to answer when none could be read."""
    return Header(
        separators=Separators(), encoding="utf-8", sending_application="", sending_facility="",
        receiving_application=APPLICATION, receiving_facility="", sent_at="", code="", event="", control_id="",
        processing_id="P", version="2.5.1", accept_ack="", application_ack="", character_set="",
    )  # fmt: skip

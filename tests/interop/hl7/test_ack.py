import itertools

import pytest
from hl7apy.parser import parse_message
from hypothesis import given
from hypothesis import strategies as st

from inference.errors import (
    EcgError,
    InvalidContent,
    MessageTypeUnsupported,
    MissingPatientId,
    SignalMalformed,
    StorageUnavailable,
)
from interop.hl7.ack import Outcome, acknowledge, split
from interop.hl7.message import Header, parse, read_header
from tests.fakes import NOW
from tests.vectors.hl7 import oru


def answer(outcome: Outcome | None = None, msh: bytes = oru.MSH) -> list[list[list[str]]]:
    """The answers' segments and fields."""
    numbers = itertools.count(1)
    header = read_header(msh + b"\r")
    wire = acknowledge(header, outcome or Outcome(), created_at=NOW, new_id=lambda: f"A{next(numbers)}")
    messages = [message.decode("utf-8") for message in split(wire)]
    assert all(message.endswith("\r") for message in messages)
    return [[segment.split("|") for segment in message[:-1].split("\r")] for message in messages]


def with_acks(accept: bytes, application: bytes) -> bytes:
    return oru.MSH.replace(b"2.5.1||||", b"2.5.1|||" + accept + b"|" + application)


def test_success_in_original_mode_is_one_aa_with_the_control_id() -> None:
    ((_, msa),) = answer()
    assert msa == ["MSA", "AA", "M-0001"]


def test_sender_and_receiver_change_places_and_the_rest_is_kept() -> None:
    ((msh, _),) = answer()
    assert msh[2:6] == ["ECG-ACTIONS", "AI", "CARDIO^1.2.840.1^ISO", "GENERAL"]
    assert (msh[8], msh[9], msh[10], msh[11]) == ("ACK^R01^ACK", "A1", "P", "2.5.1")
    assert msh[6] == "20260302093000.000+0000"
    assert msh[17] == "UNICODE UTF-8"


def test_the_message_type_has_no_components_before_2_4() -> None:
    ((msh, _),) = answer(msh=oru.MSH.replace(b"2.5.1", b"2.3.1"))
    assert msh[8] == "ACK"


def test_an_error_names_place_condition_severity_and_our_code() -> None:
    error = SignalMalformed("the waveform has an empty value", element="OBX[3]-5")
    ((_, msa, err),) = answer(Outcome(error=error))
    assert msa == ["MSA", "AE", "M-0001", "the waveform has an empty value"]
    assert err[2] == "OBX^3^5"
    assert err[3] == "102^Data type error^HL70357"
    assert err[4] == "E"
    assert err[5] == "signal-malformed^^99ECG"
    assert err[8] == "the waveform has an empty value"


def test_the_place_of_a_component_is_told() -> None:
    ((_, _, err),) = answer(Outcome(error=MessageTypeUnsupported("no", element="MSH-9.1")))
    assert err[2] == "MSH^1^9^1^1"


def test_every_problem_of_a_message_has_its_own_err() -> None:
    error = InvalidContent("two", problems=[("PID-3", "one"), ("OBX[2]-6", "two")])
    ((_, _, first, second),) = answer(Outcome(error=error))
    assert (first[2], second[2]) == ("PID^1^3", "OBX^2^6")


def test_before_2_5_the_error_has_its_old_form() -> None:
    outcome = Outcome(error=MissingPatientId("no number", element="PID-3"))
    ((_, msa, err),) = answer(outcome, oru.MSH.replace(b"2.5.1", b"2.3"))
    assert msa[3] == "no number"
    assert err == ["ERR", "PID^1^3^101&Required field missing&HL70357"]


def test_a_refusal_is_ar() -> None:
    ((_, msa, _),) = answer(Outcome(error=MessageTypeUnsupported("no", element="MSH-9.1")))
    assert msa[1] == "AR"


def test_a_failure_of_ours_is_ae_207() -> None:
    ((_, msa, err),) = answer(Outcome(error=StorageUnavailable("disk full"), stored=False))
    assert msa[1] == "AE"
    assert err[3].startswith("207^")


STORED_AND_WRONG = Outcome(error=SignalMalformed("x"))
REFUSED = Outcome(error=MessageTypeUnsupported("x"))
OURS = Outcome(error=StorageUnavailable("x"), stored=False)


@pytest.mark.parametrize(
    ("accept", "application", "outcome", "codes"),
    [
        (b"AL", b"AL", Outcome(), ["CA", "AA"]),
        (b"AL", b"NE", Outcome(), ["CA"]),
        (b"NE", b"AL", Outcome(), ["AA"]),
        (b"NE", b"NE", Outcome(), []),
        (b"ER", b"ER", Outcome(), []),
        (b"SU", b"SU", Outcome(), ["CA", "AA"]),
        (b"AL", b"", Outcome(), ["CA"]),
        (b"AL", b"AL", STORED_AND_WRONG, ["CA", "AE"]),
        (b"SU", b"SU", STORED_AND_WRONG, ["CA"]),
        (b"ER", b"ER", STORED_AND_WRONG, ["AE"]),
        (b"AL", b"AL", REFUSED, ["CR"]),
        (b"ER", b"ER", REFUSED, ["CR"]),
        (b"SU", b"SU", REFUSED, []),
        (b"NE", b"AL", REFUSED, ["AR"]),
        (b"AL", b"AL", OURS, ["CE"]),
    ],
)
def test_enhanced_mode_answers_as_the_sender_asks(
    accept: bytes, application: bytes, outcome: Outcome, codes: list[str]
) -> None:
    messages = answer(outcome, with_acks(accept, application))
    assert [segments[1][1] for segments in messages] == codes
    assert len({segments[0][9] for segments in messages}) == len(codes)


def test_what_is_no_message_is_answered_without_a_control_id() -> None:
    error = InvalidContent("no HL7")
    wire = acknowledge(None, Outcome(error=error), created_at=NOW, new_id=lambda: "A1")
    message = parse(wire)
    assert message.first("MSA") is not None
    assert b"\rMSA|AE||no HL7\r" in wire


@given(st.text(max_size=30), st.text(max_size=30))
def test_nothing_that_was_received_can_break_the_answer(control_id: str, message: str) -> None:
    received = oru.MSH.replace(b"M-0001", control_id.encode("utf-8", "replace").replace(b"|", b""))
    try:
        header = read_header(received + b"\r")
    except EcgError:
        return
    wire = acknowledge(
        header, Outcome(error=SignalMalformed(message)), created_at=NOW, new_id=lambda: "A1"
    )  # fmt: skip
    assert not set(wire) & {0x0B, 0x1C}
    assert wire.count(b"\r") == 3
    assert len(split(wire)) == 1


# hl7apy looks a structure up by MSH-9.3, which 2.3 does not have yet, so there it cannot judge.
@pytest.mark.parametrize("version", ["2.4", "2.5", "2.5.1", "2.6"])
@pytest.mark.parametrize("error", [None, SignalMalformed("wrong", element="OBX[3]-5.2")])
def test_hl7apy_finds_the_answer_valid(version: str, error: EcgError | None) -> None:
    header: Header = read_header(oru.MSH.replace(b"2.5.1", version.encode()) + b"\r")
    wire = acknowledge(header, Outcome(error=error), created_at=NOW, new_id=lambda: "A1")
    assert parse_message(wire.decode(), find_groups=False).validate()

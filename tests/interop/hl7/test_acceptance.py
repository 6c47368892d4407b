from zoneinfo import ZoneInfo

import pytest

from inference.errors import (
    ControlIdMissing,
    EcgError,
    EventUnsupported,
    InvalidContent,
    MessageTypeUnsupported,
    MessageVersionUnsupported,
    ProcessingIdRefused,
)
from interop.errors import answer_to
from interop.hl7.acceptance import VERSIONS, check_header, is_acknowledgement
from interop.hl7.message import read_header
from interop.hl7.senders import Sender
from tests.vectors.hl7 import oru

PRODUCTION = Sender(time_zone=ZoneInfo("UTC"), processing_ids=frozenset({"P"}), identifier_systems={})


@pytest.mark.parametrize(
    ("found", "sent", "error", "answer"),
    [
        (b"ORU^R01^ORU_R01", b"ORM^O01", MessageTypeUnsupported, ("AR", "200")),
        (b"ORU^R01^ORU_R01", b"", MessageTypeUnsupported, ("AR", "200")),
        (b"ORU^R01^ORU_R01", b"ORU^R03", EventUnsupported, ("AR", "201")),
        (b"|2.5.1|", b"|2.9|", MessageVersionUnsupported, ("AR", "203")),
        (b"|2.5.1|", b"||", MessageVersionUnsupported, ("AR", "203")),
        (b"|P|", b"|T|", ProcessingIdRefused, ("AR", "202")),
        (b"M-0001", b"", ControlIdMissing, ("AE", "101")),
        (b"M-0001", b"9" * 200, InvalidContent, ("AE", "102")),
    ],
)
def test_a_header_that_is_not_taken_is_refused_with_its_code(
    found: bytes, sent: bytes, error: type[EcgError], answer: tuple[str, str]
) -> None:
    with pytest.raises(error) as caught:
        check_header(read_header(oru.MSH.replace(found, sent)), PRODUCTION)
    row = answer_to(caught.value)
    assert (row.ack, row.condition[0]) == answer
    assert (caught.value.element or "").startswith("MSH-")


@pytest.mark.parametrize("version", sorted(VERSIONS))
def test_versions_2_3_to_2_8_are_taken(version: str) -> None:
    check_header(read_header(oru.MSH.replace(b"2.5.1", version.encode())), PRODUCTION)


@pytest.mark.parametrize("event", [b"ADT^A01", b"ADT^A08^ADT_A01", b"ADT^A40", b"ORU^W01"])
def test_other_events_that_are_taken(event: bytes) -> None:
    check_header(read_header(oru.MSH.replace(b"ORU^R01^ORU_R01", event)), PRODUCTION)


def test_a_test_message_is_taken_from_a_sender_that_may_test() -> None:
    testing = Sender(time_zone=ZoneInfo("UTC"), processing_ids=frozenset({"P", "T"}), identifier_systems={})
    check_header(read_header(oru.MSH.replace(b"|P|", b"|T|")), testing)


@pytest.mark.parametrize(
    ("content", "is_one"),
    [
        (oru.message(oru.MSH.replace(b"ORU^R01^ORU_R01", b"ACK^R01^ACK"), b"MSA|AA|1"), True),
        (oru.message(oru.MSH.replace(b"ORU^R01^ORU_R01", b"ORR^O02"), b"MSA|AA|1"), True),
        (oru.ECG, False),
        (oru.ADT, False),
    ],
)
def test_acknowledgements_are_known_by_their_type_or_their_msa(content: bytes, is_one: bool) -> None:
    assert is_acknowledgement(read_header(content), content) is is_one

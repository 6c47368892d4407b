import string
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import given
from hypothesis import strategies as st
from pydicom.sr.codedict import codes

from audit.records import AuditEntry, AuditEvent
from inference.errors import InternalError
from interop.resources.audit_event import DCM, KINDS, PAYLOAD_GONE, PAYLOAD_UNREADABLE, audit_event
from interop.resources.codes import NOT_IDENTIFIED

SOURCE = {"reference": "Device/6f3f9c1e-0000-5000-8000-000000000001"}
AT = datetime(2026, 3, 2, 10, 30, 0, 123456, tzinfo=timezone(timedelta(hours=1)))
ALL = pytest.mark.parametrize("event", AuditEvent)

# As the service writes them.
ANALYSED: dict[str, Any] = {
    "analysis": "018f0000-0000-7000-8000-000000000abc",
    "observation": "Observation/ecg-1",
    "door": "mllp",
    "mode": "live",
    "urgency": "immediate",
    "model": {"name": "net", "version": "1.2.3", "sha256": "0" * 64},
    "policy": {"name": "default rules", "version": "1", "sha256": "a" * 64},
}
FAILED = {"door": "mllp", "sender": "CART|WARD", "error": "unit-missing", "element": "OBX-6"}


@dataclass(frozen=True)
class Stored:
    """An entry as it may be read: the payload can be gone."""

    event: str
    subject: str = "DiagnosticReport/018f0000-0000-7000-8000-000000000abc"
    payload: bytes | None = b"{}"
    recorded_at: datetime = AT
    correlation_id: str = "c-1"


def rendered(event: str, payload: object = None, **given: Any) -> dict[str, Any]:
    content = orjson.dumps({} if payload is None else payload)
    fields: dict[str, Any] = {"payload": content} | given
    return audit_event(Stored(event, **fields), id="host.7", source=SOURCE)


def details(event: Mapping[str, Any]) -> dict[str, str]:
    return {detail["type"]: detail["valueString"] for detail in event["entity"][0]["detail"]}


def test_every_event_of_the_trail_has_a_row() -> None:
    assert set(KINDS) == set(AuditEvent)


@ALL
@pytest.mark.parametrize("payload", [ANALYSED, FAILED, {}, None])
@pytest.mark.parametrize("subject", ["DiagnosticReport/1", "Patient/1", "inbox/12", "service", "Host/7"])
def test_every_event_is_a_valid_resource(event: AuditEvent, payload: dict[str, Any] | None, subject: str) -> None:
    entry = Stored(event, subject=subject, payload=None if payload is None else orjson.dumps(payload))
    document = audit_event(entry, id="host.7", source=SOURCE)
    model = get_fhir_model_class("AuditEvent").model_validate(document)
    assert orjson.loads(model.model_dump_json())["subtype"][-1]["code"] == event


@ALL
def test_codes_are_those_of_the_official_lists(event: AuditEvent) -> None:
    document = rendered(event, FAILED)
    codings = [document["type"], *document["subtype"], *(agent["type"]["coding"][0] for agent in document["agent"])]
    for coding in codings:
        if coding["system"] == DCM:
            official = getattr(codes.DCM, coding["display"].replace(" ", ""))
            assert (official.value, official.meaning) == (coding["code"], coding["display"])
    assert document["action"] in set("CRUDE")
    assert document["outcome"] in {"0", "4", "8"}


@ALL
def test_exactly_one_agent_asked_for_it_and_the_service_is_always_named(event: AuditEvent) -> None:
    agents = rendered(event)["agent"]
    assert [agent["requestor"] for agent in agents].count(True) == 1
    assert agents[-1]["who"] == SOURCE


@ALL
def test_type_action_and_outcome_stay_when_the_payload_is_deleted(event: AuditEvent) -> None:
    before = rendered(event, ANALYSED)
    after = audit_event(Stored(event, payload=None), id="host.7", source=SOURCE)
    for name in ("type", "subtype", "action", "outcome", "recorded", "id", "meta", "source"):
        assert before[name] == after[name]


def test_a_deleted_payload_is_told() -> None:
    document = audit_event(Stored(AuditEvent.ECG_ANALYSED, payload=None), id="host.7", source=SOURCE)
    assert document["entity"][0]["description"] == PAYLOAD_GONE
    assert details(document) == {"correlation_id": "c-1"}
    assert "description" not in rendered(AuditEvent.ECG_ANALYSED, {})["entity"][0]


@pytest.mark.parametrize("content", [b"", b"\xff", b"[1]", b"7"])
def test_a_payload_that_is_no_object_is_told(content: bytes) -> None:
    entry = Stored(AuditEvent.ECG_ANALYSED, payload=content)
    assert audit_event(entry, id="x", source=SOURCE)["entity"][0]["description"] == PAYLOAD_UNREADABLE


def test_an_analysis_names_its_report_its_ecg_model_and_rules() -> None:
    document = rendered(AuditEvent.ECG_ANALYSED, ANALYSED)
    assert [entity["what"]["reference"] for entity in document["entity"]] == [
        "DiagnosticReport/018f0000-0000-7000-8000-000000000abc",
        "Observation/ecg-1",
    ]
    assert [entity["type"]["code"] for entity in document["entity"]] == ["DiagnosticReport", "Observation"]
    found = details(document)
    assert (found["model.name"], found["model.version"]) == ("net", "1.2.3")
    assert (found["policy.name"], found["policy.sha256"]) == ("default rules", "a" * 64)
    assert found["correlation_id"] == "c-1"


def test_a_missing_model_is_left_out() -> None:
    found = details(rendered(AuditEvent.ECG_UNINTERPRETABLE, ANALYSED | {"model": None}))
    assert not any(name.startswith("model") for name in found)


def test_a_refused_message_names_its_sender_and_the_error() -> None:
    document = rendered(AuditEvent.MESSAGE_FAILED, FAILED, subject="inbox/12")
    assert document["agent"][0]["name"] == "CART|WARD"
    assert document["outcomeDesc"] == "unit-missing"
    assert document["entity"][0]["name"] == "inbox/12"
    assert "what" not in document["entity"][0]


def test_a_sender_that_is_not_stated_is_not_guessed() -> None:
    assert rendered(AuditEvent.ECG_ANALYSED, ANALYSED)["agent"][0]["who"] == NOT_IDENTIFIED


@pytest.mark.parametrize(
    ("event", "type", "action", "outcome"),
    [
        (AuditEvent.OBSERVATION_STORED, "rest", "C", "0"),
        (AuditEvent.ECG_ANALYSED, "110100", "E", "0"),
        (AuditEvent.ECG_UNINTERPRETABLE, "110100", "E", "4"),
        (AuditEvent.MESSAGE_FAILED, "110107", "C", "4"),
        (AuditEvent.RESOURCE_UPDATED, "rest", "U", "0"),
        (AuditEvent.RESOURCE_DELETED, "rest", "D", "0"),
        (AuditEvent.REPORT_OVERREAD, "110100", "U", "0"),
        (AuditEvent.RESULT_DELIVERED, "110106", "R", "0"),
        (AuditEvent.RESULT_DEAD, "110106", "R", "8"),
    ],
)
def test_what_was_done_and_how_it_ended(event: AuditEvent, type: str, action: str, outcome: str) -> None:
    document = rendered(event)
    assert (document["type"]["code"], document["action"], document["outcome"]) == (type, action, outcome)


def test_a_stored_observation_is_a_create_and_a_start_is_a_start() -> None:
    stored, started = rendered(AuditEvent.OBSERVATION_STORED), rendered(AuditEvent.SERVICE_STARTED)
    assert [coding["code"] for coding in stored["subtype"]] == ["create", "observation.stored"]
    assert [coding["code"] for coding in started["subtype"]] == ["110120", "service.started"]


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ({"reference": "Practitioner/1", "identifier": None}, {"reference": "Practitioner/1"}),
        (
            {"reference": None, "identifier": "urn:oid:1.2|77"},
            {"identifier": {"system": "urn:oid:1.2", "value": "77"}},
        ),
        ({"reference": None, "identifier": "|77"}, {"identifier": {"value": "77"}}),
        ({"reference": None, "identifier": None}, NOT_IDENTIFIED),
        (None, NOT_IDENTIFIED),
    ],
)
def test_an_overread_names_the_clinician(who: dict[str, Any] | None, expected: dict[str, Any]) -> None:
    agent = rendered(AuditEvent.REPORT_OVERREAD, {"who": who})["agent"][0]
    assert agent["type"]["coding"][0]["code"] == "humanuser"
    assert agent["who"] == expected


def test_a_chain_whose_name_looks_like_a_reference_is_no_resource() -> None:
    entity = rendered(AuditEvent.CHAIN_STARTED, subject="Host/7")["entity"][0]
    assert (entity["name"], "what" in entity) == ("Host/7", False)


def test_the_time_is_that_of_the_entry_in_utc() -> None:
    assert rendered(AuditEvent.ECG_ANALYSED)["recorded"] == "2026-03-02T09:30:00.123Z"


def test_an_entry_before_it_is_stored_reads_the_same() -> None:
    entry = AuditEntry(
        event=AuditEvent.SERVICE_STARTED, recorded_at=datetime.now(UTC), subject="service", correlation_id="c-1"
    )
    assert audit_event(entry, id="1", source=SOURCE)["entity"][0]["name"] == "service"


def test_an_event_of_a_later_version_is_refused_and_not_guessed() -> None:
    with pytest.raises(InternalError, match=r"ecg\.dreamt"):
        rendered("ecg.dreamt")


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(string.printable, max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    event=st.sampled_from(AuditEvent),
    payload=st.dictionaries(st.sampled_from(["sender", "error", "observation", "model", "who", "x", ""]), json_values),
)
def test_any_payload_gives_a_valid_resource(event: AuditEvent, payload: dict[str, Any]) -> None:
    document = rendered(event, payload)
    get_fhir_model_class("AuditEvent").model_validate(document)
    assert not any(value in ("", [], {}, None) for value in _leaves(document))


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict) and value:
        return [leaf for item in value.values() for leaf in _leaves(item)]
    if isinstance(value, list) and value:
        return [leaf for item in value for leaf in _leaves(item)]
    return [value]

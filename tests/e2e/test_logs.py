"""What the running service writes into its log: one JSON object a line, with the correlation id, and nothing about a
patient, whatever senders put where."""

import json
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from interop.mllp.framing import END, RETURN, START, frame
from tests.e2e.conftest import Service, running
from tests.e2e.doors import (
    FHIR_JSON,
    Receiver,
    converse,
    ecg,
    eventually,
    flat,
    matrix,
    message,
    observation,
    post_matrix,
    post_observation,
    send,
)

# Each is found nowhere else: what the traffic says about one patient, and about who sent it.
NAME, GIVEN = "Quarzweiler", "Xanthippe"
PATIENT = "PZ5550123"
BIRTH_DATE, BIRTH_DATE_HL7 = "1947-08-13", "19470813"
PLACER, FILLER, VISIT = "PLAC-70707", "FILL-80808", "VISIT-90909"
CONTROL_ID = "CTRL-60606"
IDENTIFIER = "urn:uuid:3d5c2f0e-1111-4222-8333-9d9d9d9d9d9d"
OBSERVATION_ID = "obs-of-quarz"
REFERENCE = "zq-4711"
SECRET = "hush-hush-token"
SENT = (
    NAME, GIVEN, PATIENT, BIRTH_DATE, BIRTH_DATE_HL7, PLACER, FILLER, VISIT, CONTROL_ID, IDENTIFIER, OBSERVATION_ID,
    REFERENCE, SECRET,
)  # fmt: skip
EVERYTHING = " ".join(SENT)

LIMIT = 700_000  # bytes; above an ordinary ECG, so that an oversize one need not be large
FIELDS = {"time", "level", "logger", "message", "correlation_id"}
LEVELS = {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}


@pytest.fixture(scope="module")
def talkative(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that logs all it can, and whose results go to a receiver that repeats the patient in its refusal."""
    receiver = Receiver(code="AR", text=EVERYTHING)
    with receiver.listening():
        settings = {
            "log_level": "DEBUG",
            "http_max_bytes": str(LIMIT),
            "mllp_max_bytes": str(LIMIT),
            "outbound_mllp": f"127.0.0.1:{receiver.port}",
        }
        with running(tmp_path_factory.mktemp("talkative"), **settings) as started:
            yield started


def lines(service: Service) -> list[dict[str, Any]]:
    return [json.loads(line) for line in service.log.splitlines()]


def logged(service: Service, trace: str, count: int) -> list[dict[str, Any]]:
    """The lines of one request, of which there are so many; the last is written after the answer has gone out."""

    def own() -> list[dict[str, Any]]:
        return [line for line in lines(service) if line["correlation_id"] == trace]

    assert eventually(lambda: len(own()) >= count)
    return own()


def person() -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": "patient",
        "identifier": [{"system": f"urn:{PLACER}", "value": PATIENT}],
        "name": [{"family": NAME, "given": [GIVEN], "text": f"{NAME} {GIVEN}"}],
        "birthDate": BIRTH_DATE,
        "gender": "female",
    }


def about_a_patient(content: bytes, **changed: Any) -> bytes:
    """An Observation that says all it can about the patient."""
    document = orjson.loads(content) | {
        "id": OBSERVATION_ID,
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": IDENTIFIER}, {"system": "urn:x", "value": FILLER}],
        "contained": [person()],
        "subject": {"reference": "#patient", "display": f"{NAME}, {GIVEN}"},
        "encounter": {"reference": f"Encounter/{VISIT}", "display": VISIT},
        "basedOn": [{"reference": f"ServiceRequest/{PLACER}", "display": EVERYTHING[:60]}],
        "note": [{"text": EVERYTHING}],
    }
    return orjson.dumps(document | changed)


ELSEWHERE = {"subject": {"reference": f"Patient/{REFERENCE}", "display": NAME}, "contained": []}
BAD_RESOURCES: tuple[dict[str, Any], ...] = (
    {NAME: PATIENT},  # an element of that name
    {"status": NAME},
    {"resourceType": NAME},
    {"contained": [person() | {NAME: PATIENT}]},
    {"contained": [person() | {"birthDate": f"{BIRTH_DATE}-{NAME}"}]},
    {"contained": [person() | {"gender": NAME}]},
    {"subject": {"reference": f"{NAME} {PATIENT}"}},
    {"subject": {"reference": f"#{NAME}"}},
    {"subject": {"reference": f"Medication/{REFERENCE}"}},
    {"component": [{"code": {"text": NAME}, "valueSampledData": {"origin": {"value": 0}, "data": EVERYTHING}}]},
    {"effectiveDateTime": BIRTH_DATE_HL7},
    {"identifier": [{"value": PATIENT, "assigner": {"display": 7, NAME: NAME}}]},
    {"extension": [{"url": NAME, "valueString": PATIENT, "valueCode": GIVEN}]},
)


def by_fhir(service: Service) -> None:
    assert post_observation(service, about_a_patient(observation())).status_code == 201
    assert post_observation(service, about_a_patient(observation())).status_code == 200
    assert post_observation(service, about_a_patient(observation(flat()), identifier=[])).status_code >= 400
    other = about_a_patient(observation(ecg(signal=ecg().signal * 0.9)))
    assert post_observation(service, other).status_code == 409
    assert post_observation(service, about_a_patient(observation(), **ELSEWHERE)).status_code >= 200
    no_ecg = {"coding": [{"system": "http://loinc.org", "code": PATIENT, "display": NAME}]}
    assert post_observation(service, about_a_patient(observation(), code=no_ecg)).status_code < 500
    withdrawn = about_a_patient(observation(), status="entered-in-error", identifier=[{"value": PATIENT}])
    assert post_observation(service, withdrawn).status_code == 201
    for changed in BAD_RESOURCES:
        answer = post_observation(service, about_a_patient(observation(), **changed))
        assert 400 <= answer.status_code < 500, changed
    for broken in (
        EVERYTHING.encode(),
        b'{"resourceType": "' + EVERYTHING.encode(),
        b"\xff\xfe" + NAME.encode(),
        b"[]",
    ):
        assert post_observation(service, broken).status_code in (400, 422)
    assert post_observation(service, EVERYTHING.encode() * (LIMIT // len(EVERYTHING) + 1)).status_code == 413


def by_headers_and_urls(service: Service) -> None:
    content = about_a_patient(observation())
    given: tuple[dict[str, str], ...] = (
        {"Content-Type": f"text/{NAME}"}, {"Accept": f"application/{NAME}"}, {"Prefer": f"return={NAME}"},
        {"If-None-Exist": f"identifier=urn:x|{PATIENT}"}, {"If-None-Exist": f"{NAME}={PATIENT}"},
        {"Authorization": f"Bearer {SECRET}", "Cookie": f"patient={PATIENT}", "User-Agent": NAME, "Referer": PATIENT},
        {"X-Request-Id": f"{NAME} {PATIENT}"}, {"X-Forwarded-For": NAME, "Host": f"{NAME}.example"},
    )  # fmt: skip
    for headers in given:
        assert post_observation(service, content, **headers).status_code >= 200
    urls = (
        f"/fhir/DiagnosticReport?subject=Patient/{REFERENCE}", f"/fhir/DiagnosticReport?{NAME}={PATIENT}",
        f"/fhir/Observation?identifier=urn:ietf:rfc:3986|{IDENTIFIER}", f"/fhir/Observation?subject:{NAME}={PATIENT}",
        f"/fhir/Observation?_cursor={EVERYTHING}", f"/fhir/Observation?_count={NAME}", f"/fhir/{NAME}/{PATIENT}",
        f"/fhir/Observation/{OBSERVATION_ID}", f"/fhir/Observation/{OBSERVATION_ID}/_history/{PATIENT}",
        f"/fhir/DiagnosticReport/{REFERENCE}?_format={NAME}", f"/{NAME}/{PATIENT}", f"/predict/{PATIENT}?name={NAME}",
        f"/health?{NAME}", f"/fhir/Observation?patient.birthdate={BIRTH_DATE}", f"/docs?{NAME}", f"/fhir/%00{NAME}",
    )  # fmt: skip
    with httpx.Client(base_url=service.url) as http:
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", NAME.upper()):
            for url in urls:
                assert http.request(method, url, headers={"Accept": FHIR_JSON}).status_code != 500, (method, url)
        http.post("/fhir/Observation/_search", data={"subject": f"Patient/{REFERENCE}", "identifier": PATIENT})


def by_broken_http(service: Service) -> None:
    port = httpx.URL(service.url).port or 0
    body = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{NAME}"
    chunked = f"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{NAME}\r\n{PATIENT}\r\n"
    for data in (EVERYTHING, f"GET /{NAME} HTTP/9.9\r\n\r\n", f"GET / HTTP/1.1\r\n{NAME}\r\n\r\n", body, chunked):
        converse(("127.0.0.1", port), data.encode())


def by_predict(service: Service) -> None:
    assert post_matrix(service, matrix()).status_code == 200
    assert post_matrix(service, matrix(flat())).status_code == 422
    wrong: tuple[dict[str, Any], ...] = (
        {NAME: PATIENT}, {"patient_age": NAME}, {"patient_sex": NAME}, {"recorded_at": BIRTH_DATE}, {"unit": NAME},
        {"leads": [NAME] * 12}, {"ecg_signal": [[NAME]]}, {"ecg_signal": NAME}, {"sampling_rate": PATIENT},
        {"patient_name": NAME}, {"recorded_at": BIRTH_DATE_HL7},
    )  # fmt: skip
    for changed in wrong:
        assert post_matrix(service, matrix(**changed)).status_code == 422, changed
    assert post_matrix(service, EVERYTHING.encode()).status_code == 400
    assert post_matrix(service, matrix(), **{"Content-Type": f"text/{NAME}"}).status_code == 415
    assert post_matrix(service, matrix(), Accept=f"text/{NAME}").status_code == 406


def of_a_patient(control_id: str = CONTROL_ID, **options: Any) -> bytes:
    """A message that says all it can about the patient."""
    given: dict[str, Any] = {
        "patient_id": PATIENT, "placer_order_number": PLACER, "filler_order_number": FILLER,
        "sending_application": f"APP-{SECRET}", "sending_facility": NAME,
    }  # fmt: skip
    content = message(control_id=control_id, **(given | options))
    pid = f"PID|1||{PATIENT}^^^{NAME}^MR||{NAME}^{GIVEN}||{BIRTH_DATE_HL7}|F|||{NAME} street 1"
    before, _, rest = content.partition(b"PID|")
    return before + pid.encode() + f"\rPV1|1|I{'|' * 17}{VISIT}\r".encode() + rest.partition(b"\r")[2]


def by_mllp(service: Service) -> None:
    good = of_a_patient()
    first, again, reused = send(service.mllp, good, good, good + b"NTE|1||" + NAME.encode() + b"\r")
    assert b"MSA|AA|" in first == again
    assert b"MSA|AA|" in reused
    changes = (
        (f"{PATIENT}^^^{NAME}^MR", ""), ("|ORU^R01^ORU_R01|", f"|{NAME}^{PATIENT}|"), ("|ORU^R01^", f"|ORU^{PATIENT}^"),
        ("|P|2.5.1|", f"|{NAME}|2.5.1|"), ("|P|2.5.1|", f"|P|{PATIENT}|"), ("UNICODE UTF-8", NAME),
        ("MDC_DIM_MILLI_VOLT", NAME), ("266418^", f"{PATIENT}^"), ("MDC_ECG_LEAD_II^", f"{NAME}^"),
        ("|NA|", f"|{NAME}|"), ("264608^", f"{NAME}^"), (f"|{BIRTH_DATE_HL7}|", f"|{NAME}|"),
        ("|ORU^R01^ORU_R01|", "|ADT^A08^ADT_A01|"),
        (f"|{CONTROL_ID}", "|"), ("PID|", f"{NAME}\rPID|"), ("|ORU^R01^ORU_R01|", "|ACK^R01^ACK|"), ("^~\\&", NAME[:4]),
    )  # fmt: skip
    for number, (old, new) in enumerate(changes):
        content = of_a_patient(CONTROL_ID).replace(old.encode(), new.encode())
        send(service.mllp, content.replace(CONTROL_ID.encode(), f"{CONTROL_ID}-{number}".encode()))
    for content in (EVERYTHING.encode(), b"MSH|" + EVERYTHING.encode(), b"\xff" + NAME.encode(), b""):
        assert b"MSA|AE|" in send(service.mllp, content)[0]
    latin = of_a_patient(f"{CONTROL_ID}-latin").replace(GIVEN.encode(), b"Z\xf6e " + GIVEN.encode())
    assert send(service.mllp, latin)
    (uninterpretable,) = send(service.mllp, of_a_patient(f"{CONTROL_ID}-flat", recording=flat()))
    assert b"MSA|AA|" in uninterpretable
    (oversize,) = send(service.mllp, good + b"NTE|1||" + EVERYTHING.encode() * (LIMIT // len(EVERYTHING)) + b"\r")
    assert b"MSA|AR|" in oversize


def by_broken_mllp(service: Service) -> None:
    start, end = bytes([START]), bytes([END, RETURN])
    some = of_a_patient(f"{CONTROL_ID}-cut")[:2000]
    for data in (
        EVERYTHING.encode() + frame(some),
        start + some,
        start + some + start + some + end,
        NAME.encode() * 2000,
    ):
        converse(service.mllp, data)
    with closing(socket.create_connection(service.mllp)) as connection:
        connection.sendall(frame(of_a_patient(f"{CONTROL_ID}-gone")))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # and resets at once


DOORS = (by_fhir, by_headers_and_urls, by_broken_http, by_predict, by_mllp, by_broken_mllp)


@pytest.fixture(scope="module")
def driven(talkative: Service) -> Service:
    """The service after all of it, its last results refused by their receiver, and stopped."""
    for door in DOORS:
        door(talkative)
    assert eventually(lambda: _dead(talkative) > 0)
    assert httpx.get(f"{talkative.url}/ready").status_code == 200
    assert talkative.stop() == 0
    return talkative


def _dead(service: Service) -> int:
    with service.store() as store, store.reader() as reader:
        return sum(number for state, number in reader.outbox.counts().items() if state == "dead")


def test_nothing_that_was_sent_is_in_the_log(driven: Service) -> None:
    text = driven.log.lower()
    found = {value: [line for line in text.splitlines() if value.lower() in line][:3] for value in SENT}
    assert {value: where for value, where in found.items() if where} == {}


def test_the_traffic_reached_the_store_and_the_store_only(driven: Service) -> None:
    """What is not in the log is really there to be found: a search for nothing would find nothing."""
    with driven.store() as store, store.reader() as reader:
        kept = b"\n".join(row.received.content for row in reader.inbox.list(1000))
    assert [value for value in SENT if value.encode() not in kept] == []


def test_every_line_is_one_json_object_with_the_same_fields(driven: Service) -> None:
    found = lines(driven)
    assert len(found) > 100
    for line in found:
        assert line.keys() >= FIELDS, line
        assert line["level"] in LEVELS
        assert line["time"].endswith("+00:00")
        assert isinstance(line["message"], str)
        assert line["correlation_id"]


def test_no_line_reports_a_defect(driven: Service) -> None:
    assert [line for line in lines(driven) if line["level"] in ("ERROR", "CRITICAL")] == []


def test_each_message_has_a_correlation_id_of_its_own_in_log_and_audit_trail(service: Service) -> None:
    before = len(lines(service))
    first = message(control_id="OWN-1")
    assert len(send(service.mllp, first, message(control_id="OWN-2"), first.replace(b"OWN-1", b"OWN-3"))) == 3
    analysed = [line for line in lines(service)[before:] if line["message"] == "message analysed"]
    assert len({line["correlation_id"] for line in analysed}) == len(analysed) == 3
    for line in analysed:
        assert audited(service, f"DiagnosticReport/{line['analysis_id']}") == [line["correlation_id"]]


@pytest.mark.parametrize("door", ["fhir", "predict"])
def test_the_id_that_a_caller_gives_a_request_is_in_its_lines_its_answer_and_the_audit_trail(
    service: Service, door: str
) -> None:
    trace = f"trace-{door}-0001"
    post, content = {"fhir": (post_observation, observation), "predict": (post_matrix, matrix)}[door]
    answer = post(service, content(), **{"X-Request-Id": trace})
    assert answer.is_success
    assert answer.headers["x-request-id"] == trace
    (line,) = logged(service, trace, 1)
    assert (line["message"], line["method"], line["status"]) == ("request", "POST", answer.status_code)
    assert line["route"] in ("/fhir/Observation", "/predict")
    with closing(sqlite3.connect(_file(service))) as database:
        query = "SELECT event FROM audit_entries WHERE correlation_id = ?"
        assert database.execute(query, (trace,)).fetchall() == [("ecg.analysed",)]


def test_a_refusal_is_logged_under_the_id_that_its_caller_is_told(service: Service) -> None:
    answer = post_matrix(service, b"{")
    trace = answer.json()["correlation_id"]
    assert answer.headers["x-request-id"] == trace
    own = logged(service, trace, 2)
    assert [line["message"] for line in own] == ["refused", "request"]
    assert own[0]["code"] == "malformed"


def test_probes_do_not_fill_the_log(service: Service) -> None:
    before = len(lines(service))
    for path in ("/health", "/ready", "/metrics"):
        httpx.get(service.url + path)
    logged(service, httpx.get(f"{service.url}/nowhere").headers["x-request-id"], 2)
    assert [line["message"] for line in lines(service)[before:]] == ["refused", "request"], "of the last call"


def audited(service: Service, subject: str) -> list[str]:
    """The correlation ids of the audit entries about it."""
    with closing(sqlite3.connect(_file(service))) as database:
        query = "SELECT correlation_id FROM audit_entries WHERE subject = ?"
        return [row[0] for row in database.execute(query, (subject,))]


def _file(service: Service) -> Path:
    return Path(service.database.removeprefix("sqlite:///"))

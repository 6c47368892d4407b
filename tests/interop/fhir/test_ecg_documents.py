"""ECG files in documents, through the door into a real store."""

import base64
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import orjson
import pytest

from actions.analysis import Mode
from audit.records import AuditEvent
from inference.recording import LEADS
from tests.inference.formats.exchange_files import RECORDED, WRITERS, aecg, dicom, scp
from tests.interop.client import BASE
from tests.interop.fhir.documents import (
    ATTACHMENT,
    BINARY,
    COUNTS,
    DICOM,
    ECG,
    JSON_PATCH,
    KINDS,
    OTHER,
    PATIENT,
    UID,
    document,
    ecg_of,
    got,
    issue,
    matches,
    posted,
    raw_binary,
    referring,
    report_of,
    send,
    transaction,
    without_meta,
)
from tests.interop.service import FHIR_JSON, Service, flat_ecg, observation, running
from tests.interop.valid import valid


@pytest.fixture(scope="module")
def shared() -> Iterator[Service]:
    with running() as started:
        yield started


@pytest.mark.parametrize("name", WRITERS)
def test_an_ecg_file_is_kept_as_it_came_and_analysed(service: Service, name: str) -> None:
    sent = document(WRITERS[name][1](COUNTS), KINDS.get(name, "application/octet-stream"), description="1.50 é")
    text = orjson.dumps(sent).replace(b'"status"', b' "extension" : [{"url":"urn:x","valueDecimal":1.50}], "status"')
    response = posted(service, text)
    assert response.headers["location"] == f"{BASE}/fhir/DocumentReference/{response.json()['id']}/_history/1"
    stored = send(service, "GET", f"DocumentReference/{response.json()['id']}")
    assert b'"extension":[{"url":"urn:x","valueDecimal":1.50}]' in stored.content
    assert without_meta(stored.json()) == orjson.loads(text)
    ecg, report = ecg_of(service, response.json()["id"]), got(service, f"DiagnosticReport/{report_of(response)}")
    valid("Observation", orjson.dumps(ecg))
    assert ecg["subject"] == report["subject"] == {"reference": "Patient/1"}
    assert report["result"][0] == {"reference": f"Observation/{ecg['id']}"}
    assert "infarction" in report["conclusion"]
    assert "The file says that its patient is 4711" in report["conclusion"]
    assert ecg["effectiveDateTime"] == RECORDED.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    assert service.store.rows("SELECT age, sex, door FROM analyses") == [(63.0, "female", "fhir")]
    assert service.store.events == [AuditEvent.ECG_ANALYSED, AuditEvent.RESOURCE_CREATED]
    assert service.metric('ecg_received_total{door="fhir"}') == 1


def test_the_samples_of_the_observation_are_those_of_the_file(service: Service) -> None:
    ecg = ecg_of(service, posted(service, document()).json()["id"])
    series = ecg["component"][1]["valueSampledData"]
    found = np.array(series["data"].split(), float) * series["factor"]
    np.testing.assert_allclose(found, COUNTS[1] * 0.0025, atol=1e-9)


def test_a_file_names_itself_its_orders_and_its_device(service: Service) -> None:
    content = dicom(COUNTS, PlacerOrderNumberImagingServiceRequest="P-1", Manufacturer="Acme")
    response = posted(service, document(content))
    ecg, report = ecg_of(service, response.json()["id"]), got(service, f"DiagnosticReport/{report_of(response)}")
    assert ecg["identifier"] == [{"system": "urn:dicom:uid", "value": UID}]
    assert ecg["device"] == {"display": "Acme"}
    assert [one["value"] for one in report["identifier"]] == ["P-1"]


def test_the_visit_of_a_document_is_that_of_its_results(service: Service) -> None:
    response = posted(service, document(context={"encounter": [{"reference": "Encounter/7"}]}))
    assert got(service, f"DiagnosticReport/{report_of(response)}")["encounter"] == {"reference": "Encounter/7"}


def test_times_without_a_zone_are_in_that_of_the_settings() -> None:
    with running(time_zone="Asia/Tokyo") as service:
        ecg = ecg_of(service, posted(service, document()).json()["id"])
    assert ecg["effectiveDateTime"] == "2026-03-02T00:15:30.000Z"


def test_age_and_sex_of_the_patient_count_and_contradictions_are_told(service: Service) -> None:
    male = PATIENT | {"id": "1", "gender": "male", "birthDate": "2019-01-01"}
    send(service, "PUT", "Patient/1", male)
    response = posted(service, document())
    assert service.store.rows("SELECT sex FROM analyses") == [("male",)]
    conclusion = got(service, f"DiagnosticReport/{report_of(response)}")["conclusion"]
    assert "The file states an age of 63 years, which is not that of the Patient." in conclusion
    assert "The file states the sex female, which is not that of the Patient." in conclusion
    assert matches(service, f"ServiceRequest?reason=DiagnosticReport/{report_of(response)}") == []  # a child


def test_a_patient_without_birth_date_leaves_the_age_to_the_file(service: Service) -> None:
    send(service, "PUT", "Patient/1", {"resourceType": "Patient", "id": "1", "active": True})
    posted(service, document())
    assert service.store.rows("SELECT age, sex FROM analyses") == [(63.0, "female")]


def test_a_contained_patient_gives_age_and_the_identifier_of_all_results(service: Service) -> None:
    named = {"system": "urn:h", "value": "77"}
    contained = PATIENT | {"id": "p", "identifier": [named]}
    response = posted(service, document(subject={"reference": "#p"}, contained=[contained]))
    assert got(service, f"DiagnosticReport/{report_of(response)}")["subject"]["identifier"] == named
    assert ecg_of(service, response.json()["id"])["subject"]["identifier"] == named
    assert service.store.rows("SELECT age FROM analyses") == [(74.0,)]


@pytest.mark.parametrize(
    ("changed", "element"),
    [
        ({"subject": None}, "DocumentReference.subject"),
        ({"subject": {"display": "Jane"}}, "DocumentReference.subject"),
        ({"subject": {"reference": "Group/1"}}, "DocumentReference.subject"),
        ({"content": [{"attachment": {"contentType": "application/dicom", "data": "AAAA"}}]}, ATTACHMENT),
        ({"content": [{"attachment": {"contentType": "application/dicom", "data": "A"}}]}, None),
        (
            {"content": [{"attachment": {"contentType": "application/dicom", "url": "Binary/none"}}]},
            f"{ATTACHMENT}.url",
        ),
        ({"status": "nonsense"}, "DocumentReference.status"),
        ({"content": "x"}, "DocumentReference.content"),
    ],
)
def test_what_cannot_be_used_is_refused_and_nothing_of_it_is_stored(
    service: Service, changed: dict[str, Any], element: str | None
) -> None:
    found, _ = issue(send(service, "POST", "DocumentReference", document(**changed)), 422)
    assert element is None or found == element
    assert service.store.rows("SELECT 1 FROM documents") == []


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (scp(COUNTS), "application/dicom"),
        (
            scp(COUNTS[:11], LEADS[:11]),
            "application/octet-stream",
        ),
        (dicom(np.zeros((12, 5000), np.int16)), "application/dicom"),
        (b"<a/>", "application/xml"),
        (DICOM[:2000], "application/dicom"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_at_its_attachment(service: Service, content: bytes, kind: str) -> None:
    other = {"attachment": {"contentType": "application/pdf", "data": "AAAA"}}
    whole = document(content, kind)
    response = send(service, "POST", "DocumentReference", whole | {"content": [other, *whole["content"]]})
    assert issue(response, 422)[0] == "DocumentReference.content[1].attachment"
    assert service.store.rows("SELECT 1 FROM documents") == []


@pytest.mark.parametrize(
    "sent",
    [
        document(b"%PDF-1.7", "application/pdf", subject=None),
        document(b"<svg/>", "image/svg+xml", subject=None),
        document(status="superseded", subject=None),
        document(status="entered-in-error"),
        document(docStatus="entered-in-error"),
        referring({"contentType": "application/dicom", "url": "https://pacs.example/1"}),
        referring({"contentType": "application/dicom", "title": "on paper"}),
    ],
)
def test_what_is_no_ecg_to_analyse_is_only_stored(service: Service, sent: dict[str, Any]) -> None:
    response = posted(service, sent)
    assert "link" not in response.headers
    assert service.classify.calls == []
    assert matches(service, "Observation") == []


def test_silent_results_have_no_link() -> None:
    with running(mode=Mode.SILENT) as service:
        assert "link" not in posted(service, document()).headers
        assert service.store.count("DiagnosticReport") == 1


@pytest.mark.parametrize("content", [DICOM, aecg(COUNTS)])
def test_the_same_file_again_is_the_first_document(service: Service, content: bytes) -> None:
    kind = "application/dicom" if content is DICOM else "text/xml"
    first = posted(service, document(content, kind))
    again = send(service, "POST", "DocumentReference", document(content, kind, description="sent twice"))
    assert (again.status_code, again.headers["location"]) == (200, first.headers["location"])
    assert report_of(again) == report_of(first)
    assert len(service.classify.calls) == 1
    assert service.store.count("DocumentReference") == 1
    assert service.metric('ecg_duplicates_total{door="fhir"}') == 1


def test_another_signal_under_the_same_identifier_is_409(service: Service) -> None:
    posted(service, document())
    element, text = issue(send(service, "POST", "DocumentReference", document(OTHER)), 409)
    assert element == ATTACHMENT
    assert "another signal" in text
    assert service.store.count("DocumentReference") == 1


def test_of_the_same_file_at_once_one_is_stored(service: Service) -> None:
    options = {"content": orjson.dumps(document()), "headers": {"Content-Type": FHIR_JSON}}
    requests = [("POST", "/fhir/DocumentReference", options)] * 6
    answers = service.client.together(requests)
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert (service.store.count("DocumentReference"), service.store.count("DiagnosticReport")) == (1, 1)


def test_a_file_without_an_identifier_is_never_merged(service: Service) -> None:
    for _ in range(2):
        posted(service, document(scp(COUNTS), "application/octet-stream"))
    assert service.store.count("DiagnosticReport") == 2


def test_a_file_of_an_ecg_that_came_as_an_observation_is_stored_beside_it(service: Service) -> None:
    posted_ecg = posted(service, observation(ECG, identifier=UID, system="urn:dicom:uid"), "Observation")
    exact = dicom(np.rint(ECG.signal * 1000).astype(np.int16))
    scaled = exact.replace(b"2.5 ", b"1.0 ")
    response = posted(service, document(scaled))
    assert report_of(response) == report_of(posted_ecg)
    assert matches(service, f"Observation?derived-from=DocumentReference/{response.json()['id']}") == []
    send(service, "DELETE", f"DocumentReference/{response.json()['id']}")
    assert got(service, f"DiagnosticReport/{report_of(posted_ecg)}")["status"] == "preliminary"


def test_an_update_under_an_id_of_the_client_creates_and_is_analysed(service: Service) -> None:
    response = send(service, "PUT", "DocumentReference/mine", document(id="mine"))
    assert response.status_code == 201, response.text
    assert ecg_of(service, "mine")["id"]
    assert got(service, f"DiagnosticReport/{report_of(response)}")["status"] == "preliminary"
    other = send(service, "PUT", "DocumentReference/yours", document(id="yours"))
    assert "DocumentReference/mine" in issue(other, 409)[1]


def states(service: Service, report: str) -> set[str]:
    """Of a report and what it proposes."""
    requests = matches(service, f"ServiceRequest?reason=DiagnosticReport/{report}")
    return {got(service, f"DiagnosticReport/{report}")["status"], *(one["status"] for one in requests)}


def test_another_file_by_put_is_analysed_again_and_the_first_results_are_taken_back(service: Service) -> None:
    first = posted(service, document())
    name, ecg = first.json()["id"], ecg_of(service, first.json()["id"])
    second = send(service, "PUT", f"DocumentReference/{name}", document(OTHER, id=name))
    assert (second.status_code, second.headers["etag"]) == (200, 'W/"2"')
    assert states(service, report_of(first)) == {"entered-in-error"}
    assert states(service, report_of(second)) == {"preliminary", "draft"}
    following = ecg_of(service, name)
    assert (following["id"], following["meta"]["versionId"]) == (ecg["id"], "2")
    assert following["component"] != ecg["component"]
    again = send(service, "POST", "DocumentReference", document(OTHER))
    assert (again.status_code, again.headers["location"]) == (200, second.headers["location"])


def test_another_description_by_put_keeps_the_analysis(service: Service) -> None:
    first = posted(service, document())
    name = first.json()["id"]
    second = send(service, "PUT", f"DocumentReference/{name}", document(id=name, description="left arm up"))
    assert (second.status_code, second.headers["etag"]) == (200, 'W/"2"')
    assert report_of(second) == report_of(first)
    assert len(service.classify.calls) == 1
    assert states(service, report_of(first)) == {"preliminary", "draft"}


@pytest.mark.parametrize(
    "changed", [{"status": "entered-in-error"}, {"status": "superseded"}, {"docStatus": "entered-in-error"}]
)
def test_withdrawing_a_document_withdraws_its_ecg_and_frees_the_file_for_another_patient(
    service: Service, changed: dict[str, Any]
) -> None:
    first = posted(service, document())
    name = first.json()["id"]
    assert send(service, "PUT", f"DocumentReference/{name}", document(id=name, **changed)).status_code == 200
    assert states(service, report_of(first)) == {"entered-in-error"}
    assert ecg_of(service, name)["status"] == "entered-in-error"
    assert AuditEvent.ECG_WITHDRAWN in service.store.events
    right = posted(service, document(subject={"reference": "Patient/2"}))
    assert got(service, f"DiagnosticReport/{report_of(right)}")["subject"] == {"reference": "Patient/2"}
    back = send(service, "PUT", f"DocumentReference/{name}", document(id=name))
    assert issue(back, 409)[0] == ATTACHMENT


def test_a_withdrawn_document_that_counts_again_is_analysed_again(service: Service) -> None:
    first = posted(service, document())
    name = first.json()["id"]
    send(service, "PUT", f"DocumentReference/{name}", document(id=name, status="entered-in-error"))
    back = send(service, "PUT", f"DocumentReference/{name}", document(id=name))
    assert states(service, report_of(back)) == {"preliminary", "draft"}
    assert (ecg_of(service, name)["status"], ecg_of(service, name)["meta"]["versionId"]) == ("final", "3")


def test_a_patch_withdraws_too(service: Service) -> None:
    first = posted(service, document())
    patch = b'[{"op":"replace","path":"/status","value":"entered-in-error"}]'
    path = f"DocumentReference/{first.json()['id']}"
    assert send(service, "PATCH", path, patch, Content_Type=JSON_PATCH).status_code == 200
    assert states(service, report_of(first)) == {"entered-in-error"}


def test_a_file_that_is_taken_out_or_deleted_takes_its_results_along(service: Service) -> None:
    for method in ("PUT", "DELETE"):
        first = posted(service, document())
        name = first.json()["id"]
        without = document(b"%PDF", "application/pdf", id=name)
        content = without if method == "PUT" else None
        assert send(service, method, f"DocumentReference/{name}", content).status_code in (200, 204)
        assert states(service, report_of(first)) == {"entered-in-error"}
    back = send(service, "PUT", f"DocumentReference/{name}", document(id=name))
    assert back.status_code == 201
    assert states(service, report_of(back)) == {"preliminary", "draft"}


def test_what_a_client_derived_from_a_document_is_left_alone(service: Service) -> None:
    name = posted(service, document()).json()["id"]
    own = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "seen on the ECG"},
        "subject": {"reference": "Patient/1"},
        "derivedFrom": [{"reference": f"DocumentReference/{name}"}],
    }
    mine = posted(service, own, "Observation").json()["id"]
    send(service, "DELETE", f"DocumentReference/{name}")
    assert got(service, f"Observation/{mine}")["status"] == "final"


@pytest.mark.parametrize("version", ["", "/_history/1"])
@pytest.mark.parametrize("kind", ["application/dicom", None])
def test_a_file_in_a_stored_binary_is_analysed(service: Service, version: str, kind: str | None) -> None:
    name = raw_binary(service, DICOM)
    attachment = {"url": f"Binary/{name}{version}"} | ({"contentType": kind} if kind else {})
    response = posted(service, referring(attachment))
    assert got(service, f"DiagnosticReport/{report_of(response)}")["status"] == "preliminary"


def test_a_binary_may_be_called_by_its_whole_url_where_that_is_known_to_be_ours() -> None:
    with running(public_url="https://ecg.example/") as service:
        url = f"https://ecg.example/fhir/Binary/{raw_binary(service, DICOM)}"
        assert report_of(posted(service, referring({"contentType": "application/dicom", "url": url})))


NAMES = [f"urn:uuid:{n}0000000-0000-4000-8000-000000000000" for n in range(3)]


LINKED = referring({"contentType": "application/dicom", "url": NAMES[1]}, subject={"reference": NAMES[2]})
BUNDLE = transaction(
    (NAMES[0], "DocumentReference", LINKED), (NAMES[1], "Binary", BINARY), (NAMES[2], "Patient", PATIENT)
)


def locations(response: httpx.Response) -> list[tuple[str, str]]:
    assert response.status_code == 200, response.text
    valid("Bundle", response.content)
    found = [entry["response"] for entry in response.json()["entry"]]
    return [(one["status"], one["location"].removeprefix(f"{BASE}/fhir/").partition("/_")[0]) for one in found]


def test_a_transaction_brings_document_binary_and_patient_at_once(service: Service) -> None:
    response = send(service, "POST", "", BUNDLE)
    (_, document_), (_, binary), (_, patient) = locations(response)
    stored = got(service, document_)
    assert stored["content"][0]["attachment"]["url"] == binary
    assert stored["subject"] == {"reference": patient}
    assert service.store.rows("SELECT age, sex FROM analyses") == [(74.0, "female")]
    told = response.json()["entry"][0]["response"]["outcome"]["issue"]
    assert any("DiagnosticReport/" in one["details"]["text"] for one in told)
    raw = send(service, "GET", binary)
    assert (raw.content, raw.headers["content-type"]) == (DICOM, "application/dicom")


def test_a_repeated_transaction_refers_to_the_document_that_is_here(service: Service) -> None:
    task = {"resourceType": "Task", "status": "requested", "intent": "order", "focus": {"reference": NAMES[0]}}
    bundle = {**BUNDLE, "entry": [*BUNDLE["entry"], *transaction(("urn:uuid:4", "Task", task))["entry"]]}
    del bundle["entry"][-1]["fullUrl"]
    first, again = locations(send(service, "POST", "", bundle)), locations(send(service, "POST", "", bundle))
    assert [status for status, _ in again] == ["200 OK", "201 Created", "201 Created", "201 Created"]
    assert again[0][1] == first[0][1]
    assert got(service, again[3][1])["focus"] == {"reference": first[0][1]}
    assert len(service.classify.calls) == 1


def test_an_entry_that_cannot_be_read_is_named_and_all_of_it_is_refused(service: Service) -> None:
    broken = {**BINARY, "data": base64.b64encode(b"no ECG").decode()}
    entries = [(NAMES[0], "DocumentReference", LINKED), (NAMES[1], "Binary", broken), (NAMES[2], "Patient", PATIENT)]
    response = send(service, "POST", "", transaction(*entries))
    assert issue(response, 422)[0] == "Bundle.entry[0].resource.content[0].attachment"
    assert service.store.rows("SELECT 1 FROM documents") == []
    response = send(service, "POST", "", transaction(entries[0], entries[2]))
    assert issue(response, 422)[0] == "Bundle.entry[0].resource.content[0].attachment.url"
    invalid = transaction(entries[0], (NAMES[1], "Binary", {"resourceType": "Binary"}), entries[2])
    assert issue(send(service, "POST", "", invalid), 422)[0] == "Bundle.entry[1].resource.contentType"


def test_a_batch_analyses_each_document(service: Service) -> None:
    sent = transaction(
        ("urn:uuid:1", "DocumentReference", document()),
        ("urn:uuid:2", "DocumentReference", document(scp(COUNTS), "application/octet-stream")),
        ("urn:uuid:3", "DocumentReference", document(b"x")),
        kind="batch",
    )
    for entry in sent["entry"]:
        del entry["fullUrl"]
    found = [entry["response"]["status"] for entry in send(service, "POST", "", sent).json()["entry"]]
    assert found == ["201 Created", "201 Created", "422 Unprocessable Entity"]
    assert service.store.count("DiagnosticReport") == 2


def test_a_flat_ecg_is_refused_in_words(service: Service) -> None:
    flat = dicom(np.rint(flat_ecg().signal).astype(np.int16))
    assert "no signal in any lead" in issue(send(service, "POST", "DocumentReference", document(flat)), 422)[1]

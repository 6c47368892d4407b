"""Every kind of answer that the running service gives below `/fhir`, and everything that it then holds, held against
FHIR R4 and our profiles by validators of others."""

from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest

from interop.fhir.parameters import INTERACTIONS, Interaction
from interop.fhir.routes import READ_ONLY
from interop.resources.received import is_made_here
from tests.e2e import doors
from tests.e2e.conftest import Service, running
from tests.e2e.doors import FHIR_JSON
from tests.e2e.fhir_validators import Validators, validators
from tests.e2e.test_fhir_validators import WAVEFORM, profiles_of
from tests.e2e.visit import JSON_PATCH, READER, ecg, message, others, patient, visit

__all__ = ["validators"]

Json = dict[str, Any]

SEARCHED = [kind for kind, interactions in INTERACTIONS.items() if Interaction.SEARCH in interactions]

REFUSED: tuple[tuple[str, str, dict[str, str], bytes | None], ...] = (
    ("GET", "Patient/none", {}, None),
    ("GET", "Encounter", {}, None),
    ("GET", "Patient?birthdate=yesterday", {}, None),
    ("GET", "Patient?colour=red", {"Prefer": "handling=strict"}, None),
    ("GET", "metadata", {"Accept": "application/fhir+xml"}, None),
    ("DELETE", "Provenance/x", {}, None),
    ("DELETE", "Patient?gender=male", {}, None),
    ("POST", "Patient", {"Content-Type": "text/plain"}, b"{}"),
    ("POST", "Patient", {}, b'{"resourceType":"Patient","gender":"nobody","birthDate":"1952-13-02"}'),
    ("POST", "Patient", {}, b"{"),
    ("PUT", "Patient/x", {}, b'{"resourceType":"Patient","id":"y"}'),
    ("PUT", "Patient/x", {"If-Match": 'W/"7"'}, b'{"resourceType":"Patient","id":"x"}'),
    ("POST", "Observation", {}, doors.observation(doors.flat())),
)
# Whatever is refused, the answer says so in one of these.
STATUSES = {400, 404, 405, 406, 410, 412, 415, 422}


class Visitor:
    """A client that keeps what it was told."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.told: list[httpx.Response] = []
        hooks = {"response": [self.told.append]}
        self.http = httpx.Client(
            base_url=f"{service.url}/fhir/",
            timeout=doors.SECONDS,
            headers={"Accept": FHIR_JSON},
            event_hooks=hooks,
        )

    def send(self, method: str, path: str, content: Any = None, **headers: str) -> httpx.Response:
        given = {} if content is None else {"Content-Type": FHIR_JSON}
        body = content if isinstance(content, bytes | None) else orjson.dumps(content)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.request(method, path, content=body, headers=given | named)

    def create(self, content: Json, **headers: str) -> Json:
        answer = self.send("POST", content["resourceType"], content, **headers)
        assert answer.status_code == 201, answer.text
        found: Json = answer.json()
        return found

    def pages(self, path: str) -> Iterator[Json]:
        """Every page of a search or a history."""
        following: str | None = path
        while following:
            page = self.send("GET", following).json()
            following = next((link["url"] for link in page["link"] if link["relation"] == "next"), None)
            yield page

    def resources(self, path: str) -> list[Json]:
        return [
            entry["resource"] for page in self.pages(path) for entry in page.get("entry", ()) if "resource" in entry
        ]


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """A service after visits of every kind."""
    with running(tmp_path_factory.mktemp("answers")) as service:
        found = Visitor(service)
        with found.http:
            store_and_change(found)
            by_other_doors(found)
            overread(found)
            withdraw(found)
            operate(found)
            answer_later(found)
            look_around(found)
            be_refused(found)
            yield found


def store_and_change(visitor: Visitor) -> None:
    person = visitor.create(patient(), Prefer="return=representation")
    name = f"Patient/{person['id']}"
    for other in others(name):
        made = visitor.create(other)
        visitor.send("GET", f"{made['resourceType']}/{made['id']}/_history/1")
    visitor.send("PUT", name, person | {"gender": "female"}, If_Match='W/"1"')
    patch = b'[{"op":"add","path":"/active","value":true}]'
    assert visitor.send("PATCH", name, patch, Content_Type=JSON_PATCH).status_code == 200
    told = visitor.send("POST", "Observation", ecg(name), Prefer="return=OperationOutcome")
    assert told.json()["resourceType"] == "OperationOutcome"
    for prefer in ("return=minimal", "return=representation"):
        assert visitor.send("POST", "", visit(), Prefer=prefer).status_code == 200
    deleted = visitor.create(patient())
    for method in ("DELETE", "GET"):
        visitor.send(method, f"Patient/{deleted['id']}")


def by_other_doors(visitor: Visitor) -> None:
    sent = doors.send(visitor.service.mllp, doors.message(), doors.message(doors.flat()))
    assert [b"MSA|AA" in answer for answer in sent] == [True, True]
    assert doors.post_matrix(visitor.service, doors.matrix()).status_code == 200


def overread(visitor: Visitor) -> None:
    report, *_ = visitor.resources("DiagnosticReport?status=preliminary")
    read = report | {"status": "final", "resultsInterpreter": [READER], "conclusion": "Old infarction."}
    assert visitor.send("PUT", f"DiagnosticReport/{report['id']}", read).status_code == 200
    assert visitor.send("GET", f"DiagnosticReport/{report['id']}/$pdf").json()["resourceType"] == "Binary"
    amended = read | {"status": "amended", "meta": {"versionId": "2"}, "conclusion": "Old inferior infarction."}
    assert visitor.send("PUT", f"DiagnosticReport/{report['id']}", amended).status_code == 200


def withdraw(visitor: Visitor) -> None:
    subject = f"Patient/{visitor.create(patient())['id']}"
    wrong = visitor.create(ecg(subject))
    withdrawn = visitor.send("PUT", f"Observation/{wrong['id']}", wrong | {"status": "entered-in-error"})
    assert withdrawn.status_code == 200
    other = visitor.create(ecg(subject))
    half = doors.ecg(signal=doors.ecg().signal / 2)
    changed = other | {"component": orjson.loads(doors.observation(half))["component"]}
    assert visitor.send("PUT", f"Observation/{other['id']}", changed).headers["ETag"] == 'W/"2"'


def look_around(visitor: Visitor) -> None:
    visitor.send("GET", "metadata")
    for query in ("_summary=count", "_summary=true", "_summary=text", "_elements=status&_count=3", "colour=red"):
        for kind in SEARCHED:
            assert visitor.send("GET", f"{kind}?{query}").status_code == 200
    visitor.send("GET", "DiagnosticReport?_include=DiagnosticReport:result&_revinclude=Provenance:target&_count=2")
    for kind in READ_ONLY:
        first, *_ = visitor.resources(f"{kind}?_count=100")
        assert visitor.send("GET", f"{kind}/{first['id']}").status_code == 200
    entry = [
        {"request": {"method": "GET", "url": url}}
        for url in ("Patient?gender=male", "Patient/none", "Device/_history", "Encounter/1", "Task?status=requested")
    ]
    entry.append({"request": {"method": "POST", "url": "Patient"}, "resource": patient(gender="nobody")})
    visitor.send("POST", "", {"resourceType": "Bundle", "type": "batch", "entry": entry})
    visitor.send("POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": entry[-1:]})


def operate(visitor: Visitor) -> None:
    subject = f"Patient/{visitor.create(patient())['id']}"
    held = visitor.create(ecg(subject))
    assert visitor.send("POST", "Observation/$analyze", ecg(subject)).json()["type"] == "collection"
    for gender in ("male", "nobody"):
        validated = visitor.send("POST", "Patient/$validate", patient(gender=gender))
        assert (validated.status_code, validated.json()["resourceType"]) == (200, "OperationOutcome")
    assert held["id"] in {one["id"] for one in visitor.resources(f"{subject}/$everything?_count=2")}
    answered = visitor.send("POST", "$process-message", message())
    assert answered.json()["type"] == "message"


def answer_later(visitor: Visitor) -> None:
    accepted = visitor.send("POST", "Patient", patient(), Prefer="respond-async")
    assert accepted.status_code == 202
    place = accepted.headers["Content-Location"]
    assert doors.eventually(lambda: visitor.send("GET", place).status_code == 200)


def be_refused(visitor: Visitor) -> None:
    for method, path, headers, content in REFUSED:
        named = {name.replace("-", "_"): value for name, value in headers.items()}
        assert visitor.send(method, path, content, **named).status_code in STATUSES, path


def profiles(resource: Json) -> list[str]:
    """The profiles that a resource has to meet: ours are of results as they were made, before a clinician has changed
    them, and of ECGs of somebody."""
    if is_made_here(resource):
        return profiles_of(resource) if resource["meta"]["versionId"] == "1" else []
    is_ecg = "valueSampledData" in str(resource.get("component", ""))
    return [WAVEFORM] if is_ecg and {"reference", "identifier"} & resource["subject"].keys() else []


def wrong(validators: Validators, resource: Json, *profiles: str) -> dict[str, list[str]]:
    """What the validators say of a resource, by its name; empty where it is valid."""
    issues = validators.check(orjson.dumps(resource), list(profiles))
    return {f"{resource['resourceType']}/{resource.get('id')}": issues} if issues else {}


@pytest.mark.parametrize("type", [*SEARCHED, *READ_ONLY])
def test_everything_that_is_held_is_valid_and_by_its_profile(
    visitor: Visitor, validators: Validators, type: str
) -> None:
    held = visitor.resources(f"{type}?_count=100")
    assert held
    issues: dict[str, list[str]] = {}
    for resource in held:
        issues |= wrong(validators, resource, *profiles(resource))
    assert issues == {}


@pytest.mark.parametrize("type", SEARCHED)
def test_every_version_is_valid(visitor: Visitor, validators: Validators, type: str) -> None:
    pages = list(visitor.pages(f"{type}/_history?_count=100"))
    versions = [entry["resource"] for page in pages for entry in page["entry"] if "resource" in entry]
    assert versions
    issues: dict[str, list[str]] = {}
    for resource in [*pages, *versions]:
        issues |= wrong(validators, resource)
    assert issues == {}


def test_every_answer_is_valid(visitor: Visitor, validators: Validators) -> None:
    bodies = {answer.content: answer for answer in visitor.told if answer.content}
    issues: dict[str, Any] = {}
    kinds = set()
    for body, answer in bodies.items():
        resource = orjson.loads(body)
        kinds.add(resource["resourceType"])
        assert answer.headers["Content-Type"] == FHIR_JSON
        assert (resource["resourceType"] == "OperationOutcome") or answer.is_success
        if found := wrong(validators, resource):
            issues[f"{answer.request.method} {answer.request.url}"] = found
    assert issues == {}
    assert kinds == {*INTERACTIONS, *READ_ONLY, "Bundle", "OperationOutcome", "CapabilityStatement"}


def test_the_statuses_of_refusals_are_all_met(visitor: Visitor) -> None:
    assert {answer.status_code for answer in visitor.told if answer.is_client_error} >= STATUSES
    assert not any(answer.is_server_error for answer in visitor.told)


def test_every_report_can_be_printed_whatever_it_came_by_and_became(visitor: Visitor) -> None:
    reports = visitor.resources("DiagnosticReport")
    assert {"preliminary", "cancelled", "amended", "entered-in-error"} == {one["status"] for one in reports}
    for report in reports:
        printed = httpx.get(f"{visitor.http.base_url}DiagnosticReport/{report['id']}/$pdf", timeout=doors.SECONDS)
        assert (printed.status_code, printed.headers["Content-Type"]) == (200, "application/pdf"), printed.text
        assert printed.content.startswith(b"%PDF-")

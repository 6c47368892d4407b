"""A valid body for every route that takes one, and a service that has a resource of each type."""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest

from interop import client
from interop.fhir.parameters import INTERACTIONS, Interaction
from tests.e2e import doors
from tests.e2e.conftest import running
from tests.e2e.doors import FHIR_JSON
from tests.e2e.visit import JSON_PATCH, READER, ecg, message, others, patient, visit

Json = dict[str, Any]

SUBJECT = "Patient/mutant"
NAME = "mutant"  # the id in every URL, and the identifier in every condition
# 2.5 s at 100 Hz are analysed as 10 s at 500 Hz are, and are read in a twentieth of the time.
SHORT = doors.ecg(signal=doors.ecg().signal[:, :1250:5], sampling_rate=100.0)
# With its version it means a resource, whatever a Binary holds.
ACCEPT = f"{FHIR_JSON};fhirVersion=4.0, */*;q=0.1"
METHODS = ("POST", "PUT", "PATCH")


def seeds() -> Mapping[str, Json]:
    """A valid resource of each type."""
    person = patient(name=[{"family": "Muster", "given": ["Eva"]}], telecom=[{"system": "phone", "value": "1"}])
    short = ecg(SUBJECT, component=orjson.loads(doors.observation(SHORT))["component"])
    return {"Patient": person} | {one["resourceType"]: one for one in others(SUBJECT)} | {"Observation": short}


SEEDS = seeds()


def patch(kind: str) -> list[Json]:
    """Every operation; of a report, an over-read."""
    if kind == "DiagnosticReport":
        return [
            {"op": "replace", "path": "/status", "value": "amended"},
            {"op": "add", "path": "/resultsInterpreter", "value": [READER]},
            {"op": "replace", "path": "/conclusion", "value": "Old infarction."},
        ]
    return [
        {"op": "test", "path": "/resourceType", "value": kind},
        {"op": "add", "path": "/language", "value": "en"},
        {"op": "copy", "from": "/language", "path": "/implicitRules"},
        {"op": "remove", "path": "/implicitRules"},
    ]


def identified(value: str) -> Json:
    return {"identifier": [{"system": "urn:x", "value": value}]}


def bundle(type: str) -> Json:
    """A batch or transaction with every kind of entry."""
    stored = visit()
    stored["entry"][1]["resource"] = SEEDS["Observation"] | {"subject": {"reference": stored["entry"][0]["fullUrl"]}}
    asked: list[Json] = [
        {"request": {"method": "GET", "url": f"{SUBJECT}/_history"}},
        {"request": {"method": "PUT", "url": "Device?identifier=urn:x|1"}, "resource": SEEDS["Device"]},
        {"request": {"method": "DELETE", "url": "Task/none"}},
        {
            "request": {"method": "PATCH", "url": SUBJECT},
            "resource": {"resourceType": "Binary", "contentType": JSON_PATCH, "data": "W10="},
        },
    ]
    return stored | {"type": type, "entry": [*stored["entry"], *asked]}


CHANGES = {"PUT": Interaction.UPDATE, "PATCH": Interaction.PATCH}
ROUTES = [
    *(("POST", f"/fhir/{kind}") for kind, interactions in INTERACTIONS.items() if Interaction.CREATE in interactions),
    *(("POST", f"/fhir/{kind}/$validate") for kind in INTERACTIONS),
    *(
        (method, path)
        for kind, interactions in INTERACTIONS.items()
        for method, interaction in CHANGES.items()
        for path in (f"/fhir/{kind}", f"/fhir/{kind}/{{id}}")
        if interaction in interactions
    ),
    ("POST", "/fhir"),
    ("POST", "/fhir/Observation/$analyze"),
    ("POST", "/fhir/$process-message"),
    ("POST", "/predict"),
    ("POST", "/cds-services/{service}"),
    ("POST", "/cds-services/{service}/feedback"),
]
HOOK_SERVICE = "ecg-patient-view"
# What is not found by an identifier.
BY_ID = ("DiagnosticReport", "Binary")
NAMELESS = ("Provenance", "Binary")


class Door:
    """The service, and the routes that it says take a body."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http
        paths = http.get("/openapi.json").json()["paths"]
        self.routes = {
            (method, path)
            for path, operations in paths.items()
            for method in METHODS
            if "requestBody" in operations.get(method.lower(), {})
        }
        self.report: Json = {}
        self.card = ""

    def name(self, path: str) -> str:
        """The id in a URL: reports have none from us."""
        return str(self.report["id"]) if "DiagnosticReport" in path else NAME

    def send(self, method: str, path: str, content: bytes) -> httpx.Response:
        kind = JSON_PATCH if method == "PATCH" else FHIR_JSON if path.startswith("/fhir") else "application/json"
        name = self.name(path)
        condition = {"_id": name} if path.split("/")[-1] in BY_ID else {"identifier": f"urn:x|{NAME}"}
        return self.http.request(
            method,
            path.replace("{id}", name).replace("{service}", HOOK_SERVICE),
            content=content,
            headers={"Content-Type": kind},
            params={} if method == "POST" or "{id}" in path else condition,
        )

    def seed(self, method: str, path: str) -> Any:
        """A valid body of a route."""
        if path == "/predict":
            return orjson.loads(doors.matrix(SHORT))
        if path.startswith("/cds-services"):
            return self._feedback() if path.endswith("/feedback") else hook()
        kind, _, rest = path.removeprefix("/fhir").removeprefix("/").partition("/")
        if method == "PATCH":
            return patch(kind)
        if kind in ("", "$process-message"):
            return message() if kind else bundle("transaction")
        if kind == "DiagnosticReport":
            return self.report | {"status": "final", "resultsInterpreter": [READER]}
        if rest == "{id}" or kind in NAMELESS:
            return SEEDS[kind] | {"id": NAME}
        return SEEDS[kind] | identified(NAME if method == "PUT" else uuid4().hex)

    def _feedback(self) -> Json:
        one = {"card": self.card, "outcome": "overridden", "outcomeTimestamp": "2026-03-02T09:00:00Z"}
        reason = {"reason": {"code": "later", "system": "urn:x", "display": "Later"}, "userComment": "not now"}
        return {"feedback": [one | {"overrideReason": reason}]}


def hook() -> Json:
    """A patient-view call with an ECG and a clinician's report in its prefetch."""
    call: Json = orjson.loads(client.hook_call(SHORT, "mutant"))
    report = {"resourceType": "DiagnosticReport", "status": "final", "result": [{"reference": "Observation/other"}]}
    call["prefetch"]["reports"] = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": report}]}
    return call


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with (
        running(tmp_path_factory.mktemp("mutations")) as service,
        httpx.Client(base_url=service.url, timeout=doors.SECONDS, headers={"Accept": ACCEPT}) as http,
    ):
        found = Door(http)
        for kind, seed in SEEDS.items():
            method, path = ("POST", f"/fhir/{kind}") if kind == "Provenance" else ("PUT", f"/fhir/{kind}/{{id}}")
            answer = found.send(method, path, orjson.dumps(seed | {"id": NAME}))
            assert answer.status_code == 201, answer.text
        (entry,) = http.get("/fhir/DiagnosticReport").json()["entry"]
        found.report = entry["resource"]
        (card,) = found.send("POST", "/cds-services/{service}", orjson.dumps(hook())).json()["cards"]
        found.card = card["uuid"]
        yield found

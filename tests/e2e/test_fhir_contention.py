"""Conditional changes by eight clients at the same moment, to one service and to two that share a database: of what
is to be created once, one is created, where servers commonly create several."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest

from tests.e2e.conftest import Service, running
from tests.e2e.doors import FHIR_JSON
from tests.e2e.test_exactness import at_once
from tests.e2e.visit import SYSTEM, ecg, patient

CLIENTS = 8
ROUNDS = 20
ONE_CREATES = {201: 1, 200: CLIENTS - 1}
SECONDS = 60


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, postgresql_service: Service) -> Iterator[list[Service]]:
    """Two service processes on one PostgreSQL database."""
    with running(tmp_path_factory.mktemp("second"), database_url=postgresql_service.database) as second:
        yield [postgresql_service, second]


@pytest.fixture(params=["sqlite", "two processes on postgresql"])
def clients(request: pytest.FixtureRequest) -> Iterator[Sequence[httpx.Client]]:
    """A connection for each client, to the services in turn."""
    one = request.param == "sqlite"
    services = [request.getfixturevalue("service")] if one else request.getfixturevalue("pair")
    with ExitStack() as stack:
        urls = [services[n % len(services)].url for n in range(CLIENTS)]
        yield [
            stack.enter_context(
                httpx.Client(base_url=f"{url}/fhir", headers={"Content-Type": FHIR_JSON}, timeout=SECONDS)
            )
            for url in urls
        ]


def send(
    clients: Sequence[httpx.Client], method: str, url: str, contents: Sequence[dict[str, Any]], **headers: str
) -> list[httpx.Response]:
    """One request of each client, all at the same moment."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return at_once(
        [
            partial(client.request, method, url, content=orjson.dumps(content), headers=named)
            for client, content in zip(clients, contents, strict=True)
        ]
    )


def places(answers: Sequence[httpx.Response]) -> set[str]:
    """`Type/id` of what was created or found."""
    return {answer.headers["Location"].partition("/fhir/")[2].partition("/_history")[0] for answer in answers}


def found(client: httpx.Client, type: str, **parameters: str) -> int:
    return int(client.get(f"/{type}", params=parameters).json()["total"])


def test_of_conditional_creates_of_a_patient_one_creates(clients: Sequence[httpx.Client]) -> None:
    for _ in range(ROUNDS):
        token = f"{SYSTEM}|{uuid4().hex}"
        content = patient(identifier=[{"system": SYSTEM, "value": token.partition("|")[2]}])
        answers = send(clients, "POST", "/Patient", [content] * CLIENTS, If_None_Exist=f"identifier={token}")
        assert Counter(answer.status_code for answer in answers) == ONE_CREATES
        assert len(places(answers)) == 1
        assert found(clients[0], "Patient", identifier=token) == 1


def test_of_conditional_creates_of_ecgs_with_identifiers_of_their_own_one_creates(
    clients: Sequence[httpx.Client],
) -> None:
    for _ in range(ROUNDS):
        subject = f"Patient/{uuid4()}"
        contents = [ecg(subject) for _ in clients]
        condition = f"subject={subject}&code=http://loinc.org|11524-6"
        answers = send(clients, "POST", "/Observation", contents, If_None_Exist=condition)
        assert Counter(answer.status_code for answer in answers) == ONE_CREATES
        assert len(places(answers)) == 1
        assert found(clients[0], "Observation", subject=subject, code="11524-6") == 1
        assert found(clients[0], "DiagnosticReport", subject=subject) == 1


def test_of_conditional_updates_one_creates_and_each_other_makes_a_version(clients: Sequence[httpx.Client]) -> None:
    for _ in range(ROUNDS):
        token = f"{SYSTEM}|{uuid4().hex}"
        named = patient(identifier=[{"system": SYSTEM, "value": token.partition("|")[2]}])
        contents = [named | {"birthDate": f"19{50 + n}-03-02"} for n in range(CLIENTS)]
        answers = send(clients, "PUT", f"/Patient?identifier={token}", contents)
        assert Counter(answer.status_code for answer in answers) == ONE_CREATES
        (place,) = places(answers)
        assert {answer.headers["ETag"] for answer in answers} == {f'W/"{n + 1}"' for n in range(CLIENTS)}
        versions = clients[0].get(f"/{place}/_history").json()["entry"]
        assert {one["resource"]["birthDate"] for one in versions} == {one["birthDate"] for one in contents}
        assert found(clients[0], "Patient", identifier=token) == 1

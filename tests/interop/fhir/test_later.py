"""What is answered later, on one event loop that lives long enough."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeVar

import httpx
import orjson
import pytest

from inference.errors import InternalError, ModelUnavailable, StorageUnavailable
from tests.interop.client import BASE
from tests.interop.service import FHIR_JSON, Service, flat_ecg, observation, real_ecg
from tests.interop.valid import valid

T = TypeVar("T")
ECG = observation(real_ecg())
HEADERS = {"Content-Type": FHIR_JSON, "Prefer": "respond-async"}


def within(service: Service, work: Callable[[httpx.AsyncClient], Awaitable[T]]) -> T:
    async def run() -> T:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(service.app), base_url=BASE) as client:
            return await work(client)

    return asyncio.run(run())


async def finished(client: httpx.AsyncClient, accepted: httpx.Response) -> httpx.Response:
    assert (accepted.status_code, accepted.content) == (202, b""), accepted.text
    while (response := await client.get(accepted.headers["content-location"])).status_code == 202:
        assert response.headers["retry-after"]
        await asyncio.sleep(0.01)
    return response


def test_an_ecg_is_accepted_and_analysed_later(service: Service) -> None:
    async def work(client: httpx.AsyncClient) -> httpx.Response:
        return await finished(client, await client.post("/fhir/Observation", content=ECG, headers=HEADERS))

    response = within(service, work)
    assert response.status_code == 200
    valid("Bundle", response.content)
    (entry,) = response.json()["entry"]
    assert entry["response"]["status"] == "201 Created"
    stored = service.client.get(entry["response"]["location"].removeprefix(BASE))
    assert stored.json()["component"] == orjson.loads(ECG)["component"]
    assert service.store.count("DiagnosticReport") == 1


def test_headers_count_later_too(service: Service) -> None:
    async def work(client: httpx.AsyncClient) -> list[str]:
        named = HEADERS | {"If-None-Exist": "identifier=urn:oid:1.2.3|ECG-1"}
        answers = [
            await finished(client, await client.post("/fhir/Observation", content=ECG, headers=named)) for _ in range(2)
        ]
        return [answer.json()["entry"][0]["response"]["status"] for answer in answers]

    assert within(service, work) == ["201 Created", "200 OK"]


def test_a_transaction_that_fails_later_says_so_at_its_status(service: Service) -> None:
    entry = {"request": {"method": "POST", "url": "Observation"}, "resource": orjson.loads(observation(flat_ecg()))}
    bundle = orjson.dumps({"resourceType": "Bundle", "type": "transaction", "entry": [entry]})

    async def work(client: httpx.AsyncClient) -> httpx.Response:
        return await finished(client, await client.post("/fhir", content=bundle, headers=HEADERS))

    response = within(service, work)
    assert response.status_code == 422
    valid("OperationOutcome", response.content)
    assert response.json()["issue"][0]["expression"] == ["Bundle.entry[0].resource.component"]


@pytest.mark.parametrize("content", [b"{", b'{"resourceType":"Observation"}'])
def test_what_cannot_be_read_is_refused_at_once(service: Service, content: bytes) -> None:
    response = service.client.post("/fhir/Observation", content=content, headers=HEADERS)
    assert response.status_code in (400, 422)
    assert service.store.rows("SELECT 1 FROM inbox") == []


def test_what_could_not_be_answered_is_taken_up_again(service: Service) -> None:
    later: Any = service.app.state.later

    async def accepted(client: httpx.AsyncClient) -> str:
        response = await client.post("/fhir/Observation", content=ECG, headers=HEADERS)
        service.store.failure = StorageUnavailable("database: disk I/O error")
        await asyncio.gather(*later._running.values())
        service.store.failure = None
        return str(response.headers["content-location"])

    url = within(service, accepted)
    assert service.store.count("DiagnosticReport") == 0
    assert service.client.get(url.removeprefix(BASE)).status_code == 202

    async def resumed(client: httpx.AsyncClient) -> int:
        await later.resume(abandoned=True)
        assert later._running == {}, "another process may be at it"
        object.__setattr__(service.intake, "clock", lambda: real_ecg().recorded_at.replace(year=2027))  # type: ignore[union-attr]
        await later.resume(abandoned=True)
        await asyncio.gather(*later._running.values())
        return (await client.get(url)).status_code

    assert within(service, resumed) == 200
    assert service.store.count("DiagnosticReport") == 1


def test_nobody_s_status_is_404(service: Service) -> None:
    assert service.client.get("/fhir/$status/none").status_code == 404


def answers_of(service: Service, failure: Exception) -> tuple[int, int]:
    """The status of an ECG that was accepted while the model failed, then and after it was taken up again without."""
    good = service.intake.analyzer

    def broken(windows: object) -> NoReturn:
        raise failure

    async def work(client: httpx.AsyncClient) -> tuple[int, int]:
        later: Any = service.app.state.later
        object.__setattr__(service.intake, "analyzer", replace(good, classify=broken))
        url = (await client.post("/fhir/Observation", content=ECG, headers=HEADERS)).headers["content-location"]
        await asyncio.gather(*later._running.values())
        before = await client.get(url)
        object.__setattr__(service.intake, "analyzer", good)
        await later.resume(abandoned=False)
        await asyncio.gather(*later._running.values())
        return before.status_code, (await client.get(url)).status_code

    return within(service, work)


def test_what_passes_is_waited_out(service: Service) -> None:
    object.__setattr__(service.intake, "clock", lambda: datetime.now(UTC))
    assert answers_of(service, ModelUnavailable("no model")) == (202, 200)
    assert service.store.count("DiagnosticReport") == 1


@pytest.mark.parametrize("failure", [InternalError("a defect"), RuntimeError("a defect")])
def test_a_defect_is_answered_and_not_taken_up_for_ever(service: Service, failure: Exception) -> None:
    object.__setattr__(service.intake, "clock", lambda: datetime.now(UTC))
    assert answers_of(service, failure) == (500, 500)

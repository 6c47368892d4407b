"""Nothing acknowledged is lost, nothing is there twice or by half: through kills, full disks and absent databases.

`make soak` runs the same for longer.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import pytest

from tests.e2e.campaign import Campaign
from tests.e2e.conftest import Service, migrated, running
from tests.e2e.faults import Server, SmallDisk, free_port, receiving, server, small_disk
from tests.e2e.inspection import Findings, Inspection
from tests.e2e.traffic import Kind, Ledger, Templates, connected, example_recordings, send_fhir, send_mllp

pytestmark = pytest.mark.slow

KILLS = 2
RECOVERY_SECONDS = 15.0
# More than the readiness check wants to have free (256 MB).
DISK_MEGABYTES = 300


@pytest.fixture(scope="module")
def templates(examples: Path) -> Templates:
    return Templates(example_recordings(examples), prefix="D")


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    with server() as started:
        yield started


def test_kill_9_under_load_loses_doubles_and_halves_nothing(tmp_path: Path, own_database: str, examples: Path) -> None:
    port = free_port()
    settings = {"database_url": own_database, "outbound_mllp": f"127.0.0.1:{port}"}
    campaign = Campaign(tmp_path, example_recordings(examples), settings)
    for _ in range(KILLS):
        assert campaign.round(1.0) == Findings()
    with receiving(port) as receiver:  # nobody was there before: what waits has outlived the kills
        assert campaign.finish(receiver) == Findings()
    assert campaign.ledger.refusals == []
    assert {item.kind for item in campaign.ledger.sent.values()} == set(Kind)


def test_what_was_accepted_for_later_outlives_kill_9(tmp_path: Path, own_database: str, templates: Templates) -> None:
    """Accepted in a hurry, killed at once: after the restart every one of them is answered, once."""
    settings = {"database_url": own_database}
    headers = {"Content-Type": "application/fhir+json", "Prefer": "respond-async"}
    items = [templates.item(Kind.FHIR) for _ in range(6)]
    with running(tmp_path, **settings) as service:
        accepted = [
            httpx.post(f"{service.url}/fhir/Observation", content=item.content, headers=headers) for item in items
        ]
        service.kill()
    assert {answer.status_code for answer in accepted} == {202}
    paths = [answer.headers["content-location"].removeprefix(service.url) for answer in accepted]
    with running(tmp_path, **settings) as service:
        if own_database.startswith("postgresql"):  # another process may be at it: nobody takes it up so soon
            assert {httpx.get(f"{service.url}{path}").status_code for path in paths} <= {200, 202}
            return
        answers = [finished(f"{service.url}{path}") for path in paths]
        assert {answer["entry"][0]["response"]["status"] for answer in answers} == {"201 Created"}
        total = httpx.get(f"{service.url}/fhir/DiagnosticReport?_summary=count").json()["total"]
        assert total == len(items)


def finished(url: str) -> dict[str, Any]:
    until = monotonic() + RECOVERY_SECONDS
    while (response := httpx.get(url)).status_code == 202 and monotonic() < until:
        sleep(0.1)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def failing_checks(service: Service) -> list[str]:
    """The names in the answer of /ready; none when it is ready."""
    answered = httpx.get(f"{service.url}/ready", timeout=10)
    if answered.status_code == 200:
        return []
    assert answered.status_code == 503
    return list(answered.json()["failing"])


def wait_until_ready(service: Service) -> None:
    until = monotonic() + RECOVERY_SECONDS
    while (failing := failing_checks(service)) and monotonic() < until:
        sleep(0.1)
    assert failing == []


@contextmanager
def refusing(service: Service, ledger: Ledger, templates: Templates, check: str) -> Iterator[None]:
    """While the fault lasts every kind of item is refused so that its sender tries again. check: what /ready names."""
    with connected(service.mllp) as sender, httpx.Client(base_url=service.url, timeout=20) as http:
        for kind in (Kind.ORU, Kind.ADT):
            item = templates.item(kind)
            ledger.sends(item)
            (answer,) = sender.exchange(item.content)
            assert f"\rMSA|AE|{item.key}".encode() in answer
            assert b"207" in answer
        refused = send_fhir(ledger, http, templates.item(Kind.FHIR))
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) > 0
        assert refused.json()["resourceType"] == "OperationOutcome"
    assert check in failing_checks(service)
    assert httpx.get(f"{service.url}/health").status_code == 200
    yield
    assert service.process.poll() is None


def send_all_kinds(service: Service, ledger: Ledger, templates: Templates) -> None:
    """One item of each kind, and what was refused before; all of it is accepted."""
    with connected(service.mllp) as sender, httpx.Client(base_url=service.url, timeout=20) as http:
        for item in [*ledger.unanswered(), *(templates.item(kind) for kind in Kind)]:
            if item.kind is Kind.FHIR:
                send_fhir(ledger, http, item)
            else:
                send_mllp(ledger, sender, item)
    assert ledger.unanswered() == []


@contextmanager
def small_disk_or_skip(folder: Path) -> Iterator[SmallDisk]:
    try:
        with small_disk(folder, DISK_MEGABYTES) as disk:
            yield disk
    except PermissionError as error:
        pytest.skip(str(error))


def test_a_full_disk_is_refused_and_survived(tmp_path: Path, templates: Templates) -> None:
    ledger = Ledger()
    with small_disk_or_skip(tmp_path) as disk, running(tmp_path) as service:
        send_all_kinds(service, ledger, templates)
        disk.fill()
        with refusing(service, ledger, templates, "disk"):
            disk.empty()
        wait_until_ready(service)
        send_all_kinds(service, ledger, templates)
        assert Inspection(service.database).findings(ledger) == Findings()
        assert service.stop() == 0


def test_a_database_that_stops_crashes_or_freezes_is_survived(
    tmp_path: Path, own_server: Server, templates: Templates
) -> None:
    ledger = Ledger()
    url = migrated(own_server.url, tmp_path)
    with running(tmp_path, database_url=url, storage_timeout="1s") as service:
        send_all_kinds(service, ledger, templates)
        for fault in (own_server.stop, own_server.crash):
            fault()
            with refusing(service, ledger, templates, "database"):
                own_server.start()
            wait_until_ready(service)
            send_all_kinds(service, ledger, templates)
        with own_server.frozen(), refusing(service, ledger, templates, "database"):
            pass
        wait_until_ready(service)
        send_all_kinds(service, ledger, templates)
        assert Inspection(service.database).findings(ledger) == Findings()
        assert service.stop() == 0

"""What an operator sees of the running service when its disk or its database fails, and when it is mended.

The other checks cannot fail on request in a process of its own: tests/interop/test_readiness.py has them all.
"""

import resource
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import Service, migrated, running
from tests.e2e.doors import counted, eventually, matrix, message, post_matrix, send
from tests.e2e.faults import Server, server

pytestmark = pytest.mark.slow

CHECKS = {"model", "database", "disk", "mllp"}


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    with server() as started:
        yield started


def failing(service: Service) -> set[str]:
    """The checks that `/ready` names, which is also what its metric says; `/health` never fails with them."""
    answer = httpx.get(f"{service.url}/ready", timeout=20)
    checks = answer.json()["checks"]
    assert checks.keys() == CHECKS
    found = {name for name, text in checks.items() if text != "ok"}
    assert answer.status_code == (503 if found else 200)
    assert answer.json().get("failing", []) == [name for name in checks if name in found]
    assert {name for name in CHECKS if not counted(service, "ecg_ready_check", check=name)} == found
    assert httpx.get(f"{service.url}/health", timeout=20).status_code == 200
    return found


def refused(service: Service) -> bool:
    """Whether both doors answer so that the sender tries again."""
    (answer,) = send(service.mllp, message())
    return post_matrix(service, matrix()).status_code == 503 and b"MSA|AE|" in answer and b"207" in answer


def accepted(service: Service) -> bool:
    (answer,) = send(service.mllp, message())
    return post_matrix(service, matrix()).status_code == 200 and b"MSA|AA|" in answer


def test_a_disk_that_takes_no_more_is_named_until_it_does(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        process = service.process.pid
        _, most = resource.prlimit(process, resource.RLIMIT_FSIZE)
        resource.prlimit(process, resource.RLIMIT_FSIZE, (0, most))  # every write to a file fails from now on
        assert refused(service)
        assert eventually(lambda: failing(service) == {"disk"}), "what is there can still be read"
        resource.prlimit(process, resource.RLIMIT_FSIZE, (most, most))
        assert eventually(lambda: failing(service) == set())
        assert accepted(service)
        assert service.stop() == 0


def test_a_database_server_that_is_gone_is_named_until_it_is_back(own_server: Server, tmp_path: Path) -> None:
    with running(tmp_path, database_url=migrated(own_server.url, tmp_path), storage_timeout="1s") as service:
        assert failing(service) == set()
        own_server.stop()
        assert refused(service)
        assert eventually(lambda: failing(service) == {"database", "disk"})
        own_server.start()
        assert eventually(lambda: failing(service) == set())
        assert accepted(service)
        with own_server.frozen():
            assert "database" in failing(service)
        assert eventually(lambda: failing(service) == set())

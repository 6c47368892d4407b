"""Each way in which the service can be unable to take ECGs, named by `/ready`, counted, and over when it is over."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from inference.errors import StorageUnavailable
from interop import health, readiness
from interop.health import Health, router
from interop.readiness import MIN_FREE_BYTES, DiskCheck, checks, free_bytes
from tests.interop.mllp.world import Door, World

CHECKS = {"model", "database", "disk", "mllp"}


@dataclass
class Store:
    """Reads and writes while `failure` is None. reading: what a read waits for."""

    failure: StorageUnavailable | None = None
    reading: threading.Event = field(default_factory=threading.Event)
    reads: int = 0
    writes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reading.set()

    def check(self) -> None:
        self.reads += 1
        self.reading.wait(20)
        self._fail()

    def write_heads(self, now: datetime) -> Mapping[str, tuple[int, str]]:
        self._fail()
        self.writes.append(threading.current_thread().name)
        return {}

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure


@dataclass
class Probed:
    """A service with its probe."""

    door: Door
    store: Store
    http: httpx.AsyncClient

    async def failing(self) -> dict[str, str]:
        """What `/ready` names, checked against its status, against the metric, and against `/health`."""
        answer = await self.http.get("/ready")
        found = {name: text for name, text in answer.json()["checks"].items() if text != "ok"}
        assert answer.status_code == (503 if found else 200)
        assert set(answer.json()["checks"]) == CHECKS
        exposed = (await self.http.get("/metrics")).text
        for name in CHECKS:
            assert f'ecg_ready_check{{check="{name}"}} {float(name not in found)}' in exposed
        assert (await self.http.get("/health")).status_code == 200
        return found


@asynccontextmanager
async def probed(folder: Path) -> AsyncIterator[Probed]:
    store = Store()
    async with World(folder).serving() as door:
        ready = checks(store, door.intake, lambda: door.server.listening, folder)
        app = FastAPI()
        app.include_router(router(Health(ready), door.intake.metrics, lambda: None))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://ecg.example") as http:
            yield Probed(door, store, http)


def run(folder: Path, scenario: Callable[[Probed], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with probed(folder) as service:
            assert await service.failing() == {}
            await scenario(service)

    asyncio.run(whole())


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a probe nor a repeated write waits as long as in production."""
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.2)
    monkeypatch.setattr(readiness, "WRITE_SECONDS", 0.0)


@pytest.mark.usefixtures("impatient")
def test_a_database_that_is_gone_is_named_until_it_is_back(tmp_path: Path) -> None:
    async def scenario(service: Probed) -> None:
        service.store.failure = StorageUnavailable("database: OperationalError")
        assert await service.failing() == dict.fromkeys(("database", "disk"), "database: OperationalError")
        service.store.failure = None
        assert await service.failing() == {}

    run(tmp_path, scenario)


@pytest.mark.usefixtures("impatient")
def test_a_database_that_hangs_holds_one_thread_however_often_it_is_probed(tmp_path: Path) -> None:
    async def scenario(service: Probed) -> None:
        before = service.store.reads
        service.store.reading.clear()
        for _ in range(3):
            assert await service.failing() == {"database": "no answer within 0.2 s"}
        assert service.store.reads == before + 1
        service.store.reading.set()
        assert await service.failing() == {}

    run(tmp_path, scenario)


@pytest.mark.usefixtures("impatient")
def test_a_lane_that_is_stuck_is_named_until_it_moves_again(tmp_path: Path) -> None:
    async def scenario(service: Probed) -> None:
        gate = threading.Event()
        stuck = asyncio.ensure_future(service.door.intake.decode(lambda: gate.wait(20)))
        await asyncio.sleep(0)
        assert await service.failing() == {"model": "no answer within 0.2 s"}
        gate.set()
        await stuck
        assert await service.failing() == {}

    run(tmp_path, scenario)


@pytest.mark.usefixtures("impatient")
def test_a_writer_that_is_stuck_is_named_as_the_disk(tmp_path: Path) -> None:
    async def scenario(service: Probed) -> None:
        gate = threading.Event()
        stuck = asyncio.ensure_future(service.door.intake.writer.between(lambda: gate.wait(20)))
        await asyncio.sleep(0)
        assert await service.failing() == {"disk": "no answer within 0.2 s"}
        gate.set()
        await stuck
        assert await service.failing() == {}

    run(tmp_path, scenario)


def test_a_closed_listener_is_named(tmp_path: Path) -> None:
    async def scenario(service: Probed) -> None:
        await service.door.server.close(1)
        assert await service.failing() == {"mllp": "the MLLP listener is closed"}

    run(tmp_path, scenario)


def test_the_write_that_proves_the_disk_is_not_repeated_with_every_probe(tmp_path: Path) -> None:
    async def scenario(service: Probed) -> None:
        for _ in range(5):
            await service.failing()
        assert service.store.writes == ["writer"], "in the thread that may write"

    run(tmp_path, scenario)


@pytest.mark.usefixtures("impatient")
def test_a_failed_write_is_tried_again_with_the_next_probe(tmp_path: Path) -> None:
    async def scenario(service: Probed) -> None:
        service.store.failure = StorageUnavailable("database: SQLITE_FULL")
        assert (await service.failing())["disk"] == "database: SQLITE_FULL"
        service.store.failure = None
        before = len(service.store.writes)
        assert await service.failing() == {}
        assert len(service.store.writes) == before + 1

    run(tmp_path, scenario)


def test_too_little_free_space_is_named_with_both_figures(tmp_path: Path) -> None:
    async def scenario(service: Probed) -> None:
        little = DiskCheck(service.store, service.door.intake, tmp_path, lambda _: MIN_FREE_BYTES - 1)
        with pytest.raises(StorageUnavailable, match=r"^255 MB are free .* 256 MB are needed$"):
            await little()
        await DiskCheck(service.store, service.door.intake, tmp_path, lambda _: MIN_FREE_BYTES)()

    run(tmp_path, scenario)


def test_a_folder_that_is_gone_is_a_failure_and_not_a_defect(tmp_path: Path) -> None:
    async def scenario(service: Probed) -> None:
        gone = DiskCheck(service.store, service.door.intake, tmp_path / "gone")
        with pytest.raises(StorageUnavailable, match="No such file"):
            await gone()

    run(tmp_path, scenario)


def test_the_disk_of_a_database_server_is_not_looked_for_on_this_machine(tmp_path: Path) -> None:
    async def scenario(service: Probed) -> None:
        await DiskCheck(service.store, service.door.intake, None, lambda _: 0)()

    run(tmp_path, scenario)


def test_free_space_is_that_of_the_file_system(tmp_path: Path) -> None:
    assert free_bytes(tmp_path) > 0

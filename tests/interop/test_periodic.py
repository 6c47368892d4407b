import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from audit.packed import Plain
from audit.records import Document, UnitOfWork
from audit.store import open_store
from audit.upgrade import upgrade
from interop import periodic
from interop.lanes import Writer
from interop.serving import LOW_PRIORITY, give_way
from tests.fakes import NOW

DOCUMENT_BYTES = 16 * 1024
STREAMS, EACH = 8, 200
WORKING_BYTES = 4 * 1024 * 1024


def storing(number: int) -> Callable[[UnitOfWork], None]:
    """Bytes that cannot be packed."""
    body = Plain(os.urandom(DOCUMENT_BYTES))
    document = Document(type="Device", id=f"d-{number}", version=1, body=body, last_updated=NOW)
    return lambda uow: uow.documents.create(document, [])


def test_sqlites_log_begins_anew_while_commits_come_all_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(periodic, "LOG_BYTES", WORKING_BYTES)
    url = f"sqlite:///{tmp_path}/ecg.sqlite"
    upgrade(url)
    store = open_store(url, chain_id="chain-a")
    writer = Writer(store)

    async def commits(numbers: range) -> None:
        for number in numbers:
            await writer.write(storing(number))

    async def run() -> None:
        streams = [commits(range(EACH * stream, EACH * (stream + 1))) for stream in range(STREAMS)]
        running = asyncio.gather(*streams)
        with ThreadPoolExecutor(1, initializer=give_way) as behind:
            while not running.done():
                await periodic.move_log(store, writer, behind)
        await running

    asyncio.run(run())
    writer.close()
    assert 0 < Path(f"{tmp_path}/ecg.sqlite-wal").stat().st_size < STREAMS * EACH * DOCUMENT_BYTES / 2
    assert store.verify().problems == ()
    store.close()


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a priority of their own on Linux only")
def test_work_that_can_wait_gives_way_and_nothing_else_does() -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with ThreadPoolExecutor(1, initializer=give_way) as behind:
        found = behind.submit(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())).result()
    assert (found, os.getpriority(os.PRIO_PROCESS, 0)) == (max(LOW_PRIORITY, before), before)

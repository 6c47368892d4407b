import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from audit.log_file import LOG_BYTES
from audit.packed import Plain
from audit.records import Document, UnitOfWork
from audit.store import open_store
from audit.upgrade import upgrade
from interop.bootstrap import move_log
from interop.lanes import Writer
from tests.fakes import NOW

MEGABYTE = 1024 * 1024


def storing(number: int) -> Callable[[UnitOfWork], None]:
    """A megabyte that cannot be packed."""
    body = Plain(os.urandom(MEGABYTE))
    document = Document(type="Device", id=f"d-{number}", version=1, body=body, last_updated=NOW)
    return lambda uow: uow.documents.create(document, [])


def test_sqlites_log_begins_anew_while_commits_come_all_the_time(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ecg.sqlite"
    upgrade(url)
    store = open_store(url, chain_id="chain-a")
    writer = Writer(store)

    async def commits(numbers: range) -> None:
        for number in numbers:
            await writer.write(storing(number))

    async def run() -> None:
        streams = [commits(range(start, start + 15)) for start in range(0, 120, 15)]
        running = asyncio.gather(*streams)
        while not running.done():
            await move_log(store, writer)
        await running

    asyncio.run(run())
    writer.close()
    assert 0 < Path(f"{tmp_path}/ecg.sqlite-wal").stat().st_size < 1.5 * LOG_BYTES
    assert store.verify().problems == ()
    store.close()

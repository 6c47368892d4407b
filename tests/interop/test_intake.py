"""The straight line's threads log under the correlation id of the request that they work for."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from actions.analysis import Analysis, Door, Mode
from interop.intake import Intake
from interop.logs import NO_CORRELATION, JsonFormatter, correlation
from tests.interop.mllp.world import World, recording

log = logging.getLogger("ecg.test")
THREADS = {
    "decode": "inference", "analyze_within": "inference", "write": "writer", "read": "reader",
}  # fmt: skip


def noted(_: object = None, __: object = None) -> str:
    """What the log line of this moment says."""
    record = log.makeRecord(log.name, logging.INFO, __file__, 0, "working", (), None)
    line = json.loads(JsonFormatter().format(record))
    return f"{line['correlation_id']} {record.threadName}"


async def within(intake: Intake, door: Door) -> str:
    def read() -> Any:
        seen.append(noted())
        return recording()

    def finish(_: object, __: Analysis) -> str:
        return noted()

    seen: list[str] = []
    _, last = await intake.analyze_within(read, intake.context(door, correlation.get()), finish)
    assert seen == [last]
    return last


CALLS: dict[str, Callable[[Intake], Awaitable[str]]] = {
    "decode": lambda intake: intake.decode(noted),
    "analyze_within": lambda intake: within(intake, Door.MLLP),
    "write": lambda intake: intake.write(noted),
    "read": lambda intake: intake.read(noted),
}


def test_every_way_into_another_thread_is_looked_at() -> None:
    assert CALLS.keys() == THREADS.keys()


@pytest.mark.parametrize("name", CALLS)
def test_a_line_logged_in_another_thread_has_the_id_of_its_request(name: str, tmp_path: Path) -> None:
    async def request(intake: Intake, identity: str) -> str:
        correlation.set(identity)
        return await CALLS[name](intake)

    async def scenario() -> list[str]:
        async with World(tmp_path).intake() as intake:
            requests = (asyncio.create_task(request(intake, f"request-{number}")) for number in range(6))
            return await asyncio.gather(*requests)

    seen = asyncio.run(scenario())
    assert [one.split()[0] for one in seen] == [f"request-{number}" for number in range(6)]
    assert all(one.split()[1].startswith(THREADS[name]) for one in seen)
    assert correlation.get() == NO_CORRELATION


def test_an_analysis_alone_is_made_and_counted(tmp_path: Path) -> None:
    async def scenario() -> tuple[Analysis, str]:
        async with World(tmp_path).intake() as intake:
            analysis = await intake.analyze(recording(), intake.context(Door.MLLP, "c-1", "CARDIO|GENERAL"))
            return analysis, intake.metrics.exposition()[0].decode()

    analysis, metrics = asyncio.run(scenario())
    assert analysis.interpretable
    assert analysis.door is Door.MLLP
    assert 'ecg_analyses_total{door="mllp",mode="live"} 1.0' in metrics


@pytest.mark.parametrize(("speaks", "mode"), [(True, Mode.LIVE), (False, Mode.SILENT)])
def test_a_request_is_silent_while_what_serves_may_not_speak(tmp_path: Path, speaks: bool, mode: Mode) -> None:
    async def scenario() -> Mode:
        async with World(tmp_path).intake() as intake:
            return replace(intake, may_speak=lambda: speaks).context(Door.MLLP, "c-1").mode

    assert asyncio.run(scenario()) is mode

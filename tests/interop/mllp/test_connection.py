"""One connection in the production event loop, whose transports are stricter than asyncio's own."""

import asyncio
import logging
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvloop

from audit.records import AcknowledgementState
from inference.prediction import Prediction
from inference.prepare import ModelInput
from interop.logs import correlation
from interop.mllp.framing import frame
from tests.fakes import FakeClassify, make_prediction
from tests.interop.mllp.world import World, ecg

PENDING = AcknowledgementState.PENDING


@dataclass
class Waiting(FakeClassify):
    """A model that begins and then waits for the test."""

    begun: threading.Event = field(default_factory=threading.Event)
    proceed: threading.Event = field(default_factory=threading.Event)

    def __call__(self, windows: Sequence[ModelInput]) -> Prediction:
        self.begun.set()
        self.proceed.wait(20)
        return make_prediction(MI=0.83)


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> list[dict[str, Any]]:
    """What the event loop had to report of errors that nobody caught."""
    unhandled: list[dict[str, Any]] = []
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: unhandled.append(context))
        runner.run(scenario())
    return unhandled


def test_a_sender_that_resets_while_its_ecg_is_analysed_leaves_it_stored_and_undelivered(world: World) -> None:
    world.classify = waiting = Waiting()

    async def scenario() -> None:
        async with world.serving() as door:
            with socket.create_connection(("127.0.0.1", door.server.port)) as sender:
                sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close means reset
                await asyncio.to_thread(sender.sendall, frame(ecg()))
                await asyncio.to_thread(waiting.begun.wait, 20)
            await asyncio.sleep(0.1)
            waiting.proceed.set()
            async with asyncio.timeout(20):
                while (states := [row.acknowledgement for row in await door.inbox()]) in ([], [PENDING]):
                    await asyncio.sleep(0.02)
            assert states == [AcknowledgementState.UNDELIVERED]

    assert run(scenario) == []


def test_what_is_logged_of_a_connection_is_not_taken_for_its_last_message(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[tuple[str, str]] = []

    def note(record: logging.LogRecord) -> bool:
        seen.append((record.getMessage(), correlation.get()))
        return True

    caplog.handler.addFilter(note)

    async def scenario() -> None:
        async with world.serving() as door:
            peer = await door.connect()
            await peer.send(frame(ecg()) + b"garbage" + frame(ecg("M-2")))
            assert [await peer.answer(), await peer.answer()]

    with caplog.at_level("INFO", "interop.mllp"):
        assert run(scenario) == []
    first, garbage, second = (identity for message, identity in seen if message != "MLLP peer is gone")
    assert len({first, garbage, second}) == 3

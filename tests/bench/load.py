"""Closed-loop clients in a process of their own: each sends its next message when its last one is answered."""

import asyncio
import gc
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import count, islice
from multiprocessing import get_context
from time import perf_counter

import uvloop

from tests.bench.messages import Template
from tests.bench.receiver import Deliveries, Receiver
from tests.bench.service import Service
from tests.bench.wire import Peer, Protocol, accepted, connect, http_request, mllp_frame

DRAIN_SECONDS = 60.0  # for results that are still on their way when the last message is answered
SAMPLE_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What to send. path: of HTTP. first: the number of the first message; numbers are never used twice. `messages`
    (over all clients) or `seconds` end it, whichever comes first. idle: connections that are open beside and silent.
    warm_up: messages of each client before, which are not counted."""

    protocol: Protocol
    address: tuple[str, int]
    templates: tuple[Template, ...]
    first: int
    clients: int = 1
    messages: int | None = None
    seconds: float | None = None
    path: str = ""
    media_type: str = ""
    idle: int = 0
    warm_up: int = 5

    def message(self, number: int) -> bytes:
        """The bytes of one message."""
        content = self.templates[number % len(self.templates)].fill(self.first + number)
        return mllp_frame(content) if self.protocol == "mllp" else http_request(self.path, self.media_type, content)


@dataclass(slots=True)
class Loaded:
    """What came of it. latencies in seconds, of the accepted ones; elapsed: from the first to the last answer;
    refused: the beginnings of the first answers that were no success. deliveries: results that came back, if they were
    waited for. sent: all messages, also those of the warm-up; cpu_seconds: processor time of the service for them,
    for deliveries too."""

    latencies: list[float] = field(default_factory=list)
    elapsed: float = 0.0
    failures: int = 0
    refused: list[str] = field(default_factory=list)
    deliveries: Deliveries | None = None
    sent: int = 0
    cpu_seconds: float = 0.0

    @property
    def cpu_milliseconds(self) -> float:
        """Processor time of the service for one message."""
        return 1000 * self.cpu_seconds / self.sent if self.sent else 0.0

    @property
    def rate(self) -> float:
        """Accepted messages per second."""
        return len(self.latencies) / self.elapsed


class Clients:
    """The process of the clients; it lives as long as the benchmark, so that its start is no part of any figure."""

    def __init__(self) -> None:
        self._pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))

    def run(self, service: Service, load: Load, receiver_port: int | None = None) -> Loaded:
        """Run a load to its end. receiver_port: listen there for results and acknowledge them."""
        before = service.cpu_seconds()
        loaded = self._pool.submit(_run, load, receiver_port).result()
        loaded.cpu_seconds = service.cpu_seconds() - before
        return loaded

    def close(self) -> None:
        """End the process."""
        self._pool.shutdown()


def _run(load: Load, receiver_port: int | None) -> Loaded:
    gc.disable()  # the client's pauses must not look like the service's
    try:
        return uvloop.run(_with_receiver(load, receiver_port) if receiver_port is not None else _all(load, Loaded()))
    finally:
        gc.enable()
        gc.collect()


async def _with_receiver(load: Load, port: int) -> Loaded:
    receiver, loaded = Receiver(), Loaded()
    async with receiver.listening(port):
        watching = asyncio.create_task(_watch(receiver, loaded))
        await _all(load, loaded)
        watching.cancel()
        loaded.deliveries = receiver.found
        await receiver.until(len(loaded.latencies), DRAIN_SECONDS)
    return loaded


async def _watch(receiver: Receiver, loaded: Loaded) -> None:
    """How many results are owed, each second."""
    while True:
        await asyncio.sleep(SAMPLE_SECONDS)
        receiver.found.backlog.append(len(loaded.latencies) - receiver.found.delivered)


async def _all(load: Load, loaded: Loaded) -> Loaded:
    silent = [await connect(load.protocol, load.address) for _ in range(load.idle)]
    peers = [await connect(load.protocol, load.address) for _ in range(load.clients)]
    for position, peer in enumerate(peers):
        for number in islice(_numbers(load, position), load.warm_up):
            await peer.exchange(load.message(number))
            loaded.sent += 1
    began = perf_counter()
    await asyncio.gather(*(_client(load, peer, position, loaded) for position, peer in enumerate(peers)))
    loaded.elapsed = perf_counter() - began
    for peer in (*silent, *peers):
        peer.close()
    return loaded


def _numbers(load: Load, position: int) -> Iterator[int]:
    """A client's own numbers: with a number of clients that divides the patients, a patient is on one connection."""
    return count(position, load.clients)


async def _client(load: Load, peer: Peer, position: int, loaded: Loaded) -> None:
    share = load.messages // load.clients if load.messages else None
    deadline = perf_counter() + (load.seconds or float("inf"))
    end = None if share is None else load.warm_up + share
    for number in islice(_numbers(load, position), load.warm_up, end):
        message = load.message(number)
        sent = perf_counter()
        if sent >= deadline:
            return
        answer = await peer.exchange(message)
        loaded.sent += 1
        if accepted(load.protocol, answer):
            loaded.latencies.append(perf_counter() - sent)
        else:
            loaded.failures += 1
            loaded.refused = [*loaded.refused, answer[:400].decode(errors="replace")][:3]

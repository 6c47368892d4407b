"""The serving process: HTTP and MLLP on one event loop, until a signal asks it to drain."""

import asyncio
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI
from threadpoolctl import threadpool_limits

from inference.errors import ConfigurationError

# Kubernetes kills after 30 s by default; drain well before.
DRAIN_SECONDS = 20

LOW_PRIORITY = 10  # a tenth of the time of a thread that is in its way


class HttpServer(uvicorn.Server):
    """uvicorn's server with our own signal handling, so that the process ends with 0 after a drain, and with a call
    once it listens."""

    def __init__(self, app: FastAPI, on_ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app, http="httptools", log_config=None, access_log=False, lifespan="off", server_header=False,
                timeout_graceful_shutdown=DRAIN_SECONDS,
            )
        )  # fmt: skip
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then tell."""
        await super().startup(sockets=sockets)
        self._on_ready()

    def stop(self) -> None:
        """Stop accepting, finish what runs, return from `serve`."""
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT drain."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)


def bind(host: str, port: int, setting: str) -> socket.socket:
    """A listening socket. Raises ConfigurationError naming port and setting when it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigurationError(f"cannot listen on {host}:{port} ({setting}): {error.strerror}") from error
    return listener


def tune_interpreter() -> None:
    """To be called once numpy is loaded, before any thread of the service is started.

    Lets the event loop take the interpreter back sooner from the inference lane: it halves p99 beside onnxruntime. And
    keeps linear algebra in the thread that calls it: our matrices are too small to share, and its idle threads spin on
    the cores that everything else needs."""
    sys.setswitchinterval(0.0005)
    threadpool_limits(limits=1, user_api="blas")


def give_way() -> None:
    """To be called in a thread whose work can wait: others get the cores first. On Linux only, where a thread has a
    priority of its own."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOW_PRIORITY)


def settle_memory() -> None:
    """To be called when everything is loaded: what is there now stays, and the collector need not look at it again. A
    full collection would stop the process for a tenth of a second."""
    gc.freeze()
    gc.enable()

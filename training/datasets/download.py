"""Bringing an official data set onto this machine: verified, in several connections, going on where it was stopped.

A file appears under its name only when its checksum is right; until then it is `<name>.part`, and the next attempt asks
for the rest of it (HTTP Range, RFC 9110 section 14). What is there already and right is not fetched again.
"""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import httpx

from training.datasets.archives import is_unpacked, unpack
from training.datasets.checksums import matches
from training.datasets.sources import SOURCES, RemoteFile, listing

BLOCK = 1 << 20  # bytes
TIME_OUT = httpx.Timeout(60.0, connect=15.0)  # s; PhysioNet is slow to start
ATTEMPTS = 6  # without any progress between them
FIRST_PAUSE = 1.0  # s, doubled for each attempt in vain
LONGEST_PAUSE = 60.0
AS_IT_IS = {"Accept-Encoding": "identity"}  # the checksums are those of the files, not of a compressed form of them
CONNECTIONS = 4  # what a public server bears from one user

# A server that is busy or has been interrupted; everything else that is no success will not get better.
RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})


class DownloadFailed(OSError):
    """A file that cannot be had: its address, and why."""


class _Stopped(Exception):
    """Another file has failed, or the user has stopped; nobody waits for this one any more."""


class _TryAgain(Exception):
    """This attempt failed, another may not. after: seconds that the server asks to wait. attempts: that it counts."""

    def __init__(self, reason: str, after: float | None = None, attempts: int = 1) -> None:
        super().__init__(reason)
        self.after = after
        self.attempts = attempts


@dataclass(frozen=True, slots=True)
class Downloaded:
    """What was done. fetched: files that came over the network. present: those that were there and right."""

    fetched: int
    present: int


Progress = Callable[[int, int], None]  # files done, files in all


def download(
    name: str,
    folder: Path,
    *,
    address: str | None = None,
    connections: int = CONNECTIONS,
    progress: Progress | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> Downloaded:
    """Download a data set of `SOURCES` into `folder`, or what is missing of it there.

    address: of a mirror with the same content, instead of the official one.

    Raises ValueError for another name, DownloadFailed, OSError. Everything that arrived by then is kept.
    """
    if name not in SOURCES:
        raise ValueError(f"no address for {name!r}; known are {', '.join(SOURCES)}")
    folder.mkdir(parents=True, exist_ok=True)
    limits = httpx.Limits(max_connections=connections)
    with httpx.Client(timeout=TIME_OUT, limits=limits, headers=AS_IT_IS, follow_redirects=True) as client:
        try:
            files = listing(client, SOURCES[name], address)
        except httpx.HTTPError as error:
            raise DownloadFailed(f"{address or SOURCES[name].address}: no listing of files ({error})") from error
        return _all(_Fetcher(client, folder, pause), files, connections, progress)


def _all(fetcher: "_Fetcher", files: Iterable[RemoteFile], connections: int, progress: Progress | None) -> Downloaded:
    with ThreadPoolExecutor(connections) as pool:
        waiting = [pool.submit(fetcher.bring, file) for file in files]
        try:
            fetched = 0
            for done, future in enumerate(as_completed(waiting), start=1):
                fetched += future.result()
                if progress is not None:
                    progress(done, len(waiting))
        except BaseException:
            fetcher.stopped.set()  # a part takes hours; neither an error nor Ctrl-C must wait for it
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return Downloaded(fetched, len(waiting) - fetched)


@dataclass(frozen=True, slots=True)
class _Fetcher:
    """Brings files into one folder, from several threads. stopped: set when they should end."""

    client: httpx.Client
    folder: Path
    pause: Callable[[float], None]
    stopped: Event = field(default_factory=Event)

    def bring(self, file: RemoteFile) -> bool:
        """Bring one file and take out what it packs. False when it was there. Raises DownloadFailed, OSError."""
        target = self.folder / file.name
        if is_unpacked(target, file.digest):
            return False
        present = target.is_file() and matches(target, file.algorithm, file.digest)
        if not present:
            self._fetch(file, target)
        unpack(target, file.digest)
        return not present

    def _fetch(self, file: RemoteFile, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f"{target.name}.part")
        failures = 0
        while True:
            if self.stopped.is_set():
                raise _Stopped
            before = _size(part)
            try:
                self._attempt(file, part)
            except _TryAgain as error:
                failures = 1 if _size(part) > before else failures + error.attempts
                if failures >= ATTEMPTS:
                    raise DownloadFailed(f"{file.url}: {error}, again and again") from error
                self.pause(error.after or min(FIRST_PAUSE * 2 ** (failures - 1), LONGEST_PAUSE))
            else:
                part.replace(target)
                return

    def _attempt(self, file: RemoteFile, part: Path) -> None:
        """One request for what is missing. Raises _TryAgain, DownloadFailed."""
        have = _size(part)
        headers = {"Range": f"bytes={have}-"} if have else {}
        try:
            with self.client.stream("GET", file.url, headers=headers) as response:
                self._receive(response, file, part, have)
        except httpx.TransportError as error:
            raise _TryAgain(f"the connection failed ({type(error).__name__})") from error
        if not matches(part, file.algorithm, file.digest):
            part.unlink()
            # It may be that two attempts did not fit together; a second whole file that is wrong will stay wrong.
            raise _TryAgain(f"its {file.algorithm} is not {file.digest}", attempts=ATTEMPTS // 2)

    def _receive(self, response: httpx.Response, file: RemoteFile, part: Path, have: int) -> None:
        status = response.status_code
        if have and status == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # everything is there already, or too much; its checksum tells
        if status in RETRIED:
            raise _TryAgain(f"the server answered {status}", _retry_after(response))
        if not response.is_success:
            raise DownloadFailed(f"{file.url}: the server answered {status}")
        place = response.headers.get("Content-Range", "")
        continued = status == httpx.codes.PARTIAL_CONTENT and place.startswith(f"bytes {have}-")
        with part.open("ab" if continued else "wb") as out:
            for block in response.iter_raw(BLOCK):
                out.write(block)
                if self.stopped.is_set():
                    raise _Stopped


def _retry_after(response: httpx.Response) -> float | None:
    seconds = response.headers.get("Retry-After", "")
    return min(float(seconds), LONGEST_PAUSE) if seconds.isdecimal() else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0

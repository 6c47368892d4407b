"""Where the data sets are given out: the only addresses in the project that data come from.

PhysioNet lists the files of a release with their SHA-256 in `SHA256SUMS.txt`; Zenodo answers a record with its files
and their MD5 as JSON.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

CHECKSUMS_FILE = "SHA256SUMS.txt"


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file. name: its path below the data set's folder. digest: hexadecimal, by `algorithm`."""

    name: str
    url: str
    algorithm: str
    digest: str

    def __post_init__(self) -> None:
        path = PurePosixPath(self.name)
        if not self.name or path.is_absolute() or ".." in path.parts:
            raise ValueError(f"{self.name!r} is no path below the folder")


@dataclass(frozen=True, slots=True)
class Source:
    """address: of a PhysioNet release (with a slash at its end) or a Zenodo record. size: GB on disk, about."""

    address: str
    files: Callable[[str, str], Iterator[RemoteFile]]
    index: str
    size: float
    licence: str


def listing(client: httpx.Client, source: Source, address: str | None = None) -> tuple[RemoteFile, ...]:
    """All files of a data set.

    address: of a mirror instead of the official one. Raises httpx.HTTPError, ValueError when the answer is no listing.
    """
    base = address or source.address
    answer = client.get(f"{base}{source.index}")
    answer.raise_for_status()
    return tuple(source.files(base, answer.text))


def physionet_files(base: str, sums: str) -> Iterator[RemoteFile]:
    """The lines of a SHA256SUMS.txt. Raises ValueError for one that is none."""
    for line in sums.splitlines():
        digest, _, name = line.partition(" ")
        name = name.strip().removeprefix("*")
        if len(digest) != 64 or not name:
            raise ValueError(f"{base}{CHECKSUMS_FILE}: {line[:80]!r} is no checksum and name")
        yield RemoteFile(name, f"{base}{quote(name)}", "sha256", digest)


def zenodo_files(base: str, record: str) -> Iterator[RemoteFile]:
    """The files of a Zenodo record. Raises ValueError for something else, or for an address on another host."""
    try:
        files: list[dict[str, Any]] = json.loads(record)["files"]
        found = [(f["key"], f["links"]["self"], *f["checksum"].split(":", 1)) for f in files]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{base}: no Zenodo record ({error})") from error
    for name, url, algorithm, digest in found:
        if urlsplit(url)[:2] != urlsplit(base)[:2]:
            raise ValueError(f"{base}: {url} is at another host")
        yield RemoteFile(name, url, algorithm, digest)


SOURCES = {
    "ptbxl": Source(
        "https://physionet.org/files/ptb-xl/1.0.3/", physionet_files, CHECKSUMS_FILE, size=3.0, licence="CC BY 4.0"
    ),
    "chapman": Source(
        "https://physionet.org/files/ecg-arrhythmia/1.0.0/",
        physionet_files,
        CHECKSUMS_FILE,
        size=5.0,
        licence="CC BY 4.0",
    ),
    "code15": Source("https://zenodo.org/api/records/4916206", zenodo_files, index="", size=68.0, licence="CC BY 4.0"),
}

"""Prepare 50,000 rows of an HDF5 file in CODE-15%'s layout and show that memory stays as it is.

    python -m tests.soak.streaming FOLDER_OF_PTBXL [--rows 50000] [--workers 2]

The file has few real recordings many times over (an HDF5 virtual data set: 4 MB on disk); the prepared arrays take
12 GB in a temporary folder while it runs. Prints one line per 2,000 rows and a summary.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from inference.formats import wfdb
from tests.training.datasets.code15_folder import tracing, write_repeated
from training.datasets.catalog import open_dataset
from training.datasets.prepared import load_prepared

RECORDINGS = 32
EVERY = 2_000


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ptbxl", type=Path)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    headers = sorted((asked.ptbxl / "records500" / "00000").glob("*.hea"))[:RECORDINGS]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_repeated(folder, [tracing(wfdb.read(header)) for header in headers], asked.rows)
        before = memory(os.getpid())
        entries = open_dataset("code15", folder).external_entries()
        say(f"index of {len(entries)} rows: {(memory(os.getpid()) - before) / len(entries) * 1024:.1f} kB a row")
        started = time.monotonic()

        def progress(done: int, total: int) -> None:
            if done % EVERY < 64 or done == total:
                figures = ", ".join(f"{m:.0f}" for m in [memory(os.getpid()), *map(memory, children())])
                say(f"{done} rows, {time.monotonic() - started:.0f} s, MB of this process and the others: {figures}")

        data = load_prepared(entries, folder / "cache", progress, workers=asked.workers)
        took = time.monotonic() - started
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e9
        say(f"{len(data)} rows in {took:.0f} s: {len(data) / took:.0f} a second; {size:.1f} GB on disk")


def memory(process: int) -> float:
    """MB that a process alone holds, without what is mapped from files; 0 when it has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return 0.0
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("RssAnon"))


def children() -> list[int]:
    """The processes that this one has started."""
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def say(line: str) -> None:
    """Print at once, so that a run of half an hour can be followed."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

"""The service under measurement: `ecg-interop serve` as a process of its own, on a database of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from prometheus_client.parser import text_string_to_metric_families

from tests.bench.messages import ROOT

STOP_SECONDS = 60
MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Mean:
    """A histogram's total: how often, and seconds altogether."""

    number: float
    seconds: float

    def since(self, before: "Mean") -> "Mean":
        """What came after an earlier reading."""
        return Mean(self.number - before.number, self.seconds - before.seconds)


@dataclass(frozen=True, slots=True)
class Service:
    """A running service. http, mllp: (host, port). start_seconds: from the start of the process to its ready line."""

    pid: int
    http: tuple[str, int]
    mllp: tuple[str, int]
    model: str
    start_seconds: float

    def memory(self) -> tuple[float, float]:
        """Resident and proportional set size in MB. Linux only."""
        rows = (line.split() for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()[1:])
        kilobytes = {row[0].rstrip(":"): int(row[1]) for row in rows}
        return kilobytes["Rss"] * 1024 / MEGABYTE, kilobytes["Pss"] * 1024 / MEGABYTE

    def cpu_seconds(self) -> float:
        """Processor time that the process has used so far, all threads: what other work on the machine hardly moves."""
        # proc(5): utime and stime are fields 14 and 15; field 2, the name, may itself hold spaces.
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def histograms(self) -> dict[str, Mean]:
        """`ecg_stage_seconds` by stage, `ecg_write_seconds` as `store`."""
        with urllib.request.urlopen(f"http://{self.http[0]}:{self.http[1]}/metrics") as response:
            text = response.read().decode()
        sums: dict[str, float] = {}
        counts: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            if family.name not in ("ecg_stage_seconds", "ecg_write_seconds"):
                continue
            for sample in family.samples:
                name = sample.labels.get("stage", "store")
                target = {"_sum": sums, "_count": counts}.get(sample.name.removeprefix(family.name))
                if target is not None:
                    target[name] = sample.value
        return {name: Mean(counts[name], sums[name]) for name in sums}


@contextmanager
def running(**settings: str) -> Iterator[Service]:
    """Start the service on free ports with an empty SQLite file; stop it, and remove the file, at the end. settings:
    by their field names. Raises RuntimeError with the service's log when it does not start."""
    with TemporaryDirectory(prefix="ecg-bench-") as folder:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ECG_")}
        environment |= {"ECG_DATABASE_URL": f"sqlite:///{folder}/ecg.db", "ECG_ALLOW_CANDIDATE": "true"}
        environment |= {f"ECG_{name.upper()}": value for name, value in settings.items()}
        log = Path(folder, "serve.log")
        with log.open("w") as stderr:
            began = perf_counter()
            process = subprocess.Popen(
                [sys.executable, "-m", "interop.cli", "serve", "--http-port", "0", "--mllp-port", "0"],
                stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=ROOT, env=environment,
            )  # fmt: skip
        try:
            yield _ready(process, began, log)
        finally:
            _stop(process)


def _ready(process: subprocess.Popen[str], began: float, log: Path) -> Service:
    assert process.stdout is not None
    line = process.stdout.readline()
    seconds = perf_counter() - began
    if not line:
        raise RuntimeError(f"the service did not start: {log.read_text()}")
    ready = json.loads(line)
    return Service(
        process.pid, ("127.0.0.1", ready["http_port"]), ("127.0.0.1", ready["mllp_port"]), ready["model"], seconds
    )


def _stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port

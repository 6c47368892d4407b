"""A day of ECGs that cardiologists have read already: each is posted as if it had just been recorded, and the read is
put beside its report as an over-read. For docs/evaluate.md:

    python examples/day.py reads.csv http://127.0.0.1:8000/fhir

reads.csv has a header and a line an ECG: `file` (beside the table, or absolute), `age`, `sex` and `read`. A read names
what the cardiologist saw of MI, STTC, CD and HYP, with spaces between, or NORM; empty: none of them, and not normal.
"""

import csv
import re
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import orjson

from inference.errors import EcgError
from inference.labels import CONCLUSION_CODES, ECG_NORMAL, Superclass
from inference.recording import Sex
from interop.client import observation_to_send
from interop.files import read_file
from interop.settings import Settings

READER = "Practitioner/cardiologist"
TIMEOUT_SECONDS = 30.0


def codes(read: str) -> list[dict[str, object]]:
    """The conclusion of a reader, as FHIR codes them. Raises KeyError, ValueError for a word that is no group."""
    known = CONCLUSION_CODES | {Superclass.NORM: ECG_NORMAL}
    found = [known[Superclass(word)] for word in read.split()]
    return [{"coding": [{"system": one.system, "code": one.code, "display": one.display}]} for one in found]


def post(http: httpx.Client, file: Path, row: dict[str, str], number: int) -> str | None:
    """Send one ECG. Gives the URL of its report, None where it was refused."""
    age = float(row["age"]) if row["age"] else None
    try:
        recording = replace(read_file(file, Settings()), age=age, sex=Sex(row["sex"] or "unknown"))
    except EcgError as error:
        sys.stderr.write(f"{file.name}: {error}\n")
        return None
    body = observation_to_send(replace(recording, recorded_at=datetime.now(UTC)), f"evaluation-{number}")
    answer = http.post("Observation", content=body, headers={"Content-Type": "application/fhir+json"})
    found = re.search(r"DiagnosticReport/[0-9a-f-]+", answer.headers.get("Link", ""))
    if answer.status_code != 201 or found is None:
        sys.stderr.write(f"{file.name}: {answer.status_code} {answer.text[:300]}\n")
        return None
    return found[0]


def over_read(http: httpx.Client, report: str, read: str) -> int:
    """Put the cardiologist's read beside the report. Gives the status of the answer."""
    patch: list[dict[str, object]] = [
        {"op": "replace", "path": "/status", "value": "final"},
        {"op": "add", "path": "/resultsInterpreter", "value": [{"reference": READER}]},
        {"op": "add", "path": "/conclusion", "value": read or "none of the four groups, not normal"},
        {"op": "add", "path": "/conclusionCode", "value": codes(read)},
    ]
    if not read:  # nothing found: FHIR has no empty list
        patch[-1:] = [patch[-1] | {"value": [{"text": "nothing"}]}, {"op": "remove", "path": "/conclusionCode"}]
    headers = {"Content-Type": "application/json-patch+json", "If-Match": 'W/"1"'}
    return http.patch(report, content=orjson.dumps(patch), headers=headers).status_code


def main(table: Path, base: str) -> int:
    """Send all of them. Gives 1 where one was refused."""
    done: Counter[str] = Counter()
    with httpx.Client(base_url=base, timeout=TIMEOUT_SECONDS) as http, table.open(newline="") as lines:
        for number, row in enumerate(csv.DictReader(lines), 1):
            report = post(http, table.parent / row["file"], row, number)
            if report is None:
                done["refused"] += 1
            else:
                done["read" if over_read(http, report, row["read"]) == 200 else "not over-read"] += 1
    sys.stdout.write(", ".join(f"{count} {what}" for what, count in done.items()) + "\n")
    return int(set(done) != {"read"})


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2].rstrip("/") + "/"))

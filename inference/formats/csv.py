"""Tables: a header row of lead names, then one row per sample.

Unit and sampling rate come as arguments or as comment lines ahead of the header, `# unit: mV` and
`# sampling_rate: 500`; `# age: 60` and `# sex: female` may stand there too. Without unit or rate the file is refused.
An empty cell is an invalid sample.
"""

import csv
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.errors import InvalidContent, Malformed, SamplingRateInvalid, SignalMalformed
from inference.formats.comments import person
from inference.lead_codes import lead_of
from inference.recording import MAX_SAMPLES, Recording, assemble
from inference.units import to_millivolt

_STATEMENT = re.compile(r"#\s*(unit|sampling_rate)\s*[:=]\s*(.*)", re.IGNORECASE)
_DELIMITERS = ",;\t"


def read(path: Path, *, unit: str | None = None, sampling_rate: float | None = None) -> Recording:
    """The recording in a CSV file, columns parted by comma, semicolon or tab. Arguments win over comment lines.

    Columns that are none of the twelve leads (a time, an index) are left out.

    Raises Malformed, UnitMissing, UnitUnsupported, SamplingRateInvalid, LeadsMissing, InvalidContent (a lead twice),
    SignalMalformed with the line, and what `Recording` raises.
    """
    comments, header, rows = _split(_text(path))
    stated = {m[1].lower(): m[2].strip() for c in comments if (m := _STATEMENT.fullmatch(c))}
    rate = sampling_rate if sampling_rate is not None else _rate(stated.get("sampling_rate"))
    factor = to_millivolt(unit if unit is not None else stated.get("unit"))
    samples = _samples(header, rows, first_line=len(comments) + 2) * factor
    signal, notes = assemble({lead: samples[:, column] for lead, column in _columns(header).items()})
    patient = person(comments)
    return Recording(signal, rate, age=patient.age, sex=patient.sex, notes=notes + patient.notes)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Malformed(f"{path.name}: not readable as text ({error})") from error


def _split(text: str) -> tuple[list[str], list[str], list[list[str]]]:
    lines = text.splitlines()
    comments = []
    for line in lines:
        if not line.startswith("#"):
            break
        comments.append(line.strip())
    table = lines[len(comments) :]
    if len(table) < 2:
        raise Malformed("a header row of lead names and one row per sample are needed")
    if len(table) > MAX_SAMPLES + 1:
        raise SignalMalformed(f"{len(table) - 1} rows; up to {MAX_SAMPLES} are accepted")
    delimiter = max(_DELIMITERS, key=table[0].count)
    try:
        header, *rows = csv.reader(table, delimiter=delimiter)
    except csv.Error as error:
        raise Malformed(f"no table of comma-separated values: {error}") from error
    return comments, header, rows


def _rate(stated: str | None) -> float:
    if stated is None:
        raise SamplingRateInvalid("no sampling rate: give it as an argument or in a line '# sampling_rate: 500'")
    try:
        return float(stated)
    except ValueError:
        raise SamplingRateInvalid(f"sampling rate {stated[:40]!r} is no number") from None


def _columns(header: list[str]) -> dict[str, int]:
    columns: dict[str, int] = {}
    for column, name in enumerate(header):
        lead = lead_of(None, name)
        if lead in columns:
            raise InvalidContent(f"lead {lead} appears twice", element=name)
        if lead is not None:
            columns[lead] = column
    return columns


def _samples(header: list[str], rows: list[list[str]], *, first_line: int) -> NDArray[np.float64]:
    """(samples, columns); cells of columns that are no leads are not looked at."""
    wanted = set(_columns(header).values())
    samples = np.full((len(rows), len(header)), np.nan)
    for number, row in enumerate(rows):
        if len(row) != len(header):
            raise SignalMalformed(f"line {first_line + number} has {len(row)} cells, the header has {len(header)}")
        try:
            samples[number] = [float(cell or "nan") if i in wanted else np.nan for i, cell in enumerate(row)]
        except ValueError as error:
            raise SignalMalformed(f"line {first_line + number}: {error}") from None
    return samples

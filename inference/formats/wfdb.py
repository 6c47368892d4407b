"""PhysioNet WFDB records: a `.hea` header with its `.dat` or `.mat` samples (WFDB Applications Guide, header(5)).

The format lets a header leave gain and unit out and then assumes 200 steps per mV. That is a guess about an amplitude,
so such a header is refused here.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.errors import InvalidContent, Malformed, SignalMalformed, UnitMissing
from inference.formats.comments import person
from inference.lead_codes import lead_of
from inference.recording import MAX_SAMPLES, Recording, assemble
from inference.units import to_millivolt

# What the wfdb package raises on headers and samples that contradict the format or each other.
_UNREADABLE = (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)

_LENGTH_FIELD = 3  # of the record line: name, signals, rate, samples, time, date
_GAIN_FIELD = 2  # of a signal line: file, format, gain(baseline)/unit, ...


def read(path: Path, *, zone: tzinfo = UTC) -> Recording:
    """The record that a `.hea`, `.dat` or `.mat` path belongs to; all its files lie in one folder.

    zone: for the header's date and time, which have none. Channels that are none of the twelve leads are left out.

    Raises Malformed, UnitMissing, UnitUnsupported, LeadsMissing, InvalidContent (a lead twice), and what `Recording`
    raises.
    """
    header = path.with_suffix(".hea")
    _require_calibration(header)
    record = _record(header)
    signal, completed = assemble(dict(_leads(record)))
    patient = person(record.comments)
    recorded_at, assumed = _recorded_at(record, zone)
    return Recording(
        signal=signal,
        sampling_rate=float(record.fs),
        recorded_at=recorded_at,
        age=patient.age,
        sex=patient.sex,
        notes=completed + patient.notes + assumed,
    )


def _record(header: Path) -> Any:
    import wfdb  # on first use: it brings pandas, two seconds and 100 MB

    try:
        record = wfdb.rdrecord(str(header.with_suffix("")))
    except _UNREADABLE as error:
        raise Malformed(f"{header.name}: no readable WFDB record ({error})") from error
    if record.p_signal is None or record.sig_name is None:
        raise Malformed(f"{header.name}: the record has no signals")
    return record


def _require_calibration(header: Path) -> None:
    for line in _signal_lines(header):
        fields = line.split()
        gain, _, unit = (fields[_GAIN_FIELD] if len(fields) > _GAIN_FIELD else "").partition("/")
        if not unit or not gain.partition("(")[0].strip("0.+-"):
            raise UnitMissing(f"{header.name}: signal line {line[:80]!r} states no gain and unit", element="unit")


def _signal_lines(header: Path) -> Iterator[str]:
    """The lines that describe signals; those of a record in segments name other headers and have two fields."""
    try:
        lines = header.read_text("utf-8", errors="replace").splitlines()
    except OSError as error:
        raise Malformed(f"{header.name}: cannot be read ({error.strerror})") from error
    content = [line for line in lines if line.strip() and not line.startswith("#")]
    if not content or "/" in content[0].split()[0]:
        raise Malformed(f"{header.name}: empty, or a record in segments, which no resting ECG is")
    record_line = content[0].split()
    # Before anything is read: the wfdb package allocates what the header claims.
    stated = record_line[_LENGTH_FIELD] if len(record_line) > _LENGTH_FIELD else ""
    if stated.isdecimal() and (len(stated) > 9 or int(stated) > MAX_SAMPLES):
        raise SignalMalformed(f"{header.name}: {stated[:20]} samples a lead; up to {MAX_SAMPLES} are accepted")
    return iter(content[1:])


def _leads(record: Any) -> Iterator[tuple[str, NDArray[np.float64]]]:
    seen: set[str] = set()
    for channel, (name, unit) in enumerate(zip(record.sig_name, record.units, strict=True)):
        lead = lead_of(None, name)
        if lead is None:
            continue
        if lead in seen:
            raise InvalidContent(f"lead {lead} appears twice", element=name)
        seen.add(lead)
        yield lead, record.p_signal[:, channel] * to_millivolt(unit)


def _recorded_at(record: Any, zone: tzinfo) -> tuple[datetime | None, tuple[str, ...]]:
    if record.base_datetime is None:  # only a date and a time together make a moment
        return None, ()
    moment: datetime = record.base_datetime.replace(tzinfo=zone)
    return moment, (f"The header's time has no zone; {zone} was assumed.",)

"""The files that commands take and make: what `inference.formats` reads, and the messages of the doors as files.

A FHIR Observation (`.json`) and an HL7 v2 message (`.hl7`, with or without its MLLP frame) become a Recording by the
same code as at the doors. A Recording becomes a WFDB record by the wfdb package.
"""

import re
from collections.abc import Mapping
from datetime import tzinfo
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from inference.errors import InvalidContent, LeadsMissing, Malformed, SignalMalformed, TooLarge
from inference.formats import READERS, Reader, read
from inference.recording import LEADS, Recording
from interop.hl7 import message, oru
from interop.hl7.senders import Senders, load_senders
from interop.resources import observation
from interop.resources.sampled_data import resolution
from interop.settings import Settings

_MLLP_FRAME = b"\x0b\x1c\r\n"

_WFDB_NAME = re.compile(r"[A-Za-z0-9_-]+")

# WFDB formats (WFDB Applications Guide, signal(5)) by bits: the largest sample, and what stands for an invalid one.
_WFDB_FORMATS = {"16": (32767, -32768), "32": (2147483647, -2147483648)}


def read_file(path: Path, settings: Settings, **options: object) -> Recording:
    """The recording in a file of any supported format. options: as `inference.formats.read` takes them.

    A time without a zone is in `ECG_TIME_ZONE`, that of an HL7 v2 message in the zone of its sender, and is noted.

    Raises what `inference.formats.read`, `observation.parse`, `observation.to_recording`, `message.parse` and
    `oru.decode` raise; LeadsMissing for a message without an ECG, InvalidContent for a withdrawn Observation.
    """
    limit = settings.http_max_bytes
    senders = load_senders(settings.senders, settings.time_zone)
    readers: Mapping[str, Reader] = {
        **READERS,
        ".json": Reader(partial(_observation, limit=limit), zoned=False),
        ".hl7": Reader(partial(_message, limit=limit, senders=senders), zoned=False),
    }
    return read(path, zone=ZoneInfo(settings.time_zone), readers=readers, **options)


def write_wfdb(recording: Recording, header: Path, zone: tzinfo) -> tuple[Path, Path]:
    """Write a record as `header` (`.hea`) and its `.dat`, at the coarsest step that keeps every sample.

    Age and sex go into comments. The format's times have no zone: they are written in `zone`, to the second.

    Gives both paths. Raises InvalidContent for a name that WFDB does not allow, OSError when nothing can be written.
    """
    import wfdb  # on first use: it brings pandas

    if not _WFDB_NAME.fullmatch(header.stem):
        raise InvalidContent(f"{header.name}: a WFDB record is called by letters, digits, _ and - only")
    step = resolution(recording.signal)
    form, counts = _counts(recording, step)
    leads = len(LEADS)
    at = recording.recorded_at
    wfdb.wrsamp(
        header.stem,
        fs=recording.sampling_rate,
        units=["mV"] * leads,
        sig_name=list(LEADS),
        d_signal=counts,
        fmt=[form] * leads,
        adc_gain=[round(1 / step)] * leads,
        baseline=[0] * leads,
        comments=_comments(recording),
        base_datetime=at.astimezone(zone).replace(tzinfo=None, microsecond=0) if at else None,
        write_dir=str(header.parent),
    )
    return header.with_suffix(".hea"), header.with_suffix(".dat")


def _counts(recording: Recording, step: float) -> tuple[str, NDArray[np.int64]]:
    """The narrowest format that holds the signal, and its samples as (samples, leads)."""
    scaled = np.rint(recording.signal.T.astype(np.float64) / step)
    largest = np.nanmax(np.abs(scaled), initial=0)
    form = next((form for form, (limit, _) in _WFDB_FORMATS.items() if largest <= limit), None)
    if form is None:
        raise SignalMalformed(f"a sample of {largest * step:g} mV is beyond what WFDB holds")
    return form, np.where(np.isnan(scaled), _WFDB_FORMATS[form][1], scaled).astype(np.int64)


def _comments(recording: Recording) -> list[str]:
    """Age and sex as PhysioNet's data sets write them."""
    age = [f"Age: {recording.age:g}"] if recording.age is not None else []
    return [*age, f"Sex: {recording.sex.value.capitalize()}"]


def _observation(path: Path, *, limit: int) -> Recording:
    received = observation.parse(_content(path, limit))
    if received.withdrawn:
        raise InvalidContent(f"{path.name}: the Observation is {received.status}", element="Observation.status")
    return observation.to_recording(received)


def _message(path: Path, *, limit: int, senders: Senders) -> Recording:
    parsed = message.parse(_content(path, limit).strip(_MLLP_FRAME))
    if not oru.holds_waveform(parsed):
        raise LeadsMissing(f"{path.name}: the message holds no ECG")
    return oru.decode(parsed, senders.of(parsed.header.sender)).recording


def _content(path: Path, limit: int) -> bytes:
    """The bytes of a file. Raises Malformed when it cannot be read, TooLarge for one that no door would take."""
    try:
        if path.stat().st_size > limit:
            raise TooLarge(f"{path.name}: larger than {limit} bytes")
        return path.read_bytes()
    except OSError as error:
        raise Malformed(f"{path.name}: cannot be read ({error.strerror})") from error

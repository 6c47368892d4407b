"""Exchange formats of ECG devices and management systems, as ecgdatakit reads them.

DICOM waveforms (PS3.3 C.10.9), SCP-ECG (EN 1064), HL7 aECG (ANSI/HL7 V3 ECG R1), GE MUSE XML and Philips Sierra XML.
What kind a file is, its content decides: three of them are called `.xml`. The library gives counts with the scale that
the file states; here they become millivolts, and what a file does not state is refused, never assumed.
"""

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inference.errors import (
    InvalidContent,
    Malformed,
    SamplingRateInvalid,
    SignalMalformed,
    StorageUnavailable,
    TooLarge,
    UnsupportedMediaType,
)
from inference.formats.comments import Person
from inference.lead_codes import lead_of
from inference.recording import MAX_AGE, Recording, Sex, assemble
from inference.units import to_millivolt

if TYPE_CHECKING:
    from ecgdatakit import ECGRecord, Lead, PatientInfo

# Twelve leads of `MAX_SAMPLES` as text in XML; a resting ECG has 0.1 to 1 MB.
MAX_FILE_BYTES = 64 * 1024 * 1024

DICOM, SCP, AECG = "DICOM Waveform", "SCP-ECG", "HL7 aECG"
XML_FORMATS = frozenset({AECG, "GE MUSE XML", "Philips Sierra XML"})
FORMATS = frozenset({DICOM, SCP}) | XML_FORMATS

# Full scale of 16-bit converters is their mark for "no sample". Files with wider samples may hold these counts as
# values, so they must stand for more than any heart gives, too.
_SENTINELS = (32767.0, -32768.0)
_BEYOND_ANY_ECG = 10.0  # mV

# A thousand volts is no ECG; without a limit, sums of leads could leave the range of float32.
MAX_MILLIVOLTS = 1e6

# What the library tells of when a lead begins: in SCP-ECG its first sample, in MUSE XML its offset.
_STARTS = ("start_sample", "LeadTimeOffset")

_AMBULATORY_ECG = "1.2.840.10008.5.1.4.1.1.9.1.3"  # SOP class of a Holter recording (DICOM PS3.4 B.5)
_SEXES = {"F": Sex.FEMALE, "M": Sex.MALE}
_REPEATED = re.compile(r"(?P<lead>.+)_\d+")  # how the library calls a label that comes again
_NAMELESS = "the file"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeFile:
    """A recording and what its file states beside it. kind: of `FORMATS`. patient_id, manufacturer, model,
    serial_number: as written, empty where the file has none."""

    recording: Recording
    kind: str
    patient_id: str
    manufacturer: str
    model: str
    serial_number: str


def read(path: Path, *, zone: tzinfo = UTC) -> Recording:
    """The rhythm recording in a file; median beats are left out. zone: for times that state none.

    Raises Malformed (damaged, or a wrong checksum in SCP-ECG), UnsupportedMediaType (another kind of file, a
    compression that is not read), TooLarge, UnitMissing, UnitUnsupported, LeadsMissing, SamplingRateInvalid,
    SignalMalformed (leads that are not simultaneous), InvalidContent (a lead twice).
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise Malformed(f"{path.name}: cannot be read ({error.strerror})") from error
    _require_size(size, path.name)
    _, parsed, remarks = _parse(path, path.name)
    return _recording(parsed, remarks, zone)


def read_content(content: bytes, *, zone: tzinfo = UTC) -> ExchangeFile:
    """The same for a file that came as bytes, and what it states beside the recording.

    Raises what `read` raises, and StorageUnavailable when there is no room for the temporary file.
    """
    _require_size(len(content), _NAMELESS)
    with _private_file(content) as path:
        kind, parsed, remarks = _parse(path, _NAMELESS)
    device = parsed.recording.device
    return ExchangeFile(
        recording=_recording(parsed, remarks, zone),
        kind=kind,
        patient_id=parsed.patient.patient_id,
        manufacturer=device.manufacturer,
        model=device.model,
        serial_number=device.serial_number,
    )


@contextmanager
def _private_file(content: bytes) -> Iterator[Path]:
    """The content under a path, because the library opens its files itself. Nobody else may read it (mode 0600), its
    name tells nothing, and it is gone as soon as it was read. TMPDIR says where."""
    try:
        file = NamedTemporaryFile(prefix="ecg-")  # noqa: SIM115 - closed below
    except OSError as error:
        raise StorageUnavailable(f"no temporary file can be made ({error.strerror})") from error
    with file:
        path = Path(file.name)
        try:
            path.write_bytes(content)
        except OSError as error:
            raise StorageUnavailable(f"the temporary file cannot be written ({error.strerror})") from error
        yield path


def _recording(parsed: "ECGRecord", remarks: tuple[str, ...], zone: tzinfo) -> Recording:
    leads = [(lead, name) for lead in parsed.leads if (name := _name(lead.label))]
    _require_simultaneous([lead for lead, _ in leads])
    signal, completed = assemble(dict(_millivolts(leads)))
    recorded_at, dating = _recorded_at(parsed.recording.date, zone)
    person = _person(parsed.patient)
    return Recording(
        signal=signal,
        sampling_rate=_sampling_rate(parsed, [lead for lead, _ in leads]),
        recorded_at=recorded_at,
        age=person.age,
        sex=person.sex,
        resting=False if parsed.raw_metadata.get("sop_class_uid") == _AMBULATORY_ECG else None,
        notes=(*completed, *dating, *person.notes, *remarks),
    )


def _parse(path: Path, called: str) -> tuple[str, "ECGRecord", tuple[str, ...]]:
    """What kind of file it is, the file as the library reads it, and what the library remarked. called: the file's name
    in errors; remarks are without it."""
    from ecgdatakit import ChecksumWarning, ECGDataKitError, FileParser, UnsupportedFormatError

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            kind = FileParser.detect_format(path)
            if kind is None or kind["name"] not in FORMATS:
                raise UnsupportedMediaType(f"{called}: none of {', '.join(sorted(FORMATS))}")
            parsed = FileParser.parse(path)
        except UnsupportedFormatError as error:
            raise UnsupportedMediaType(f"{called}: {_anonymous(_one_line(error), path)}") from error
        except (ECGDataKitError, OSError) as error:
            raise Malformed(f"{called}: {_anonymous(_one_line(error), path)}") from error
    if kind["name"] == SCP and any(issubclass(warning.category, ChecksumWarning) for warning in caught):
        raise Malformed(f"{called}: the checksum does not match, so the file was damaged on its way")
    ours = [warning for warning in caught if issubclass(warning.category, UserWarning)]
    return kind["name"], parsed, tuple(f"While reading: {_anonymous(str(warning.message), path)}." for warning in ours)


def _require_size(size: int, called: str) -> None:
    if size > MAX_FILE_BYTES:
        raise TooLarge(f"{called}: {size} bytes; up to {MAX_FILE_BYTES} are read")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _anonymous(remark: str, path: Path) -> str:
    """A remark of the library without paths: files are often called after the patient."""
    for name in (str(path), path.name):
        remark = remark.replace(name, _NAMELESS)
    return remark.rstrip(".")


def _name(label: str) -> str | None:
    """The lead that a label stands for; one that the library had to number is still that lead."""
    repeated = _REPEATED.fullmatch(label)
    return lead_of(None, label) or (lead_of(None, repeated["lead"]) if repeated else None)


def _require_simultaneous(leads: Sequence["Lead"]) -> None:
    if len({tuple(lead.annotations.get(start) for start in _STARTS) for lead in leads}) > 1:
        raise SignalMalformed("the leads begin at different times; simultaneous leads are needed")


def _millivolts(leads: Sequence[tuple["Lead", str]]) -> Iterator[tuple[str, NDArray[np.float64]]]:
    seen: set[str] = set()
    for lead, name in leads:
        if name in seen:
            raise InvalidContent(f"lead {name} appears twice", element=lead.label)
        seen.add(name)
        yield name, _scaled(lead)


def _scaled(lead: "Lead") -> NDArray[np.float64]:
    """mV, NaN for invalid samples."""
    scale = to_millivolt(lead.resolution_unit or lead.adc_resolution_unit)
    if lead.is_raw:  # the library could not scale it although there is a unit
        raise SignalMalformed(f"lead {lead.label} has no usable resolution", element=lead.label)
    values = np.array(lead.samples, np.float64)
    if (np.abs(values) > MAX_MILLIVOLTS).any():
        raise SignalMalformed(f"lead {lead.label} has a value beyond {MAX_MILLIVOLTS:g} mV", element=lead.label)
    counts = np.rint((values / scale - lead.offset) / lead.resolution)
    full_scale = np.abs(counts * lead.resolution * scale)
    values[np.isin(counts, _SENTINELS) & (full_scale > _BEYOND_ANY_ECG)] = np.nan
    return values


def _sampling_rate(parsed: "ECGRecord", leads: Sequence["Lead"]) -> float:
    """Hz. The library rounds a lead's rate to whole numbers; what the file says is in its metadata."""
    rates = sorted({lead.sampling_rate for lead in leads})
    if len(rates) != 1:
        raise SamplingRateInvalid(f"the leads have different sampling rates: {rates}")
    exact = next((rate for rate in _stated_rates(parsed.raw_metadata) if round(rate) == rates[0]), rates[0])
    return float(exact)


def _stated_rates(metadata: Mapping[str, Any]) -> Iterator[float]:
    """Hz, as aECG, SCP-ECG (an interval in microseconds) and DICOM state it."""
    yield metadata.get("rhythm_time", {}).get("sampling_rate_exact", 0.0)
    yield 1e6 / metadata.get("rhythm_sample_interval_us", 1e9)
    yield from (group["sampling_frequency"] for group in metadata.get("multiplex_groups", ()))


def _recorded_at(date: datetime | None, zone: tzinfo) -> tuple[datetime | None, tuple[str, ...]]:
    if date is None:
        return None, ()
    try:
        at = (date if date.tzinfo else date.replace(tzinfo=zone)).astimezone(UTC)
    except OverflowError:
        return None, (f"The stated time {date} was not used.",)
    return at, () if date.tzinfo else (f"The file's time has no zone; {zone} was assumed.",)


def _person(patient: "PatientInfo") -> Person:
    notes = ["The file says that the patient has a pacemaker."] if patient.has_pacemaker else []
    age = None if patient.age is None else float(patient.age)
    if age is not None and not 0 <= age <= MAX_AGE:
        notes.append(f"The stated age of {age:g} was not used.")
        age = None
    return Person(age, _SEXES.get(patient.sex, Sex.UNKNOWN), tuple(notes))

"""ORU^R01 with waveforms -> a Recording and what its results must carry back."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from zoneinfo import ZoneInfo

from inference.errors import SignalMalformed, UnsupportedMediaType
from inference.recording import Recording, Sex, assemble
from interop.hl7.fields import component, raw
from interop.hl7.identifiers import AssignedId, order_number, patient_id
from interop.hl7.leads import Lead, by_name, lead_name, leads_of, one_rate
from interop.hl7.message import Header, Message, Obx, OrderGroup
from interop.hl7.senders import Sender
from interop.hl7.times import ReadTime, birth_date, offset_of, read_time
from interop.resources.patients import Demographics, demographics

# PID-8, table 0001: A is ambiguous; N (not applicable) and U tell nothing.
_SEX: Mapping[str, Sex] = MappingProxyType({"F": Sex.FEMALE, "M": Sex.MALE, "O": Sex.OTHER, "A": Sex.OTHER})

# ED.3 of documents about an ECG, which hold no samples.
_DOCUMENTS = frozenset({"PDF", "JPEG", "JPG", "PNG", "GIF", "TIFF", "HTML", "RTF", "PLAIN", "MSWORD"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedEcg:
    """An ECG that came by HL7 v2. The four fields at the end are raw, to be echoed in results: PID-3, PID-5, PV1-19,
    and the OBR-2 and OBR-3 in `placer_field` and `filler_field`."""

    header: Header
    recording: Recording
    patient: AssignedId
    placer_order_number: AssignedId | None
    filler_order_number: AssignedId | None
    patient_ids: str
    patient_name: str
    visit_number: str
    placer_field: str
    filler_field: str

    @property
    def patient_key(self) -> str:
        """`authority|value`, for the order of one patient's items."""
        return self.patient.key


def holds_waveform(message: Message) -> bool:
    """Whether there is an ECG in it. Raises SignalMalformed, UnsupportedMediaType for an ECG in a form that is not
    read: that is no message without an ECG."""
    separators = message.header.separators
    observations = [obx for group in message.groups for obx in group.observations if not obx.withdrawn]
    if message.header.event == "R01" and any(lead_name(obx, separators) for obx in observations):
        return True
    for obx in observations:
        _refuse_other_forms(obx, message)
    return False


def decode(message: Message, sender: Sender) -> DecodedEcg:
    """Read the ECG of a message in which `holds_waveform` found one.

    Raises MissingPatientId, LeadsMissing, SignalMalformed, SamplingRateInvalid, UnitMissing, UnitUnsupported.
    """
    header, pid = message.header, message.first("PID")
    patient = patient_id(pid, header, sender)
    groups = [(group, leads) for group in message.groups if (leads := leads_of(group, header.separators))]
    leads = [lead for _, found in groups for lead in found]
    obr = groups[0][0].obr
    return DecodedEcg(
        header=header,
        recording=_recording(message, groups[0][0], leads, sender.time_zone),
        patient=patient,
        placer_order_number=order_number(obr, 2, header, sender),
        filler_order_number=order_number(obr, 3, header, sender),
        patient_ids=raw(pid, 3),
        patient_name=raw(pid, 5),
        visit_number=raw(message.first("PV1"), 19),
        placer_field=raw(obr, 2),
        filler_field=raw(obr, 3),
    )


def _recording(message: Message, group: OrderGroup, leads: list[Lead], zone: ZoneInfo) -> Recording:
    signal, completed = assemble(by_name(leads))
    rate = one_rate(leads)
    recorded, dating = _recorded_at(message, group, leads[0].source, zone)
    person = _demographics(message, recorded, zone)
    return Recording(
        signal=signal,
        sampling_rate=rate,
        recorded_at=recorded,
        age=person.age,
        sex=person.sex,
        notes=(*completed, *_invalid_samples(leads), *dating, *person.notes),
    )


def _recorded_at(
    message: Message, group: OrderGroup, lead: Obx, zone: ZoneInfo
) -> tuple[datetime | None, tuple[str, ...]]:
    """OBX-14 of the first lead, else OBR-7. A time without offset has that of MSH-7 (chapter 2.15.9.7), else the
    sender's zone."""
    separators = message.header.separators
    stated = (lead.observed_at, raw(group.obr, 7))
    default = offset_of(message.header.sent_at)
    read = next((t for text in stated if (t := read_time(component(text, separators, 1), default or zone))), None)
    if read is None:
        return None, ("The message does not say when the ECG was recorded.",)
    return read.at, tuple(_dating(read, "the message's own zone" if default else zone.key))


def _dating(read: ReadTime, assumed: str) -> list[str]:
    notes = []
    if not read.has_zone:
        notes.append(f"The recording time came without a time zone; {assumed} was assumed.")
    if not read.has_clock:
        notes.append("The recording is dated by day only; the start of that day was assumed.")
    return notes


def _demographics(message: Message, recorded: datetime | None, zone: ZoneInfo) -> Demographics:
    """Age and sex at the recording; of an undated recording, at the time of the message."""
    separators, pid = message.header.separators, message.first("PID")
    sent = read_time(message.header.sent_at, zone)
    patient = {
        "birthDate": birth_date(component(raw(pid, 7), separators, 1)),
        "gender": _SEX.get(component(raw(pid, 8), separators, 1).upper(), Sex.UNKNOWN),
    }
    return demographics(patient, recorded or (sent.at if sent else None))


def _invalid_samples(leads: list[Lead]) -> tuple[str, ...]:
    marked = [f"{lead.name} ({lead.invalid})" for lead in leads if lead.invalid]
    return (f"Samples that the device marked invalid: {', '.join(marked)}.",) if marked else ()


def _refuse_other_forms(obx: Obx, message: Message) -> None:
    separators = message.header.separators
    if obx.value_type == "MA" or message.header.event != "R01":
        raise SignalMalformed(
            "waveforms are read as one NA observation for each lead (ORU^R01); this form is not supported",
            element=obx.at(2),
        )
    if obx.value_type == "ED":
        parts = obx.value.split(separators.component.encode(), 4)
        subtype = parts[2].decode("ascii", "replace").strip().upper() if len(parts) > 2 else ""
        if subtype not in _DOCUMENTS:
            raise UnsupportedMediaType("encapsulated ECG files are not read by this door", element=obx.at(5))

"""A Recording as ORU^R01 with NA waveforms, the form that `oru.decode` reads: for `send`, `convert` and tests."""

from collections.abc import Iterator
from datetime import date, datetime

import numpy as np
import orjson
from numpy.typing import NDArray

from inference.lead_codes import mdc_code
from inference.recording import LEADS, Recording, Sex
from interop.hl7.fields import Separators, escape
from interop.hl7.times import write_time
from interop.resources.patients import latest_birth_date

INVALID_SAMPLE = 32767  # what NaN becomes, declared by an MDC_EVT_INOP facet

_SEX = {Sex.FEMALE: "F", Sex.MALE: "M", Sex.OTHER: "O", Sex.UNKNOWN: "U"}
_UNIT = "266418^MDC_DIM_MILLI_VOLT^MDC"
_RATE_UNIT = "264608^MDC_DIM_PER_SEC^MDC"
_SEPARATORS = Separators()


def to_oru(
    recording: Recording,
    *,
    control_id: str,
    sent_at: datetime,
    patient_id: str,
    authority: str = "LOCAL",
    placer_order_number: str = "",
    filler_order_number: str = "",
    sending_application: str = "ECG-INTEROP",
    sending_facility: str = "LOCAL",
    accept_ack: str = "",
    application_ack: str = "",
    birth_date: date | None = None,
) -> bytes:
    """The message, from MSH to its last CR. Values are exact to the last float32 digit. Without a birth_date the age
    of a dated recording travels as a date of birth of day precision."""
    texts = (control_id, patient_id, authority, placer_order_number, filler_order_number)
    message_id, patient, assigner, placer, filler = (escape(text, _SEPARATORS) for text in texts)
    sender = f"{escape(sending_application, _SEPARATORS)}|{escape(sending_facility, _SEPARATORS)}"
    recorded = write_time(recording.recorded_at) if recording.recorded_at else ""
    born = birth_date.strftime("%Y%m%d") if birth_date else _born(recording)
    segments = [
        f"MSH|^~\\&|{sender}|||{write_time(sent_at)}||ORU^R01^ORU_R01|{message_id}|P|2.5.1|||{accept_ack}|{application_ack}||"
        "UNICODE UTF-8",
        f"PID|1||{patient}^^^{assigner}^MR||||{born}|{_SEX[recording.sex]}",
        f"OBR|1|{placer}|{filler}|11524-6^EKG study^LN|||{recorded}",
        *_leads(recording, recorded),
    ]
    return "".join(segment + "\r" for segment in segments).encode("utf-8")


def _leads(recording: Recording, recorded: str) -> Iterator[str]:
    position = 0
    for number, (lead, values) in enumerate(zip(LEADS, recording.signal, strict=True), 1):
        sub_id = f"1.1.1.{number}"
        facets = [("NM", "0^MDC_ATTR_SAMP_RATE^MDC", f"{recording.sampling_rate:.12g}", _RATE_UNIT)]
        if np.isnan(values).any():
            facets.append(("NM", "262196^MDC_EVT_INOP^MDC", str(INVALID_SAMPLE), ""))
        code = f"{mdc_code(lead)}^MDC_ECG_ELEC_POTL_{lead.upper()}^MDC"
        rows = [("NA", code, sub_id, _array(values), _UNIT)]
        rows += [(kind, name, f"{sub_id}.{n}", value, unit) for n, (kind, name, value, unit) in enumerate(facets, 1)]
        for kind, name, tie, value, unit in rows:
            position += 1
            yield f"OBX|{position}|{kind}|{name}|{tie}|{value}|{unit}|||||F|||{recorded}"


def _array(values: NDArray[np.float32]) -> str:
    """The shortest decimals that give the same float32 again, without exponents, which HL7 numbers do not have."""
    marked = np.where(np.isnan(values), np.float32(INVALID_SAMPLE), values)
    text = orjson.dumps(np.ascontiguousarray(marked), option=orjson.OPT_SERIALIZE_NUMPY)
    if b"e" in text:
        return "^".join(np.format_float_positional(value, trim="0") for value in marked)
    return text[1:-1].replace(b",", b"^").decode("ascii")


def _born(recording: Recording) -> str:
    if recording.age is None or recording.recorded_at is None:
        return ""
    return latest_birth_date(recording.age, recording.recorded_at).strftime("%Y%m%d")

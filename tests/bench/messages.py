"""What the clients send: the shipped recordings in the form of each door, different in every message.

A benchmark that sends the same bytes again would measure the duplicate check, or a cache. So each message has its own
identifiers, and two samples (the first of V6 and V5) have their own values: no two signals of a run are the same.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import orjson

from inference.formats import read
from inference.recording import LEADS, Recording, Sex
from interop.client import hook_call, observation_to_send
from interop.hl7.waveform import to_oru

ROOT = Path(__file__).resolve().parents[2]
PATIENTS = 100
EXAMPLES = (("00010_hr", 22.0, Sex.FEMALE), ("00184_hr", 74.0, Sex.MALE))

NUMBER = b"NUMBER-HERE-"  # as long as what replaces it, so that sizes stay
PATIENT = b"PATIENT0"
# 0.1 uV steps: FHIR then counts in tenths of a microvolt, which gives the 286 KB of the budget.
SAMPLE = 7.6543
SECOND_SAMPLE = 6.5437
_SAMPLES = re.compile(rb"\b7\.6543\b|\b76543\b|\b6\.5437\b|\b65437\b")
_VALUES = 9000
_UUID = re.compile(rb"(?<=urn:uuid:)[0-9a-f-]{36}")


@dataclass(frozen=True, slots=True)
class Template:
    """A message with gaps. pieces: the fixed bytes around them; gaps: what comes in between."""

    pieces: tuple[bytes, ...]
    gaps: tuple[bytes, ...]

    def fill(self, number: int) -> bytes:
        """The message of that number, of which no other has the identifiers or the signal."""
        parts = [self.pieces[0]]
        for gap, piece in zip(self.gaps, self.pieces[1:], strict=True):
            parts += (_FILLINGS[gap](number), piece)
        return b"".join(parts)


_FILLINGS: dict[bytes, Callable[[int], bytes]] = {
    NUMBER: lambda number: b"%012d" % number,
    PATIENT: lambda number: b"BENCH%03d" % (number % PATIENTS),
    b"7.6543": lambda number: b"0.%04d" % (1000 + number % _VALUES),
    b"76543": lambda number: b"%04d" % (1000 + number % _VALUES),
    b"6.5437": lambda number: b"0.%04d" % (1000 + number // _VALUES % _VALUES),
    b"65437": lambda number: b"%04d" % (1000 + number // _VALUES % _VALUES),
}


def template(content: bytes) -> Template:
    """Cut a message at its gaps."""
    cut = re.split(b"(" + b"|".join((NUMBER, PATIENT, _SAMPLES.pattern)) + b")", content)
    return Template(tuple(cut[::2]), tuple(cut[1::2]))


def recordings() -> tuple[Recording, ...]:
    """The shipped recordings, as just made, with the samples that are to be replaced."""
    return tuple(_recording(name, age, sex) for name, age, sex in EXAMPLES)


def _recording(name: str, age: float, sex: Sex) -> Recording:
    recording = read(ROOT / "examples" / f"{name}.hea")
    signal = np.array(recording.signal)
    signal[LEADS.index("V6"), 0] = SAMPLE
    signal[LEADS.index("V5"), 0] = SECOND_SAMPLE
    return replace(recording, signal=signal, age=age, sex=sex, recorded_at=datetime.now(UTC))


def predictions() -> tuple[Template, ...]:
    """Bodies of `POST /predict`, 12 x 5000."""
    return tuple(template(_prediction(recording)) for recording in recordings())


def _prediction(recording: Recording) -> bytes:
    body = {"ecg_signal": recording.signal, "patient_age": recording.age, "patient_sex": recording.sex.value}
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


def observations() -> tuple[Template, ...]:
    """Bodies of `POST /fhir/Observation`."""
    return tuple(template(_observation(recording)) for recording in recordings())


def _observation(recording: Recording) -> bytes:
    identified = b"00000000-0000-4000-8000-" + NUMBER
    return _UUID.sub(identified, observation_to_send(recording, PATIENT.decode()))


def hook_calls(*, with_ecg: bool) -> tuple[Template, ...]:
    """Bodies of `POST /cds-services/ecg-patient-view` for the patients of the Observations, with one ECG that nobody
    has seen in the prefetch, or with none: then what came before by another door is found."""
    return tuple(template(_hook_call(recording, with_ecg=with_ecg)) for recording in recordings())


def _hook_call(recording: Recording, *, with_ecg: bool) -> bytes:
    body = orjson.loads(hook_call(recording, PATIENT.decode()))
    (entry,) = body["prefetch"]["ecgs"]["entry"]
    entry["resource"] |= {"id": f"ecg-{NUMBER.decode()}"}
    del entry["resource"]["identifier"]
    if not with_ecg:
        body["prefetch"]["ecgs"] = None
    return orjson.dumps(body | {"fhirServer": "https://ehr.example/fhir"})


def orus() -> tuple[Template, ...]:
    """`ORU^R01` with 60,000 samples as NA; the placer order number is the message's number."""
    return tuple(template(_oru(recording)) for recording in recordings())


def _oru(recording: Recording) -> bytes:
    number = NUMBER.decode()
    return to_oru(
        recording,
        control_id=number,
        sent_at=datetime.now(UTC),
        patient_id=PATIENT.decode(),
        placer_order_number=number,
    )


def admissions() -> tuple[Template, ...]:
    """`ADT^A08` of some 600 bytes that wants one accept acknowledgement and nothing else."""
    at = datetime.now(UTC).strftime("%Y%m%d%H%M%S")
    segments = (
        f"MSH|^~\\&|ADT|GENERAL|ECG|LAB|{at}||ADT^A08^ADT_A01|NUMBER-HERE-|P|2.5.1|||AL|NE||UNICODE UTF-8",
        f"EVN|A08|{at}|||REGISTRAR^^^^^^^^GENERAL",
        "PID|1||PATIENT0^^^GENERAL^MR||EXAMPLE^PATIENT^MIDDLE||19500101|M|||100 EXAMPLE STREET^^SPRINGFIELD^IL"
        "^62701^USA||^PRN^PH^^1^555^5550100|^WPN^PH^^1^555^5550101|ENG|M|CHR|ACCT0001^^^GENERAL^AN",
        "PV1|1|I|4WEST^401^A^GENERAL||||1234^ATTENDING^DOCTOR^^^^^^GENERAL|5678^REFERRING^DOCTOR^^^^^^GENERAL||CAR||||1"
        "|||1234^ATTENDING^DOCTOR|IN|VISIT0001^^^GENERAL^VN",
        "PV2|||^ELECTIVE ADMISSION FOR OBSERVATION|||||20260302||3|||||||||||||N",
    )
    return (template("".join(segment + "\r" for segment in segments).encode()),)

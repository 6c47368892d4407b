"""DocumentReference -> Observation: an ECG file in a document is analysed like an ECG that came as an Observation.

The file is the data of an attachment, or a Binary that its url names. All contents of a document are the same thing in
other formats (FHIR R4 documentreference.html, `content`), so the first that is an ECG file stands for it. What the file
says of its patient is told and never believed: who the patient is, the document's subject says.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import Any

import orjson

from inference.digest import signal_digest
from inference.errors import EcgError, InvalidContent, SenderError, UnsupportedMediaType
from inference.recording import Recording, Sex
from interop.fhir.change import Change
from interop.media import media_type
from interop.resources.codes import Json
from interop.resources.ecg_document import render_ecg
from interop.resources.ecg_file import MEDIA_TYPES, FileEcg, decode_file
from interop.resources.identifiers import Identifier
from interop.resources.observation import ReceivedObservation
from interop.resources.origin import Origin
from interop.resources.patients import demographics
from interop.resources.subjects import contained_patient, patient_key, seen_from_outside, subject_problems
from interop.resources.validation import Problem, refuse, target_type

# What the analysis of a document rests on. Another version that differs elsewhere only is not analysed again.
ANALYSED = ("subject", "contained", "content", "context")
# A document in these states is none to act on (DocumentReference.status, docStatus).
WITHDRAWN = frozenset({"superseded", "entered-in-error"})
# An age in a file is in whole years, and counted by clocks that are wrong.
SAME_AGE = 1.5  # years


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """What may be an ECG file. element: its FHIRPath expression. data: as it is written, None where it is elsewhere.
    url: where it is then."""

    element: str
    content_type: str | None
    data: str | None
    url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EcgFile:
    """An ECG file of a document, read. digest: of the signal."""

    element: str
    ecg: FileEcg
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentChange(Change):
    """A change of a DocumentReference. file: the ECG file that it brings. known: the id of the document that brought
    the same ECG before."""

    file: EcgFile | None = None
    known: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EcgDocument:
    """A valid DocumentReference with an ECG file. patient: the contained Patient that `subject` points to."""

    raw: Json
    file: EcgFile
    patient: Json | None = None

    @property
    def subject(self) -> Json:
        """As the document has it."""
        subject: Json = self.raw["subject"]
        return subject

    @property
    def patient_key(self) -> str | None:
        """What keeps a patient's items in order."""
        return patient_key(self.subject, self.patient)

    def recording(self, patient: Mapping[str, Any] | None) -> Recording:
        """The recording, with age and sex of a Patient resource as far as it has them, else of the file."""
        found, notes = self.file.ecg.recording, list(_whom(self.file.ecg))
        if patient is None:
            return replace(found, notes=(*found.notes, *notes))
        person = demographics(patient, found.recorded_at)
        notes += [*person.notes, *_contradictions(person.age, person.sex, found)]
        return replace(
            found,
            age=found.age if person.age is None else person.age,
            sex=found.sex if person.sex is Sex.UNKNOWN else person.sex,
            notes=(*found.notes, *notes),
        )

    def origin(self, recording: Recording, document_id: str, at: datetime) -> Origin:
        """The ECG as an Observation, where its results come from. document_id: of the document. at: when it is made."""
        stated = self.file.ecg.stated
        whom = Origin(observation=None, subject=seen_from_outside(self.subject, self.patient))
        _, body = render_ecg(
            recording, id=document_id, subject=whom.subject_reference(), identifiers=stated.identifiers, issued=at
        )
        raw = orjson.loads(body.content) | self._shared(document_id)
        received = ReceivedObservation(
            content=orjson.dumps(raw),
            raw=raw,
            resource_type="Observation",
            id=None,
            status=raw["status"],
            identifiers=stated.identifiers,
            subject=raw["subject"],
            patient=None,
            is_waveform=True,
            effective=recording.recorded_at,
        )
        return Origin(
            observation=received,
            subject=received.subject,
            observation_identifiers=stated.identifiers,
            placer_order_number=stated.placer_order_number,
            filler_order_number=stated.filler_order_number,
        )

    def _shared(self, document_id: str) -> Json:
        shared: Json = {"derivedFrom": [{"reference": f"DocumentReference/{document_id}"}]}
        visits = self.raw.get("context", {}).get("encounter", [])
        if len(visits) == 1 and target_type(visits[0], self.raw) == "Encounter":
            shared["encounter"] = visits[0]
        if self.file.ecg.device:
            shared["device"] = {"display": self.file.ecg.device}
        return shared


def stands(raw: Mapping[str, Any]) -> bool:
    """Whether a document counts."""
    return WITHDRAWN.isdisjoint(str(raw.get(name)) for name in ("status", "docStatus"))


def is_analysed_alike(raw: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two versions of a document have one analysis."""
    return stands(raw) and stands(other) and all(raw.get(name) == other.get(name) for name in ANALYSED)


def parse_document(raw: Json, file: EcgFile) -> EcgDocument:
    """Check what an ECG needs beyond what every document does. raw: a valid DocumentReference. Raises MissingElement,
    InvalidContent."""
    refuse(list(_subject_rules(raw)))
    return EcgDocument(raw=raw, file=file, patient=contained_patient(raw))


def _subject_rules(raw: Json) -> Iterator[Problem]:
    yield from subject_problems(raw)
    if target_type(raw.get("subject", {}), raw) not in (None, "Patient"):
        yield Problem("DocumentReference.subject", "the subject of an ECG is a Patient")


def ecg_attachment(raw: object) -> Attachment | None:
    """The first attachment that says that it is an ECG file, or may be one. raw: a resource that nobody has checked
    yet; what is wrong with it is found later."""
    if not isinstance(raw, dict) or not stands(raw) or not isinstance(raw.get("content"), list):
        return None
    for place, content in enumerate(raw["content"]):
        attachment = content.get("attachment") if isinstance(content, dict) else None
        if isinstance(attachment, dict):
            data, url, kind = (_text(attachment, name) for name in ("data", "url", "contentType"))
            if (data or url) and (kind is None or _may_be_ecg(kind)):
                element = f"DocumentReference.content[{place}].attachment"
                return Attachment(element=element, content_type=kind, data=data, url=url)
    return None


def _text(attachment: Mapping[str, Any], name: str) -> str | None:
    value = attachment.get(name)
    return value if isinstance(value, str) else None


def _may_be_ecg(content_type: str) -> bool:
    kind, _ = media_type(content_type)
    return kind in MEDIA_TYPES or kind.endswith("+xml")


def read_file(attachment: Attachment, content: bytes, content_type: str | None, zone: tzinfo) -> EcgFile | None:
    """Decode. None for XML of some other vocabulary that says so, such as SVG.

    Raises InvalidContent and its children and UninterpretableSignal with the attachment as their element; a file that
    cannot be read is invalid content here, because the resource around it could.
    """
    try:
        ecg = decode_file(content, content_type, zone=zone)
    except UnsupportedMediaType as error:
        if media_type(content_type or "")[0].endswith("+xml"):
            return None
        raise InvalidContent(error.message, element=attachment.element) from error
    except SenderError as error:
        raise _within(error, attachment.element) from error
    return EcgFile(element=attachment.element, ecg=ecg, digest=signal_digest(ecg.recording))


def _within(error: SenderError, element: str) -> EcgError:
    """The error of a file as one of the attachment that holds it."""
    kind = type(error) if isinstance(error, InvalidContent) else InvalidContent
    return kind(error.message, element=element)


def decoded(data: str, element: str) -> bytes:
    """base64Binary -> bytes. Raises InvalidContent."""
    try:
        return base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidContent("not base64", element=f"{element}.data") from error


def _whom(ecg: FileEcg) -> Iterator[str]:
    if ecg.stated.patient:
        named = ", ".join(_named(identifier) for identifier in ecg.stated.patient)
        issuer = f", issued by {ecg.stated.patient_issuer}" if ecg.stated.patient_issuer else ""
        yield f"The file says that its patient is {named}{issuer}."


def _named(identifier: Identifier) -> str:
    return f"{identifier.value} ({identifier.system})" if identifier.system else identifier.value


def _contradictions(age: float | None, sex: Sex, file: Recording) -> Iterator[str]:
    """What makes one ask whether the file is of this patient."""
    if age is not None and file.age is not None and abs(age - file.age) > SAME_AGE:
        yield f"The file states an age of {file.age:g} years, which is not that of the Patient."
    if Sex.UNKNOWN not in (sex, file.sex) and sex is not file.sex:
        yield f"The file states the sex {file.sex.value}, which is not that of the Patient."

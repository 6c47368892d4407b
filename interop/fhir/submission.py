"""A change as far as it can be understood without the store: read, checked, and the signal of an ECG decoded."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from inference.digest import signal_digest
from inference.errors import Malformed
from inference.recording import Recording
from interop.fhir.change import Change, Method
from interop.fhir.derived import TYPE as DOCUMENT
from interop.fhir.ecg_documents import DocumentChange, EcgDocument, parse_document
from interop.resources.codes import Json
from interop.resources.observation import ReceivedObservation, parse, to_recording
from interop.resources.patients import demographics
from interop.resources.received import ReceivedResource, parse_resource

# What the analysis of an ECG rests on, and what its results repeat. Another version that differs elsewhere only is not
# analysed again.
ANALYSED = (
    "subject", "contained", "code", "component", "effectiveDateTime", "effectivePeriod", "effectiveInstant",
    "encounter", "basedOn",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Ecg:
    """An Observation that is an ECG. recording: None for one that was withdrawn, which is kept but never analysed.
    digest: of the signal."""

    received: ReceivedObservation
    recording: Recording | None
    digest: str | None

    def of_person(self, patient: Mapping[str, object] | None) -> "Ecg":
        """The same with age and sex of a Patient resource, where the ECG brings none of its own."""
        if patient is None or self.recording is None or self.received.patient is not None:
            return self
        person = demographics(patient, self.received.effective)
        notes = (*self.recording.notes, *person.notes)
        return replace(self, recording=replace(self.recording, age=person.age, sex=person.sex, notes=notes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A change with what it brings. received: None for a delete. document: a DocumentReference with an ECG file."""

    change: Change
    received: ReceivedResource | None = None
    ecg: Ecg | None = None
    document: EcgDocument | None = None

    @property
    def patient_key(self) -> str | None:
        """What keeps the ECGs of a patient in order."""
        if self.document is not None:
            return self.document.patient_key
        return self.ecg.received.patient_key if self.ecg else None


def read(change: Change) -> Submission:
    """Parse and decode. Raises Malformed, InvalidContent and its children."""
    if change.method is Method.DELETE:
        return Submission(change=change)
    assert change.content is not None
    submission = _READERS.get(change.type, _any)(change, change.content)
    received = submission.received
    # What a condition names may come without an id.
    allowed = (change.id, None) if change.condition else (change.id,)
    if change.method is Method.PUT and change.id and received is not None and received.id not in allowed:
        raise Malformed(f"the id of the resource must be {change.id}, as in the URL", element=f"{change.type}.id")
    return submission


def _any(change: Change, content: bytes) -> Submission:
    return Submission(change=change, received=parse_resource(content, change.type))


def _observation(change: Change, content: bytes) -> Submission:
    found = parse(content)
    received = ReceivedResource(content=content, raw=found.raw)
    return Submission(change=change, received=received, ecg=ecg_of(found) if found.is_waveform else None)


def _document(change: Change, content: bytes) -> Submission:
    received = parse_resource(content, DOCUMENT)
    file = change.file if isinstance(change, DocumentChange) else None
    return Submission(
        change=change, received=received, document=None if file is None else parse_document(received.raw, file)
    )


_READERS: Mapping[str, Callable[[Change, bytes], Submission]] = {"Observation": _observation, DOCUMENT: _document}


def ecg_of(received: ReceivedObservation) -> Ecg:
    """Decode an ECG. Raises what `interop.resources.observation.to_recording` raises."""
    if received.withdrawn:
        return Ecg(received=received, recording=None, digest=None)
    recording = to_recording(received)
    return Ecg(received=received, recording=recording, digest=signal_digest(recording))


def is_analysed_alike(raw: Json, other: Json) -> bool:
    """Whether two versions of an ECG have one analysis."""
    return all(raw.get(name) == other.get(name) for name in ANALYSED)

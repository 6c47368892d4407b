"""The ECG that a past analysis was made from, as far as the store still knows it.

An ECG that came as FHIR is stored as it came, and gives the same bits again. One that was rendered is stored as whole
multiples of a step of 10 nV to 1 uV, as 12 leads: where the sender's samples lie between, or where leads were
calculated from others in float32, last bits are lost. Both can be had back: calculated leads by calculating them
again, the others from the item as it was received, as long as that is kept. The audit entry of the analysis holds the
digest of the signal that was analysed, so it is known which one is the same, and whether any is.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from actions.analysis import Analysis, Door
from actions.serialize import from_json
from audit.records import AnalysisRow, AuditEvent, Document, Documents, EntrySearch, Reader
from inference.digest import signal_digest
from inference.errors import InternalError, NotFound, SenderError
from inference.recording import INDEPENDENT_LEADS, LEADS, Recording, assemble
from interop.hl7 import message, oru
from interop.hl7.senders import Senders
from interop.predict import schema
from interop.report_view import SOMEBODY, TYPE, resource
from interop.resources.observation import parse, to_recording
from interop.resources.patients import demographics

PAGE = 20  # versions of an ECG that are read together
INSTANT = timedelta(milliseconds=1)  # what a stored time is rounded to

# What an incomplete or impossible birth date adds to the warnings. The Patient may have come from elsewhere, and then
# the ECG does not tell.
PERSON_NOTES = frozenset(
    note
    for born in ("1950", "1950-01", "1700-01-01")
    for note in demographics({"birthDate": born}, datetime(2000, 1, 1, tzinfo=UTC)).notes
)

ANALYSED = (AuditEvent.ECG_ANALYSED.value, AuditEvent.ECG_UNINTERPRETABLE.value)


class Signal(StrEnum):
    """Where the samples come from."""

    STORED = "stored Observation"
    CALCULATED = "stored Observation, calculated leads calculated again"
    RECEIVED = "item as it was received"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """past: the Analysis. entry: the payload of its audit entry, None where it is gone. ecg: the version that was
    analysed, `Observation/id/_history/n`. recording: with the time, and what the source stated, as they came. same:
    whether the samples are those that were analysed, None where nobody knows. notes: of the door. features: what the
    model saw then, if it was kept."""

    past: Analysis
    entry: Mapping[str, Any] | None
    ecg: str
    recording: Recording
    signal: Signal
    same: bool | None
    notes: tuple[str, ...]
    features: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True, eq=False)
class _Version:
    """One version of the ECG, read. signals: the recordings that it may have been, the likeliest last."""

    document: Document
    signals: Mapping[Signal, Recording]


def find_source(reader: Reader, id: str, senders: Senders) -> Source:
    """The source of an analysis. Raises NotFound for an unknown one, and where no version of the ECG can be read."""
    row = reader.analyses.get(id)
    past, entry = _analysis(row), _entry(reader, id)
    digest = str(entry["signal_sha256"]) if entry and "signal_sha256" in entry else None
    received = _received(reader, row, senders)
    version, signal = _analysed(reader.documents, _ecg_of(reader.documents, id), past, digest, received)
    recording = version.signals[signal]
    return Source(
        past=past,
        entry=entry,
        ecg=f"Observation/{version.document.id}/_history/{version.document.version}",
        recording=_dated(recording, received, past),
        signal=signal,
        same=None if digest is None else signal_digest(recording) == digest,
        notes=_notes(past, version),
        features=None if row.features is None else np.frombuffer(row.features, "<f4").astype(np.float32),
    )


def _analysis(row: AnalysisRow) -> Analysis:
    try:
        return from_json(row.detail)
    except ValueError as error:
        raise InternalError(f"the stored analysis {row.id} cannot be read: {error}") from error


def _entry(reader: Reader, id: str) -> Mapping[str, Any] | None:
    found = reader.entries.search(EntrySearch(subjects=(f"{TYPE}/{id}",), events=ANALYSED, count=1)).entries
    payload = found[0].payload if found else None
    return None if payload is None else orjson.loads(payload)


def _ecg_of(documents: Documents, id: str) -> str:
    """The id of the ECG, of the first version of the report: later ones may be deletions."""
    reference: str = resource(documents.read(TYPE, id, 1))["result"][0]["reference"]
    return reference.partition("/")[2]


def _received(reader: Reader, row: AnalysisRow, senders: Senders) -> Recording | None:
    """The recording in the item as it came, where its door renders; None also where its content is gone."""
    item = reader.inbox.get(row.inbox_id).received
    doors: Mapping[str, Callable[[], Recording]] = {
        Door.PREDICT: lambda: schema.read(item.content, item.received_at),
        Door.MLLP: lambda: _of_message(item.content, senders),
    }
    try:
        return doors[row.door]() if row.door in doors and item.content else None
    except SenderError:  # it was read then; what the operator says of the sender may have changed
        return None


def _of_message(content: bytes, senders: Senders) -> Recording:
    parsed = message.parse(content)
    return oru.decode(parsed, senders.of(parsed.header.sender)).recording


def _analysed(
    documents: Documents, ecg: str, past: Analysis, digest: str | None, received: Recording | None
) -> tuple[_Version, Signal]:
    """The version that was analysed: with that signal; of several, or where no digest is known, the one that was stored
    nearest to the time of the analysis (they are rendered while the model runs)."""
    nearest: _Version | None = None
    for document in sorted(_versions(documents, ecg), key=lambda one: abs(one.last_updated - past.analyzed_at)):
        version = _read(document, past, received)
        if version is None:
            continue
        nearest = nearest or version
        for signal, recording in version.signals.items():
            if signal_digest(recording) == digest:
                return version, signal
    if nearest is None:
        raise NotFound("no version of the ECG of this analysis is here, or none can be read")
    return nearest, Signal.STORED if digest else list(nearest.signals)[-1]


def _versions(documents: Documents, ecg: str) -> Iterator[Document]:
    after = None
    while True:
        page = documents.history("Observation", ecg, since=None, count=PAGE, after=after)
        yield from (document for document in page.documents if not document.deleted)
        after = page.next
        if after is None:
            return


def _read(document: Document, past: Analysis, received: Recording | None) -> _Version | None:
    """None for a version that is no ECG."""
    raw = resource(document)
    named = {"reference", "identifier"} & raw.get("subject", {}).keys()
    try:
        stored = to_recording(parse(orjson.dumps(raw if named else raw | {"subject": SOMEBODY})))
    except SenderError:
        return None
    signals = {Signal.STORED: stored}
    calculated = _calculated(stored, past)
    if calculated is not None:
        signals[Signal.CALCULATED] = calculated
    if received is not None:
        signals[Signal.RECEIVED] = received
    return _Version(document, signals)


def _calculated(stored: Recording, past: Analysis) -> Recording | None:
    """With the leads calculated again that were calculated then, as a warning tells."""
    told = set(past.warnings)
    named = {lead: stored.signal[place] for place, lead in enumerate(LEADS)}
    for left_out in _LIMB_SETS:
        signal, notes = assemble({lead: values for lead, values in named.items() if lead not in left_out})
        if told.issuperset(notes):
            return replace(stored, signal=signal)
    return None


_LIMB = [lead for lead in LEADS if lead not in INDEPENDENT_LEADS]
_LIMB_SETS = [{lead for place, lead in enumerate(_LIMB) if bits >> place & 1} for bits in range(1, 1 << len(_LIMB))]


def _dated(recording: Recording, received: Recording | None, past: Analysis) -> Recording:
    """With the time, and what the source stated, as they came: a rendered ECG has its time to the millisecond."""
    base = received or recording
    at, known = base.recorded_at, past.recorded_at
    if at is not None and known is not None and abs(at - known) < INSTANT:
        at = known
    return replace(recording, recorded_at=at, paced=base.paced, resting=base.resting)


def _notes(past: Analysis, version: _Version) -> tuple[str, ...]:
    """What the door remarked, as far as it can be told from the ECG or is about a person."""
    texts = [note["text"] for note in resource(version.document).get("note", ()) if "text" in note]
    needed = version.signals[Signal.STORED].notes
    if past.door in (Door.MLLP, Door.PREDICT):
        needed = (*needed, *texts)
    known = {*needed, *texts, *PERSON_NOTES}
    return (*(w for w in past.warnings if w in known), *(note for note in needed if note not in past.warnings))

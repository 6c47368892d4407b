"""Everything that one received ECG leaves behind, in one transaction.

`record` is called inside a `UnitOfWork`: the received item, the ECG and all results with their index rows, the
Analysis, exactly one audit entry and the outbound messages are stored together or not at all. What takes time (JSON of
a dozen documents) can be done before, by `prepare`, outside the database writer's thread.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from actions.analysis import Analysis, Mode
from actions.ports import Ids
from actions.serialize import to_json
from audit.criteria import Criterion, Search
from audit.packed import pack_and_hash
from audit.records import (
    AcknowledgementState,
    AnalysisRow,
    AuditEntry,
    AuditEvent,
    Document,
    FeatureRow,
    ProcessingState,
    QueueRow,
    Received,
    UnitOfWork,
)
from inference.digest import signal_digest
from inference.errors import Duplicate, InternalError
from inference.recording import Recording
from interop.feature_row import to_bytes, to_row
from interop.resources.documents import Indexed, indexed
from interop.resources.ecg_document import render_ecg
from interop.resources.identifiers import Identifier
from interop.resources.observation import ReceivedObservation
from interop.resources.origin import Origin
from interop.resources.received import as_version
from interop.resources.report import Rendered, render

__all__ = [
    "Origin",
    "Prepared",
    "PreparedEcg",
    "Recorded",
    "analysed_entry",
    "ecg_document",
    "prepare",
    "record",
    "record_again",
    "record_unanalysed",
]

IDENTIFIER_SCOPE = "Observation.identifier"
DEVICE_SCOPE = "Device"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedEcg:
    """The ECG itself, ready to be stored. digest: of the signal."""

    observation: Indexed
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The documents of one analysis, ready to be stored. detail: the Analysis as JSON. features: what was calculated
    for it, where that is new."""

    ecg: PreparedEcg
    rendered: Rendered
    detail: bytes
    features: FeatureRow | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What is stored now. created is False when the same ECG was there already: then the documents are those of the
    first time, and nothing of `analysis` was stored."""

    analysis: Analysis
    inbox_id: int
    observation: Document
    report: Document
    service_requests: tuple[Document, ...]
    provenance: Document
    created: bool


def ecg_document(recording: Recording, *, origin: Origin, id: str, at: datetime, version: int = 1) -> Indexed:
    """The ECG itself: as it came, or rendered where it came otherwise. It is the sender's, so never tagged silent. It
    needs no analysis. Pure."""
    if origin.observation is not None:
        received = origin.observation
        return as_version(received.content, received.raw, id=id, version=version, at=at)
    subject, identifiers = origin.subject_reference(), origin.observation_identifiers
    resource, body = render_ecg(recording, id=id, subject=subject, identifiers=identifiers, issued=at)
    return indexed(resource, at, body)


def prepare(
    analysis: Analysis, *, recording: Recording, origin: Origin, ids: Ids, ecg: PreparedEcg | None = None
) -> Prepared:
    """Render everything. Pure. ecg: the outcome of `ecg_document` for the same arguments, where it is there already."""
    if ecg is None:
        observation = ecg_document(recording, origin=origin, id=str(ids()), at=analysis.analyzed_at)
        ecg = PreparedEcg(observation=observation, digest=signal_digest(recording))
    observation_id = ecg.observation.document.id
    return Prepared(
        ecg=ecg,
        rendered=render(analysis, recording=recording, origin=origin, observation_id=observation_id, ids=ids),
        detail=to_json(analysis),
        features=to_row(analysis.computed) if analysis.computed and analysis.computed.is_new else None,
    )


def record(
    uow: UnitOfWork,
    *,
    analysis: Analysis,
    recording: Recording,
    received: Received,
    origin: Origin,
    ids: Ids,
    answer: bytes | None = None,
    outbox: Sequence[QueueRow] = (),
    acknowledgement: AcknowledgementState = AcknowledgementState.NOT_OWED,
    prepared: Prepared | None = None,
) -> Recorded:
    """Store one analysed ECG. prepared: the outcome of `prepare` for the same arguments. answer: what the sender gets.

    The same identifier with the same signal gives back what is there already; without an identifier nothing is ever
    merged. Raises Duplicate when an identifier is held by another signal, or only some of them are held.
    """
    prepared = prepared or prepare(analysis, recording=recording, origin=origin, ids=ids)
    owner = _claim(uow, _identifiers(origin), prepared.ecg.observation.document, prepared.ecg.digest)
    if owner is not None:
        return _existing(uow, owner, analysis, received, acknowledgement, answer)
    recorded = _new(uow, prepared, analysis, received, acknowledgement, answer)
    for row in outbox:
        uow.outbox.add(row)
    return recorded


def record_again(
    uow: UnitOfWork,
    *,
    analysis: Analysis,
    received: Received,
    origin: Origin,
    prepared: Prepared,
    before: Sequence[Identifier],
) -> Recorded:
    """Store the next version of an ECG and its analysis. prepared: with that version. before: the identifiers of the
    version that it replaces. Raises Duplicate when an identifier is held by another ECG, VersionConflict."""
    ecg = prepared.ecg.observation.document
    held_before = [identifier.key for identifier in before]
    keys = [identifier.key for identifier in _identifiers(origin)]
    uow.documents.reclaim(IDENTIFIER_SCOPE, f"{ecg.type}/{ecg.id}", prepared.ecg.digest, keys, held_before)
    return _new(uow, prepared, analysis, received, AcknowledgementState.NOT_OWED, None)


def record_unanalysed(
    uow: UnitOfWork, *, received: Received, observation: ReceivedObservation, id: str, at: datetime
) -> tuple[Document, bool]:
    """Store an ECG that is not analysed, because it is withdrawn. The second value is False when the same one
    (identifier and content) was there already. Raises Duplicate like `record`."""
    kept = as_version(observation.content, observation.raw, id=id, version=1, at=at)
    digest = hashlib.sha256(observation.content).hexdigest()
    owner = _claim(uow, observation.identifiers, kept.document, digest)
    uow.inbox.add(received, ProcessingState.NOTHING_TO_ANALYSE, AcknowledgementState.NOT_OWED)
    if owner is not None:
        return _read(uow, owner), False
    uow.documents.create(kept.document, kept.index)
    payload = {"status": observation.status, "content_sha256": digest}
    uow.trail.append(_entry(AuditEvent.OBSERVATION_STORED, at, f"Observation/{kept.document.id}", received, payload))
    return kept.document, True


def _identifiers(origin: Origin) -> tuple[Identifier, ...]:
    received = origin.observation.identifiers if origin.observation else ()
    return tuple(dict.fromkeys((*received, *origin.observation_identifiers)))


def _claim(uow: UnitOfWork, identifiers: Sequence[Identifier], document: Document, digest: str) -> str | None:
    """None: all identifiers are ours now. Else the `Observation/id` that holds all of them with the same content.

    They are claimed in one order everywhere, so that two processes with the same ones wait for each other only once.
    """
    ours = f"{document.type}/{document.id}"
    owners = set()
    for identifier in sorted(identifiers, key=lambda identifier: identifier.key):
        held = uow.documents.claim(IDENTIFIER_SCOPE, identifier.key, ours, digest)
        owner, held_digest = held or (ours, digest)
        if held_digest != digest:
            raise Duplicate("the identifier belongs to an ECG with another signal", element="Observation.identifier")
        owners.add(owner)
    if len(owners) > 1:
        raise Duplicate("the identifiers belong to different ECGs", element="Observation.identifier")
    return next(iter(owners - {ours}), None)


def _new(
    uow: UnitOfWork,
    prepared: Prepared,
    analysis: Analysis,
    received: Received,
    acknowledgement: AcknowledgementState,
    answer: bytes | None,
) -> Recorded:
    rendered = prepared.rendered
    inbox_id = uow.inbox.add(
        received, ProcessingState.ANALYSED, acknowledgement, analysis_id=str(analysis.id), answer=answer
    )
    _create(uow, prepared, silent=analysis.mode is Mode.SILENT)
    uow.analyses.add(_row(analysis, inbox_id, received, prepared.detail))
    if prepared.features is not None:
        uow.features.add(prepared.features, analysis.analyzed_at)
    uow.trail.append(analysed_entry(analysis, prepared, received))
    return Recorded(
        analysis=analysis,
        inbox_id=inbox_id,
        observation=prepared.ecg.observation.document,
        report=rendered.report.document,
        service_requests=tuple(item.document for item in rendered.service_requests),
        provenance=rendered.provenance.document,
        created=True,
    )


def _create(uow: UnitOfWork, prepared: Prepared, *, silent: bool) -> None:
    """All documents, in as few statements as silence allows; a Device only the first time that it appears."""
    rendered = prepared.rendered
    by_id = sorted(rendered.devices, key=lambda device: str(device["id"]))  # as in _claim
    devices = [rendered.as_document(device) for device in by_id if _is_new(uow, device["id"])]
    ecg = prepared.ecg.observation
    shown = [(item.document, item.index) for item in (ecg, *devices)]
    if ecg.document.version > 1:
        uow.documents.replace(ecg.document, ecg.index)
        shown.pop(0)
    results = [(item.document, item.index) for item in rendered.owned]
    if silent:
        uow.documents.create_all(results, silent=True)
        results = []
    uow.documents.create_all([*shown, *results])


def _is_new(uow: UnitOfWork, device_id: str) -> bool:
    return uow.documents.claim(DEVICE_SCOPE, device_id, f"Device/{device_id}", "") is None


def _existing(
    uow: UnitOfWork,
    owner: str,
    analysis: Analysis,
    received: Received,
    acknowledgement: AcknowledgementState,
    answer: bytes | None,
) -> Recorded:
    """What the first analysis of the same ECG left. The item itself is kept: it did come."""
    observation = _read(uow, owner)
    report = _found(uow, "DiagnosticReport", "result", owner)
    provenance = _found(uow, "Provenance", "target", f"DiagnosticReport/{report.id}")
    targets = [target["reference"] for target in orjson.loads(provenance.content)["target"]]
    inbox_id = uow.inbox.add(received, ProcessingState.ANALYSED, acknowledgement, analysis_id=report.id, answer=answer)
    return Recorded(
        analysis=analysis,
        inbox_id=inbox_id,
        observation=observation,
        report=report,
        service_requests=tuple(_read(uow, target) for target in targets if target.startswith("ServiceRequest/")),
        provenance=provenance,
        created=False,
    )


def _read(uow: UnitOfWork, reference: str) -> Document:
    resource_type, _, identity = reference.partition("/")
    return uow.documents.read(resource_type, identity)


def _found(uow: UnitOfWork, type: str, parameter: str, reference: str) -> Document:
    criterion = Criterion(name=parameter, alternatives=((None, reference),))
    page = uow.documents.search(Search(type=type, criteria=(criterion,), count=1, include_silent=True))
    if not page.documents:
        raise InternalError(f"{reference} has no {type}")
    return page.documents[0]


def _row(analysis: Analysis, inbox_id: int, received: Received, detail: bytes) -> AnalysisRow:
    prediction = analysis.prediction
    return AnalysisRow(
        id=str(analysis.id),
        inbox_id=inbox_id,
        door=analysis.door.value,
        sender=received.sender,
        analyzed_at=analysis.analyzed_at,
        recorded_at=analysis.recorded_at,
        age=analysis.age,
        sex=analysis.sex.value,
        urgency=analysis.urgency.value,
        interpretable=analysis.interpretable,
        mode=analysis.mode.value,
        model_name=prediction.model.name if prediction else None,
        model_version=prediction.model.version if prediction else None,
        probabilities={k.value: v for k, v in prediction.probabilities.items()} if prediction else None,
        detail=detail,
        features=None if analysis.features is None else to_bytes(analysis.features),
    )


def analysed_entry(analysis: Analysis, prepared: Prepared, received: Received, *, stored: bool = True) -> AuditEntry:
    """The one entry of an Analysis: what was done by what to what, and nothing of the patient. stored: False where its
    results were given back and are kept nowhere."""
    event = AuditEvent.ECG_ANALYSED if analysis.interpretable else AuditEvent.ECG_UNINTERPRETABLE
    model, policy = analysis.prediction.model if analysis.prediction else None, analysis.policy
    payload = {
        "analysis": str(analysis.id),
        "observation": f"Observation/{prepared.ecg.observation.document.id}",
        "door": analysis.door.value,
        "mode": analysis.mode.value,
        "urgency": analysis.urgency.value,
        "model": {"name": model.name, "version": model.version, "sha256": model.sha256} if model else None,
        "policy": {"name": policy.name, "version": policy.version, "sha256": policy.sha256},
        "signal_sha256": prepared.ecg.digest,
        "content_sha256": (received.packed or pack_and_hash(received.content)).sha256,
    }
    told = payload if stored else payload | {"stored": False}
    return _entry(event, analysis.analyzed_at, f"DiagnosticReport/{analysis.id}", received, told)


def _entry(event: AuditEvent, at: datetime, subject: str, received: Received, payload: object) -> AuditEntry:
    return AuditEntry(
        event=event,
        recorded_at=at,
        subject=subject,
        correlation_id=received.correlation_id,
        payload=orjson.dumps(payload),
    )

"""A change in its transaction: FHIR R4 http.html sections 3.1.0.4 (update), 3.1.0.7 (delete) and 3.1.0.8 (create).

What this service made is changed by its own rules: a DiagnosticReport by a clinician's over-read, what belongs to it
together with it, the rest not at all.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from actions.analysis import Mode
from audit.records import AuditEvent, Document, UnitOfWork
from inference.errors import EcgError, InvalidContent, MethodNotSupported, VersionConflict
from interop.fhir import storing_documents
from interop.fhir.change import Change, Changed, Effect, Method, located
from interop.fhir.conditional import matching_alone
from interop.fhir.derived import TYPE as DOCUMENT
from interop.fhir.parameters import INTERACTIONS, Interaction
from interop.fhir.preparing import Moved, Ready, report_of, unchanged
from interop.overreading import Occasion, record_overread, withdraw
from interop.record import IDENTIFIER_SCOPE, Recorded, record_unanalysed
from interop.resources.documents import Indexed
from interop.resources.identifiers import identifiers_of
from interop.resources.overread import check_unchanged, statement
from interop.resources.received import ReceivedResource, as_version, deleted, is_made_here, says_the_same


def store(uow: UnitOfWork, ready: Ready, occasion: Occasion) -> Changed:
    """Make one change. Raises Moved, and every error that a change may meet, with the place of its entry."""
    try:
        return _METHODS[ready.change.method](uow, ready, occasion)
    except EcgError as error:
        raise located(error, ready.change) from error


def _create(uow: UnitOfWork, ready: Ready, occasion: Occasion) -> Changed:
    change = ready.change
    if change.condition is not None:
        found = matching_alone(uow.documents, change.condition)
        if (found.id if found else None) != ready.matched:
            raise Moved  # what else comes with it refers to the resource by another id
        if found is not None:
            storing_documents.check_same(uow, ready)
            return unchanged(uow.documents, found)
    if ready.known is not None:
        return ready.known
    return _create_as(uow, ready, occasion)


def _create_as(uow: UnitOfWork, ready: Ready, occasion: Occasion) -> Changed:
    """Version 1, under the id that was given to it."""
    submission, received = ready.submission, _resource(ready)
    ecg = submission.ecg
    if submission.document is None and ready.analysed is not None:
        recorded = ready.analysed.record(uow)
        if not recorded.created and ready.change.place:
            raise Moved
        return _recorded(recorded, Effect.CREATED if recorded.created else Effect.UNCHANGED)
    if ecg is not None and ready.received is not None:
        kept, new = record_unanalysed(
            uow, received=ready.received, observation=ecg.received, id=ready.id, at=occasion.at
        )
        return Changed(document=kept, effect=Effect.CREATED if new else Effect.UNCHANGED)
    stored = as_version(received.content, received.raw, id=ready.id, version=1, at=occasion.at)
    if submission.document is not None:
        return storing_documents.create(uow, ready, stored, occasion)
    uow.documents.create(stored.document, stored.index)
    occasion.note(uow, AuditEvent.RESOURCE_CREATED, stored.document)
    return Changed(document=stored.document, effect=Effect.CREATED)


def _update(uow: UnitOfWork, ready: Ready, occasion: Occasion) -> Changed:
    change, received = ready.change, _resource(ready)
    if change.condition is not None:
        found = matching_alone(uow.documents, change.condition)
        if (found.id if found else None) != ready.matched:
            raise Moved
    current = uow.documents.newest(change.type, ready.id)
    _check_version(current, change)
    if change.based_on is not None and (current is None or current.version != change.based_on):
        raise Moved
    if (current is None or current.deleted) and Interaction.CREATE not in INTERACTIONS[change.type]:
        raise MethodNotSupported(f"a {change.type} is made by this service, not by clients")
    if current is None:
        return _create_as(uow, ready, occasion)
    before = {} if current.deleted else orjson.loads(current.content)
    if not current.deleted and says_the_same(before, received.raw):
        return unchanged(uow.documents, current)
    following = as_version(received.content, received.raw, id=ready.id, version=current.version + 1, at=occasion.at)
    if change.type == "DiagnosticReport":
        return _overread(uow, ready, current, before, following, occasion)
    _check_not_ours(change.type, before)
    if change.type == DOCUMENT:
        return storing_documents.update(uow, ready, current, following, occasion)
    if ready.submission.ecg is not None:
        return _update_ecg(uow, ready, current, before, following, occasion)
    uow.documents.replace(following.document, following.index)
    occasion.note(uow, AuditEvent.RESOURCE_UPDATED, following.document)
    return Changed(document=following.document, effect=Effect.CREATED if current.deleted else Effect.UPDATED)


def _update_ecg(
    uow: UnitOfWork,
    ready: Ready,
    current: Document,
    before: Mapping[str, Any],
    following: Indexed,
    occasion: Occasion,
) -> Changed:
    """An ECG that is another now is analysed again, and what was made of it before is taken back."""
    if ready.seen != current.version:
        raise Moved
    ecg = ready.submission.ecg
    assert ecg is not None
    held = identifiers_of(before.get("identifier", ()))
    effect = Effect.CREATED if current.deleted else Effect.UPDATED
    if ready.analysed is None:
        if ecg.received.withdrawn:
            withdraw(uow, current.id, occasion)
        keys = [identifier.key for identifier in ecg.received.identifiers]
        digest = ecg.digest or hashlib.sha256(ecg.received.content).hexdigest()
        uow.documents.reclaim(
            IDENTIFIER_SCOPE, f"Observation/{current.id}", digest, keys, [identifier.key for identifier in held]
        )
        uow.documents.replace(following.document, following.index)
        occasion.note(uow, AuditEvent.RESOURCE_UPDATED, following.document)
        return Changed(document=following.document, effect=effect, report=report_of(uow.documents, following.document))
    withdraw(uow, current.id, occasion)
    return _recorded(ready.analysed.record_again(uow, before=held), effect)


def _overread(
    uow: UnitOfWork,
    ready: Ready,
    current: Document,
    before: Mapping[str, Any],
    following: Indexed,
    occasion: Occasion,
) -> Changed:
    raw = _resource(ready).raw
    check_unchanged(before, raw)
    seen = ready.change.if_match
    if seen is None and ready.change.based_on is None:  # a patch does not say what its author has read
        seen = _version_of(raw)
    stated = statement(raw, seen=seen, at=occasion.at)
    record_overread(uow, current, stated, following, occasion)
    return Changed(document=following.document, effect=Effect.UPDATED)


def _delete(uow: UnitOfWork, ready: Ready, occasion: Occasion) -> Changed:
    """What is deleted stays in its history, and in the audit trail. Deleting what is not there succeeds."""
    change = ready.change
    if change.condition is not None:
        current = matching_alone(uow.documents, change.condition)
    else:
        current = uow.documents.newest(change.type, ready.id)
    _check_version(current, change)
    if current is None or current.deleted:
        return Changed(document=None, effect=Effect.DELETED)
    before = orjson.loads(current.content)
    _check_not_ours(change.type, before)
    gone = deleted(current, occasion.at)
    if change.type == "Observation":
        withdraw(uow, current.id, occasion)
        held = [identifier.key for identifier in identifiers_of(before.get("identifier", ()))]
        uow.documents.reclaim(IDENTIFIER_SCOPE, f"Observation/{current.id}", "", (), held)
    if change.type == DOCUMENT:
        storing_documents.retract(uow, current.id, occasion)
    uow.documents.replace(gone, ())
    occasion.note(uow, AuditEvent.RESOURCE_DELETED, gone)
    return Changed(document=gone, effect=Effect.DELETED)


_METHODS: Mapping[Method, Callable[[UnitOfWork, Ready, Occasion], Changed]] = {
    Method.POST: _create,
    Method.PUT: _update,
    Method.DELETE: _delete,
}


def _recorded(recorded: Recorded, effect: Effect) -> Changed:
    report = None if recorded.analysis.mode is Mode.SILENT else recorded.report
    return Changed(document=recorded.observation, effect=effect, report=report)


def _resource(ready: Ready) -> ReceivedResource:
    received = ready.submission.received
    assert received is not None, "a create or an update brings a resource"
    return received


def _check_version(current: Document | None, change: Change) -> None:
    """If-Match names the version that the client knows (RFC 9110 section 13.1.1)."""
    if change.if_match is None:
        return
    if current is None or current.version != change.if_match:
        now = f"is at version {current.version}" if current else "does not exist"
        raise VersionConflict(f"version {change.if_match} is expected, but the {change.type} {now}")


def _check_not_ours(type: str, before: Mapping[str, Any]) -> None:
    if before and is_made_here(before):
        raise InvalidContent(
            f"this {type} was made by this service and belongs to a DiagnosticReport: over-read that instead",
            element=type,
        )


def _version_of(raw: Mapping[str, Any]) -> int | None:
    text = raw.get("meta", {}).get("versionId", "")
    return int(text) if text.isascii() and text.isdigit() else None

"""A document with an ECG file in its transaction: the document, its ECG and what was made of that, together.

The ECG is one Observation for as long as there is the document: another file is its next version. What is withdrawn
gives the identifiers of the file free, because the usual reason is that it was filed under the wrong patient, and then
the same file comes again under the right one.
"""

from typing import Any

import orjson

from audit.records import AuditEvent, Document, UnitOfWork
from inference.errors import Duplicate
from interop.fhir.change import Changed, Effect, Method
from interop.fhir.derived import document_of, ecg_of, tie
from interop.fhir.ecg_documents import DocumentChange
from interop.fhir.preparing import Moved, Ready, report_of
from interop.overreading import Occasion, withdraw
from interop.passage import Outputs
from interop.record import IDENTIFIER_SCOPE, Recorded
from interop.resources.documents import Indexed
from interop.resources.identifiers import identifiers_of
from interop.resources.observation import WITHDRAWN
from interop.resources.received import restated

OTHER_SIGNAL = "the identifier in the file belongs to an ECG with another signal"


def create(uow: UnitOfWork, ready: Ready, version: Indexed, occasion: Occasion) -> Changed:
    """version: the first of the document. Raises Duplicate, Moved."""
    ecg = _record(uow, ready)
    uow.documents.create(version.document, version.index)
    occasion.note(uow, AuditEvent.RESOURCE_CREATED, version.document)
    return Changed(document=version.document, effect=Effect.CREATED, report=report_of(uow.documents, ecg))


def update(uow: UnitOfWork, ready: Ready, current: Document, version: Indexed, occasion: Occasion) -> Changed:
    """version: the one that follows `current`. Raises Duplicate, Moved."""
    ecg = ecg_of(uow.documents, current.id)
    if ready.seen is not None and (ready.seen != current.version or _state(ecg) != _state(ready.derived)):
        raise Moved
    if ready.submission.document is None:
        retract(uow, current.id, occasion)
    elif ready.analysed is not None and ecg is None:
        ecg = _record(uow, ready)
    elif ready.analysed is not None and ecg is not None:
        withdraw(uow, ecg.id, occasion)
        _record_again(uow, ready, ready.analysed, ecg)
    uow.documents.replace(version.document, version.index)
    occasion.note(uow, AuditEvent.RESOURCE_UPDATED, version.document)
    effect = Effect.CREATED if current.deleted else Effect.UPDATED
    report = None if ecg is None else report_of(uow.documents, ecg)
    return Changed(document=version.document, effect=effect, report=report)


def retract(uow: UnitOfWork, document_id: str, occasion: Occasion) -> None:
    """Take back the ECG of a document and what was made of it, where there is any."""
    ecg = ecg_of(uow.documents, document_id)
    raw = _raw(ecg)
    if ecg is None or raw.get("status", "cancelled") in WITHDRAWN:
        return
    withdraw(uow, ecg.id, occasion)
    uow.documents.reclaim(IDENTIFIER_SCOPE, f"{ecg.type}/{ecg.id}", "", (), _keys(raw))
    following = restated(ecg, occasion.at, status="entered-in-error")
    uow.documents.replace(following.document, following.index)
    occasion.note(uow, AuditEvent.RESOURCE_UPDATED, following.document)


def check_same(uow: UnitOfWork, ready: Ready) -> None:
    """That a document which is here already brings the same ECG again. Raises Duplicate, Moved."""
    change, document = ready.change, ready.submission.document
    if not isinstance(change, DocumentChange) or change.known is None or document is None:
        return
    for identifier in document.file.ecg.stated.identifiers:
        held = uow.documents.claim(IDENTIFIER_SCOPE, identifier.key, "", document.file.digest)
        if held is None:
            raise Moved  # it was given free
        if held[1] != document.file.digest:
            raise Duplicate(OTHER_SIGNAL, element=document.file.element)


def _record(uow: UnitOfWork, ready: Ready) -> Document:
    """Store the ECG of a document that had none. One that came by another way is given as it is, and stays its own: the
    document is stored beside it."""
    element = _element(ready)
    try:
        recorded = _analysed(ready).record(uow)
    except Duplicate as error:
        raise Duplicate(OTHER_SIGNAL, element=element) from error
    if recorded.created:
        tie(uow, ready.id, recorded.observation)
        return recorded.observation
    holder = document_of(uow.documents, recorded.observation)
    if holder is not None and ready.change.method is Method.POST:
        raise Moved  # it came at the same time, and is meant
    if holder is not None:
        raise Duplicate(f"the ECG is that of DocumentReference/{holder.id}", element=element)
    return recorded.observation


def _record_again(uow: UnitOfWork, ready: Ready, analysed: Outputs, ecg: Document) -> Recorded:
    try:
        return analysed.record_again(uow, before=identifiers_of(_raw(ecg).get("identifier", ())))
    except Duplicate as error:
        raise Duplicate(f"{error.message}, by the identifier in the file", element=_element(ready)) from error


def _state(ecg: Document | None) -> tuple[str, int] | None:
    return None if ecg is None else (ecg.id, ecg.version)


def _raw(ecg: Document | None) -> dict[str, Any]:
    raw: dict[str, Any] = {} if ecg is None or ecg.deleted else orjson.loads(ecg.content)
    return raw


def _keys(raw: dict[str, Any]) -> list[str]:
    return [identifier.key for identifier in identifiers_of(raw.get("identifier", ()))]


def _analysed(ready: Ready) -> Outputs:
    assert ready.analysed is not None, "an ECG that stands is analysed"
    return ready.analysed


def _element(ready: Ready) -> str | None:
    document = ready.submission.document
    return None if document is None else document.file.element

"""Which Observation was made of the ECG file in a DocumentReference, and which document an Observation was made of.

`Observation.derivedFrom` shows it to clients. But a client may derive Observations of its own from the same document:
a claim of the store says which one is ours to change with it.
"""

import orjson

from audit.records import Document, Documents, UnitOfWork

SCOPE = "DocumentReference.ecg"
TYPE = "DocumentReference"


def name_of(document_id: str) -> str:
    """The document as a reference."""
    return f"{TYPE}/{document_id}"


def tie(uow: UnitOfWork, document_id: str, ecg: Document) -> None:
    """From now on the ECG belongs to the document; it stays the same one in all their versions."""
    uow.documents.claim(SCOPE, name_of(document_id), f"{ecg.type}/{ecg.id}", "")


def ecg_of(documents: Documents, document_id: str) -> Document | None:
    """The ECG of a document, also one that was deleted; None where there never was one."""
    owner = documents.owner(SCOPE, name_of(document_id))
    return None if owner is None else documents.newest(*_parts(owner))


def document_of(documents: Documents, ecg: Document) -> Document | None:
    """The document that an ECG was made of, as it is now; None for an ECG that came otherwise, or whose document was
    deleted."""
    raw = {} if ecg.deleted else orjson.loads(ecg.content)
    for source in raw.get("derivedFrom", ()):
        name = source.get("reference", "")
        if name.startswith(f"{TYPE}/") and documents.owner(SCOPE, name) == f"{ecg.type}/{ecg.id}":
            found = documents.newest(*_parts(name))
            return None if found is None or found.deleted else found
    return None


def _parts(reference: str) -> tuple[str, str]:
    type_, _, name = reference.partition("/")
    return type_, name

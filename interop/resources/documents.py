"""A resource as a document of the store: bytes with id and meta in place, and its index rows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson

from audit.packed import Packed, pack
from audit.records import Document, IndexRow
from interop.resources.codes import OBSERVATION_VALUE, OWN_TAGS, SILENT, Json
from interop.resources.index import index_rows
from interop.resources.times import instant

# HL7 v3 ObservationValue, used as the AI Transparency guide asks: this was asserted by a machine.
AI_ASSERTED: Json = {"system": OBSERVATION_VALUE, "code": "AIAST", "display": "Artificial Intelligence asserted"}
SILENT_TAG: Json = {"system": OWN_TAGS, "code": SILENT, "display": "Silent mode: not shown to clinicians"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """A document with the rows it is found by."""

    document: Document
    index: tuple[IndexRow, ...]

    def packed(self, content: Packed | None = None) -> "Indexed":
        """The same with its content packed for the store; content: where that was done already."""
        return replace(self, document=replace(self.document, packed=content or pack(self.document.content)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuance:
    """What all resources of one analysis share: when they are made, and how they are labelled."""

    at: datetime
    silent: bool = False

    def document(self, resource: Mapping[str, Any], *, by_machine: bool = True) -> Indexed:
        """Version 1 of a resource. Empty members are left out: FHIR has no null and no empty list."""
        labels = {"security": [AI_ASSERTED]} if by_machine else {}
        tags = {"tag": [SILENT_TAG]} if self.silent else {}
        content = {name: value for name, value in resource.items() if value not in (None, [], (), {}, "")}
        head = {"resourceType": content.pop("resourceType"), "id": content.pop("id")}
        meta = {"versionId": "1", "lastUpdated": instant(self.at), **labels, **tags}
        return indexed(head | {"meta": meta} | content, self.at).packed()


def indexed(resource: Json, at: datetime, content: bytes | None = None) -> Indexed:
    """A resource with its rows. content: its bytes where they exist already."""
    content = content or orjson.dumps(resource)
    document = Document(
        type=resource["resourceType"],
        id=resource["id"],
        version=1,
        content=content,
        last_updated=at,
    )
    return Indexed(document=document, index=index_rows(resource))


def reference(item: Indexed) -> Json:
    """A Reference to a document."""
    return {"reference": f"{item.document.type}/{item.document.id}"}

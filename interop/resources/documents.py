"""A resource as a document of the store: bytes with id and meta in place, and its index rows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

import orjson

from audit.criteria import Row
from audit.packed import Body, Packed, pack
from audit.records import Document
from interop.resources.codes import OBSERVATION_VALUE, OWN_SOURCE, OWN_TAGS, SILENT, Json
from interop.resources.index import index_rows
from interop.resources.times import instant

# HL7 v3 ObservationValue, used as the AI Transparency guide asks: this was asserted by a machine.
AI_ASSERTED: Json = {"system": OBSERVATION_VALUE, "code": "AIAST", "display": "Artificial Intelligence asserted"}
SILENT_TAG: Json = {"system": OWN_TAGS, "code": SILENT, "display": "Silent mode: not shown to clinicians"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """A document with the rows it is found by."""

    document: Document
    index: tuple[Row, ...]

    def packed(self) -> "Indexed":
        """The same, ready to be stored."""
        return replace(self, document=replace(self.document, body=Packed(self.document.body.frame)))


@dataclass(frozen=True, kw_only=True)
class Issuance:
    """What all resources of one analysis share: when they are made, and how they are labelled."""

    at: datetime
    silent: bool = False

    @cached_property
    def issued(self) -> str:
        """`at` as an instant."""
        return instant(self.at)

    def document(self, resource: Mapping[str, Any], *, by_machine: bool = True) -> Indexed:
        """Version 1 of a resource. Empty members are left out: FHIR has no null and no empty list."""
        labels = {"security": [AI_ASSERTED]} if by_machine else {}
        tags = {"tag": [SILENT_TAG]} if self.silent else {}
        meta = {"versionId": "1", "lastUpdated": self.issued, "source": OWN_SOURCE, **labels, **tags}
        head = {"resourceType": resource["resourceType"], "id": resource["id"], "meta": meta}
        # False and 0 are values.
        whole = head | {name: value for name, value in resource.items() if value or value == 0}
        return indexed(whole, self.at, pack(orjson.dumps(whole)))


def indexed(resource: Json, at: datetime, body: Body) -> Indexed:
    """A resource with its rows. body: its bytes."""
    document = Document(
        type=resource["resourceType"],
        id=resource["id"],
        version=1,
        body=body,
        last_updated=at,
    )
    return Indexed(document=document, index=index_rows(resource))


def reference(item: Indexed) -> Json:
    """A Reference to a document."""
    return {"reference": f"{item.document.type}/{item.document.id}"}

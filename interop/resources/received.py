"""Any FHIR resource that comes in: read, checked, and made ready to be stored as it came."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from audit.packed import Plain
from audit.records import Document
from inference.errors import InvalidContent, Malformed
from interop.resources.codes import OWN_SOURCE
from interop.resources.documents import Indexed
from interop.resources.index import index_rows
from interop.resources.stored import stored
from interop.resources.validation import problems, refuse

# What a server writes into meta by itself; the rest of it is the client's.
OURS_OF_META = frozenset({"versionId", "lastUpdated"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedResource:
    """A valid resource. content: the bytes as they came; raw: the same, parsed."""

    content: bytes
    raw: dict[str, Any]

    @property
    def type(self) -> str:
        """Its resource type."""
        return str(self.raw["resourceType"])

    @property
    def id(self) -> str | None:
        """The id that it came with."""
        return self.raw.get("id")


def loaded(content: bytes, *expected: str) -> dict[str, Any]:
    """The JSON of a resource of one of the expected types. Raises Malformed; InvalidContent for another type."""
    try:
        raw = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"not JSON: {error}") from error
    if not isinstance(raw, dict) or not isinstance(raw.get("resourceType"), str):
        raise Malformed("no FHIR resource: a JSON object with a resourceType is needed")
    if expected and raw["resourceType"] not in expected:
        needed = " or ".join(expected)
        raise InvalidContent(f"{needed} is needed here, not {raw['resourceType'][:64]!r}", element="resourceType")
    return raw


def parse_resource(content: bytes, type: str) -> ReceivedResource:
    """Read and check. Raises what `loaded` and `validation.validate` raise."""
    raw = loaded(content, type)
    refuse(problems(raw))
    return ReceivedResource(content=content, raw=raw)


def as_version(content: bytes, raw: Mapping[str, Any], *, id: str, version: int, at: datetime) -> Indexed:
    """The version to be stored: the content as it came, with id and meta in place."""
    document = Document(
        type=raw["resourceType"],
        id=id,
        version=version,
        body=Plain(stored(content, id, version, at)),
        last_updated=at,
    )
    return Indexed(document=document, index=index_rows({**raw, "id": id}))


def deleted(current: Document, at: datetime) -> Document:
    """The version that says that the resource is gone."""
    return Document(
        type=current.type, id=current.id, version=current.version + 1, body=Plain(b""), last_updated=at, deleted=True
    )


def restated(current: Document, at: datetime, **changed: Any) -> Indexed:
    """The next version of a resource that was made here, with some members changed."""
    raw = orjson.loads(current.content) | changed
    raw["meta"] = raw["meta"] | {"versionId": str(current.version + 1)}
    return as_version(orjson.dumps(raw), raw, id=current.id, version=current.version + 1, at=at)


def says_the_same(raw: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two resources differ in nothing but what a server sets."""
    return _without_ours(raw) == _without_ours(other)


def is_made_here(raw: Mapping[str, Any]) -> bool:
    """Whether this service made the resource: then it is changed by its own rules only."""
    return bool(raw.get("meta", {}).get("source") == OWN_SOURCE)


def _without_ours(raw: Mapping[str, Any]) -> dict[str, Any]:
    meta = {name: value for name, value in raw.get("meta", {}).items() if name not in OURS_OF_META}
    rest = {name: value for name, value in raw.items() if name not in ("id", "meta")}
    return rest | ({"meta": meta} if meta else {})

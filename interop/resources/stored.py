"""The received JSON with only id and meta replaced.

Whatever else was sent keeps its very text (FHIR R4 section 2.6.0.2: a decimal's precision is part of its value, 1.50
is not 1.5), so the top-level members are cut out as text and never written anew.
"""

import json
from datetime import datetime
from typing import Any

import orjson

from interop.resources.members import members as cut
from interop.resources.times import instant


def stored(raw_bytes: bytes, id: str, version: int, last_updated: datetime) -> bytes:
    """The document to keep. raw_bytes: a JSON object that was parsed already. meta keeps its profile, tag, security
    and source; versionId and lastUpdated are ours."""
    text = raw_bytes.decode()
    members = cut(text)
    received = json.loads(members.get("meta", "{}"))
    meta = received | {"versionId": str(version), "lastUpdated": instant(last_updated)}
    head: dict[str, Any] = {"resourceType": json.loads(members["resourceType"]), "id": id, "meta": meta}
    rest = [f"{json.dumps(name)}:{value}" for name, value in members.items() if name not in head]
    return b",".join([orjson.dumps(head)[:-1], *(member.encode() for member in rest)]) + b"}"

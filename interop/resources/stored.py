"""The received JSON with only id and meta replaced.

Whatever else was sent keeps its very text (FHIR R4 section 2.6.0.2: a decimal's precision is part of its value, 1.50
is not 1.5), so the top-level members are cut out as text and never written anew.
"""

import json
from datetime import datetime
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

import orjson

from interop.resources.times import instant

_DECODER = json.JSONDecoder()
_SPACE = " \t\r\n"


def stored(raw_bytes: bytes, id: str, version: int, last_updated: datetime) -> bytes:
    """The document to keep. raw_bytes: a JSON object that was parsed already. meta keeps its profile, tag, security
    and source; versionId and lastUpdated are ours."""
    text = raw_bytes.decode()
    members = _members(text)
    received = json.loads(members.get("meta", "{}"))
    meta = received | {"versionId": str(version), "lastUpdated": instant(last_updated)}
    head: dict[str, Any] = {"resourceType": json.loads(members["resourceType"]), "id": id, "meta": meta}
    rest = [f"{json.dumps(name)}:{value}" for name, value in members.items() if name not in head]
    return b",".join([orjson.dumps(head)[:-1], *(member.encode() for member in rest)]) + b"}"


def _members(text: str) -> dict[str, str]:
    """The top-level members of a JSON object, values as they were written; the last of a repeated name counts, as it
    does for the parser."""
    members = {}
    position = _after_space(text, text.index("{") + 1)
    while text[position] != "}":
        name, position = scanstring(text, position + 1, True)
        start = _after_space(text, text.index(":", position) + 1)
        _, end = _DECODER.raw_decode(text, start)
        members[name] = text[start:end]
        position = _after_space(text, end)
        if text[position] == ",":
            position = _after_space(text, position + 1)
    return members


def _after_space(text: str, position: int) -> int:
    while text[position] in _SPACE:
        position += 1
    return position

"""Binary: any content, kept byte for byte (FHIR R4 binary.html).

It comes and goes as it is, in its own media type, unless the client speaks of the resource: by FHIR JSON that is a
Binary, or by asking for FHIR JSON. It is stored as the resource, in base64.
"""

import base64
import re
from typing import Any

import orjson
from fastapi import Response

from inference.errors import Malformed, UnsupportedMediaType
from interop.fhir.negotiation import FHIR_JSON, PLAIN_JSON, TAKEN
from interop.media import media_type, ranges

TYPE = "Binary"
OCTETS = "application/octet-stream"

# RFC 9110 section 8.3.1, in printable ASCII: it becomes a header again.
_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+(;[\x20-\x7e]*)?", re.ASCII)
# What a page of another origin can post without being asked (Fetch standard, CORS-safelisted), and no program stores.
_FORMS = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})
# What a browser may show. Anything else could be a page that runs scripts in our origin, and is only saved.
_SHOWN = frozenset({"application/pdf", "image/gif", "image/jpeg", "image/png", "text/plain", PLAIN_JSON, FHIR_JSON})
_ASKS_FOR_RESOURCE = frozenset({FHIR_JSON, PLAIN_JSON, "text/json", "json"})


def as_resource(content: bytes, header: str | None, id: str | None) -> bytes:
    """A body as the Binary that holds it. header: its Content-Type. id: of the URL, None in a create. FHIR JSON that is
    no Binary is content like any other. Raises UnsupportedMediaType, Malformed."""
    stated = " ".join((header or "").split())
    if not _MEDIA_TYPE.fullmatch(stated) or media_type(stated)[0] in _FORMS:
        raise UnsupportedMediaType(f"Content-Type {header or '(none)'} is not taken; send that of the content")
    if media_type(stated)[0] in TAKEN and _is_binary(content):
        return content
    named = {} if id is None else {"id": id}
    return orjson.dumps({"resourceType": TYPE, **named, **_held(content, stated)})


def content_of(resource: bytes) -> tuple[bytes, str]:
    """What a stored Binary holds, and its media type; one that no header can carry reads as octets."""
    raw = orjson.loads(resource)
    kind = " ".join(raw["contentType"].split())
    return base64.b64decode(raw.get("data", "")), kind if _MEDIA_TYPE.fullmatch(kind) else OCTETS


def wants_resource(accept: str | None, format_parameter: str | None, kind: str) -> bool:
    """Whether FHIR JSON is asked for explicitly, and not only as what the content is. kind: the content's."""
    if format_parameter:
        return media_type(format_parameter)[0] != media_type(kind)[0]
    for wanted, parameters in (media_type(text) for text in ranges(accept)):
        if wanted in _ASKS_FOR_RESOURCE and (wanted != media_type(kind)[0] or "fhirversion" in parameters):
            return True
        if wanted in (media_type(kind)[0], "*/*"):
            return False
    return False


def native(content: bytes, kind: str, headers: dict[str, str], name: str) -> Response:
    """Content as itself. name: what it is called where it is saved."""
    shown = media_type(kind)[0] in _SHOWN
    guarded = {
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": f'{"inline" if shown else "attachment"}; filename="{name}"',
        "Vary": "Accept",
    }
    return Response(content, headers=headers | guarded | {"Content-Type": kind})


def wrapped(content: bytes, kind: str) -> bytes:
    """Content as a Binary that is stored nowhere."""
    return orjson.dumps({"resourceType": TYPE, **_held(content, kind)})


def _held(content: bytes, kind: str) -> dict[str, Any]:
    data = {"data": base64.b64encode(content).decode()} if content else {}
    return {"contentType": kind, **data}


def _is_binary(content: bytes) -> bool:
    try:
        raw = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"not JSON: {error}") from error
    return isinstance(raw, dict) and raw.get("resourceType") == TYPE

"""JSON Patch (RFC 6902) on a stored resource (FHIR R4 http.html#patch).

Only the top-level members that a path leads into are read at all; the others keep their very text, and so does every
number that no operation writes. What comes out has still to be validated and stored as an update is.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from jsonpatch import JsonPatch, JsonPatchException, JsonPatchTestFailed
from jsonpointer import EndOfList, JsonPointer, JsonPointerException

from inference.errors import InvalidContent, Malformed, TooLarge
from interop.resources.members import Verbatim, members, parsed, written

MEDIA_TYPE = "application/json-patch+json"
# A resource that needs more changes than this is better put anew, and each costs time on its own.
MAX_OPERATIONS = 1000
# The member beside op and path that an operation cannot do without (RFC 6902 section 4).
NEEDED: Mapping[str, str] = {"add": "value", "replace": "value", "test": "value", "move": "from", "copy": "from"}
# What the server sets; a patch that fits the stored version has no reason to touch it.
OURS = tuple(map(JsonPointer, ("/resourceType", "/id", "/meta/versionId", "/meta/lastUpdated")))
MAX_SHOWN = 200

Operation = Mapping[str, Any]


def patched(content: bytes, body: bytes, *, limit: int) -> bytes:
    """The resource after a patch. content: as stored. body: the patch. limit: bytes that the result may have.

    Raises Malformed where the body is no patch, InvalidContent naming the operation that cannot be done, TooLarge.
    """
    operations = _operations(body)
    document: Any = _opened(content, operations)
    ours, copied = _ours(document), 0
    try:
        for number, operation in enumerate(operations):
            copied += _copied(document, operation)
            if copied > limit:  # before it is done: a dozen copies of a copy would fill the memory
                raise TooLarge(f"the patch copies more than {limit} bytes", element=f"patch[{number}].path")
            document = _applied(document, number, operation)
            if _ours(document) != ours:
                raise _refused(
                    number, operation, "resourceType, id, meta.versionId and meta.lastUpdated are the server's"
                )
        result = written(document)
    except (RecursionError, orjson.JSONEncodeError) as error:
        raise InvalidContent("the patched resource is nested too deep", element="patch") from error
    if len(result) > limit:
        raise TooLarge(f"the patched resource is over {limit} bytes", element="patch")
    return result


def _operations(body: bytes) -> Sequence[Operation]:
    try:
        orjson.loads(body)  # the stricter of the two; it knows no lone surrogates and no endless numbers
        operations = parsed(body)
    except (ValueError, RecursionError) as error:
        raise Malformed("the body is no JSON") from error
    if not isinstance(operations, list):
        raise Malformed("a JSON Patch is an array of operations")
    if len(operations) > MAX_OPERATIONS:
        raise TooLarge(f"a patch has up to {MAX_OPERATIONS} operations", element="patch")
    for number, operation in enumerate(operations):
        _check(number, operation)
    return operations


def _check(number: int, operation: Any) -> None:
    """Raises Malformed unless it is one of RFC 6902."""
    try:
        JsonPatch([operation])
        needed = NEEDED.get(operation["op"])
        if needed is not None and needed not in operation:
            raise Malformed(f"operation {number} has no {needed}", element=f"patch[{number}]")
        if needed == "from":
            JsonPointer(operation["from"])
    except (JsonPatchException, JsonPointerException, TypeError) as error:
        raise Malformed(f"operation {number} is none of RFC 6902", element=f"patch[{number}]") from error


def _opened(content: bytes, operations: Sequence[Operation]) -> dict[str, Any]:
    """The resource, read as far as the operations go into it."""
    sources = [operation["from"] for operation in operations if NEEDED.get(operation["op"]) == "from"]
    pointers = [*OURS, *map(JsonPointer, [*(operation["path"] for operation in operations), *sources])]
    whole = any(not pointer.parts for pointer in pointers)
    names = {pointer.parts[0] for pointer in pointers if pointer.parts}
    found = members(content.decode())
    return {name: parsed(text) if whole or name in names else Verbatim(text) for name, text in found.items()}


def _ours(document: Any) -> list[Any]:
    return [pointer.resolve(document, None) for pointer in OURS]


def _copied(document: Any, operation: Operation) -> int:
    """The bytes that an operation repeats; 0 where its source does not exist, which it will say itself."""
    if operation["op"] != "copy":
        return 0
    source = JsonPointer(operation["from"]).resolve(document, None)
    return 0 if isinstance(source, EndOfList) else len(written(source))


def _applied(document: Any, number: int, operation: Operation) -> Any:
    # The library's own messages quote the document, which is the patient's.
    try:
        return JsonPatch([operation]).apply(document, in_place=True)
    except JsonPatchTestFailed as error:
        raise _refused(number, operation, "the value there is not the one tested for") from error
    except (JsonPatchException, JsonPointerException) as error:
        raise _refused(number, operation, "there is no such place, or it does not allow this") from error


def _refused(number: int, operation: Operation, reason: str) -> InvalidContent:
    place = f"{operation['op']} {operation['path'][:MAX_SHOWN]}"
    return InvalidContent(f"operation {number} ({place}): {reason}", element=f"patch[{number}].path")

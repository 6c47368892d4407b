"""A batch or transaction Bundle as requests (FHIR R4 http.html section 3.1.0.11). Resources keep their very text."""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import orjson

from inference.errors import EcgError, InvalidContent
from interop.fhir.change import Change, Method, located
from interop.fhir.parameters import INTERACTIONS, Interaction
from interop.fhir.search import Pairs
from interop.resources.members import items, members
from interop.resources.received import loaded
from interop.resources.validation import problems, refuse

# One transaction holds the writer for as long as it takes to store all of it; a batch of this many takes seconds.
MAX_ENTRIES = 1000

_PATH = re.compile(
    r"(?P<type>[A-Z][A-Za-z]{1,63})(?:/(?P<id>[A-Za-z0-9\-.]{1,64}))?(?P<history>/_history(?:/(?P<version>[0-9]{1,9}))?)?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One request in a Bundle. place: its FHIRPath expression. resource: as text, None where there is none. query: of
    its URL."""

    place: str
    method: str
    type: str
    id: str | None
    version: str | None
    is_history: bool
    query: str
    name: str | None
    resource: bytes | None
    if_match: str | None
    if_none_exist: str | None
    if_none_match: str | None

    @property
    def pairs(self) -> Pairs:
        """The parameters of its URL."""
        return parse_qsl(self.query, keep_blank_values=True)

    @property
    def changes(self) -> bool:
        """Whether it is to change anything."""
        return self.method in Method.__members__

    def error(self, error: EcgError) -> EcgError:
        """An error with the place of this entry."""
        return located(error, Change(method=Method.POST, type=self.type, place=self.place))


def parse_bundle(content: bytes, *types: str) -> Mapping[str, Any]:
    """The Bundle without a look into its resources. Raises Malformed, InvalidContent."""
    raw = loaded(content, "Bundle")
    if raw.get("type") not in types:
        raise InvalidContent(f"a Bundle of type {' or '.join(types)} is taken here", element="Bundle.type")
    refuse(problems(raw, held=False))
    if len(raw.get("entry", ())) > MAX_ENTRIES:
        raise InvalidContent(f"more than {MAX_ENTRIES} entries", element="Bundle.entry")
    return raw


def resources(content: bytes) -> list[bytes | None]:
    """The text of the resource of every entry, None where an entry has none. content: a checked Bundle."""
    found = [members(entry).get("resource") for entry in items(members(content.decode()).get("entry", "[]"))]
    return [None if text is None else text.encode() for text in found]


def parse_entry(raw: Mapping[str, Any], resource: bytes | None, place: str, base: str) -> Entry:
    """One entry. base: our own, which its URL may begin with. Raises InvalidContent."""
    request = raw.get("request")
    if request is None:
        raise InvalidContent("request is required", element=f"{place}.request")
    path, _, query = request["url"].removeprefix(f"{base}/").removeprefix("/").partition("?")
    match = _PATH.fullmatch(path.removesuffix("/_search"))
    if match is None:
        raise InvalidContent(f"{request['url'][:100]!r} is no URL of an interaction", element=f"{place}.request.url")
    if match["type"] not in INTERACTIONS:
        served = ", ".join(INTERACTIONS)
        raise InvalidContent(f"{match['type']} is not served; served are {served}", element=f"{place}.request.url")
    return Entry(
        place=place,
        method=request["method"],
        type=match["type"],
        id=match["id"],
        version=match["version"],
        is_history=match["history"] is not None,
        query=query,
        name=raw.get("fullUrl"),
        resource=resource,
        if_match=request.get("ifMatch"),
        if_none_exist=request.get("ifNoneExist"),
        if_none_match=request.get("ifNoneMatch"),
    )


_NEEDED: Mapping[str, Interaction] = {
    "POST": Interaction.CREATE,
    "PUT": Interaction.UPDATE,
    "PATCH": Interaction.PATCH,
    "DELETE": Interaction.DELETE,
}


def check_entry(entry: Entry) -> None:
    """Raises InvalidContent for a change that its type does not have, or that lacks its resource or its id."""
    if _NEEDED[entry.method] not in INTERACTIONS[entry.type]:
        raise InvalidContent(f"{entry.type} has no {_NEEDED[entry.method]}", element=f"{entry.place}.request.method")
    if entry.method != "DELETE" and entry.resource is None:
        raise InvalidContent("the resource is missing", element=f"{entry.place}.resource")
    wants_id = entry.method != "POST"
    if wants_id is (entry.id is None and not entry.query) or entry.is_history:
        wanted = f"{entry.type}/id or {entry.type}?condition" if wants_id else entry.type
        raise InvalidContent(f"the URL of a {entry.method} is {wanted}", element=f"{entry.place}.request.url")


def patch_of(entry: Entry) -> bytes:
    """The JSON Patch that a Binary carries. Raises InvalidContent."""
    binary = orjson.loads(entry.resource or b"{}")
    try:
        return base64.b64decode(binary["data"], validate=True)
    except (KeyError, TypeError, binascii.Error):
        raise InvalidContent(
            "a patch is a Binary with the JSON Patch as its data", element=f"{entry.place}.resource"
        ) from None


def type_of(resource: bytes) -> str:
    """The resource type that a text says it is."""
    return str(json.loads(members(resource.decode()).get("resourceType", '""')))

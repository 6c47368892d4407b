"""Changes with the ECG files of their documents.

A file is read before anything else is decided, because it may name an ECG that is here already: then its document is
the one that is meant, and what else comes in the same Bundle refers to that. So a document that comes again is a
conditional create by the id of the first.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import tzinfo
from typing import Any, NamedTuple

import orjson

from actions.analysis import RequestContext
from audit.criteria import ID, Criterion, Search, Total
from audit.records import Reader
from inference.errors import EcgError, InvalidContent
from interop.fhir.change import Change, Changed, Effect, Method, located
from interop.fhir.conditional import holder
from interop.fhir.derived import TYPE, document_of
from interop.fhir.ecg_documents import Attachment, DocumentChange, EcgFile, decoded, ecg_attachment, read_file
from interop.fhir.interactions import Interactions
from interop.fhir.references import Condition, Names
from interop.fhir.submission import Submission
from interop.intake import Intake
from interop.resources.identifiers import Identifier
from interop.resources.received import parse_resource

_URL = re.compile(rb'("url"\s*:\s*")([^"\\]*)"')
_BINARY = re.compile(
    r"(?P<server>https?://\S+/)?Binary/(?P<id>[A-Za-z0-9\-.]{1,64})(/_history/(?P<version>[0-9]{1,9}))?"
)


class Content(NamedTuple):
    """What a Binary holds."""

    content_type: str
    data: bytes


class WithFiles(Interactions):
    """Carries out changes, those of documents with their files."""

    def __init__(self, intake: Intake, limit: int, zone: tzinfo, base: str | None) -> None:
        """limit: bytes that a resource may have after a patch. zone: for times in files that state none. base: our own
        FHIR base URL as the operator has set it, which the URL of a Binary may begin with."""
        super().__init__(intake, limit)
        self._zone = zone
        self._base = base

    async def _attempt(self, changes: Sequence[Change], context: RequestContext, condition: Condition) -> list[Changed]:
        if not any(change.type == TYPE for change in changes):
            return await super()._attempt(changes, context, condition)
        whole = [await self._unpatched(change) for change in changes]
        bundled = await self._intake.decode(lambda: _binaries(whole))
        complete = [await self._completed(change, bundled) for change in whole]
        outcomes = await super()._attempt(complete, context, condition)
        for change, changed in zip(complete, outcomes, strict=True):
            if isinstance(change, DocumentChange):
                self._intake.metrics.received(context.door)
                if changed.effect is Effect.UNCHANGED:
                    self._intake.metrics.duplicate(context.door)
        return outcomes

    async def _read(self, change: Change, names: Names) -> Submission:
        return await super()._read(_renamed(change, names) if change.type == TYPE else change, names)

    async def _completed(self, change: Change, bundled: Mapping[str, Content]) -> Change:
        """A change of a document with its file; any other as it is."""
        if change.type != TYPE or change.content is None:
            return change
        try:
            file = await self._file(change.content, bundled)
            return change if file is None else await self._known(_with_file(change, file))
        except EcgError as error:
            raise located(error, change) from error

    async def _file(self, content: bytes, bundled: Mapping[str, Content]) -> EcgFile | None:
        found = await self._intake.decode(lambda: ecg_attachment(_peeked(content)))
        if found is None:
            return None
        if found.data is not None:
            data = found.data
            return await self._intake.decode(
                lambda: read_file(found, decoded(data, found.element), found.content_type, self._zone)
            )
        binary = await self._binary(found, bundled)
        if binary is None:
            return None
        kind = found.content_type or binary.content_type
        return await self._intake.decode(lambda: read_file(found, binary.data, kind, self._zone))

    async def _binary(self, attachment: Attachment, bundled: Mapping[str, Content]) -> Content | None:
        """What the url leads to; None where that is not for us to fetch. Raises InvalidContent for a Binary that should
        be here and is not."""
        url = attachment.url or ""
        if url in bundled:
            return bundled[url]
        if url.startswith("urn:"):
            raise InvalidContent(f"{url[:100]} is no fullUrl of a Binary here", element=f"{attachment.element}.url")
        match = _BINARY.fullmatch(url)
        if match is None or (match["server"] and match["server"] != f"{self._base}/"):
            return None
        version = int(match["version"]) if match["version"] else None
        try:
            stored = await self._intake.read(lambda store: store.documents.read("Binary", match["id"], version))
        except EcgError as error:
            raise InvalidContent(f"{url[:100]}: {error.message}", element=f"{attachment.element}.url") from error
        return await self._intake.decode(lambda: _content(stored.content))

    async def _known(self, change: DocumentChange) -> DocumentChange:
        """A create of what is here already as a conditional one."""
        assert change.file is not None
        named = change.file.ecg.stated.identifiers
        if change.method is not Method.POST or change.condition is not None or not named:
            return change
        known = await self._intake.read(lambda store: _holder(store, named))
        return change if known is None else replace(change, known=known, condition=_by_id(known))


def _holder(store: Reader, identifiers: Sequence[Identifier]) -> str | None:
    """The id of the document whose ECG has these identifiers."""
    ecg = holder(store.documents, identifiers)
    found = None if ecg is None else document_of(store.documents, ecg)
    return None if found is None else found.id


def _by_id(name: str) -> Search:
    criterion = Criterion(name=ID, alternatives=((None, name),))
    return Search(type=TYPE, criteria=(criterion,), count=2, total=Total.NONE)


def _with_file(change: Change, file: EcgFile) -> DocumentChange:
    return DocumentChange(**{one.name: getattr(change, one.name) for one in fields(Change)}, file=file)


def _binaries(changes: Sequence[Change]) -> Mapping[str, Content]:
    """The Binaries that come along, by every name that a document may call them. Raises Malformed, InvalidContent."""
    found: dict[str, Content] = {}
    for change in changes:
        if change.type == "Binary" and change.content is not None and change.place:
            try:
                content = _content(change.content)
            except EcgError as error:
                raise located(error, change) from error
            full = change.name or ""
            relative = _BINARY.fullmatch(full)
            names = (full, f"Binary/{change.id}" if change.id else "", f"Binary/{relative['id']}" if relative else "")
            found |= {name: content for name in names if name}
    return found


def _content(binary: bytes) -> Content:
    raw = parse_resource(binary, "Binary").raw
    return Content(raw["contentType"], decoded(raw.get("data", ""), "Binary"))


def _renamed(change: Change, names: Names) -> Change:
    """With the URLs of bundled Binaries as they are stored; FHIR R4 http.html section 3.1.0.11.2 has a server write
    anew what is of type url, as it does references."""
    if change.content is None or not change.place:
        return change

    def written(match: re.Match[bytes]) -> bytes:
        new = names.get(match[2].decode(errors="replace"), "")
        return match[1] + new.encode() + b'"' if new.startswith("Binary/") else match[0]

    return replace(change, content=_URL.sub(written, change.content))


def _peeked(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return None

"""Checking an export of audit entries (`interop.audit_export`) with nothing but the file.

What is found: a file that is not the one that the manifest names, is missing or was added; an entry or payload that was
changed, left out or added; a chain that does not begin and end where `heads.json` says; a signature that is not of the
given key. Without a key the manifest vouches for itself only: then the SHA-256 of the manifest is what to compare with
the one that was told by another way when the file was made.
"""

import hashlib
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson

from audit.chain import Anchor, Head, Link, Verifier
from inference.errors import InvalidContent
from interop.audit_export import ENTRIES, FILES, FORMAT, HEADS, MANIFEST, SIGNATURE, anchors_in, head_of, link_of

# An entry takes a kilobyte or two. Longer lines are read in no case, whatever the file claims.
MAX_LINE = 16 * 1024 * 1024
MAX_SMALL = 64 * 1024 * 1024  # of the other files
BLOCK = 1024 * 1024

Verify = Callable[[bytes, bytes], bool]  # (signature, content) -> whether it is of the key


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was found. signed: None where no key was given, or there is nothing to check it on. problems: empty if all
    holds."""

    manifest: Mapping[str, Any]
    manifest_sha256: str
    signed: bool | None
    entries: int
    chains: int
    payloads_gone: int
    problems: tuple[str, ...]


def check_export(file: Path, verify: Verify | None = None) -> Checked:
    """Check one. verify: by the key that it must be signed with. Raises InvalidContent for what is no export."""
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise InvalidContent(f"{file}: no readable ZIP file: {error}") from error
    with archive:
        return _check(archive, verify)


def _check(archive: zipfile.ZipFile, verify: Verify | None) -> Checked:
    names = archive.namelist()
    if MANIFEST not in names:
        raise InvalidContent(f"no {MANIFEST}: not an export of audit entries")
    content = _small(archive, MANIFEST)
    manifest = _json(content, MANIFEST)
    if manifest.get("format") != FORMAT:
        raise InvalidContent(f"{MANIFEST}: not of the format {FORMAT}")
    problems = [*_file_problems(archive, names, manifest)]
    signed = None
    if verify is not None:
        signed = SIGNATURE in names and verify(_small(archive, SIGNATURE), content)
        if not signed:
            problems.append("the manifest is not signed with this key" if SIGNATURE in names else "it is not signed")
    entries = chains = gone = 0
    if ENTRIES in names and HEADS in names:
        try:
            report, chains = _chain_problems(archive)
            entries, gone = report.entries, report.payloads_gone
            problems += [f"chain {problem.chain_id}: {problem.text}" for problem in report.problems]
        except InvalidContent as error:
            problems.append(error.message)
        if entries != manifest.get("entries"):
            problems.append(f"the manifest says {manifest.get('entries')} entries, {entries} are there")
    return Checked(
        manifest=manifest,
        manifest_sha256=hashlib.sha256(content).hexdigest(),
        signed=signed,
        entries=entries,
        chains=chains,
        payloads_gone=gone,
        problems=tuple(problems),
    )


def _file_problems(archive: zipfile.ZipFile, names: list[str], manifest: Mapping[str, Any]) -> Iterator[str]:
    told = manifest.get("files")
    files: Mapping[str, Any] = told if isinstance(told, dict) else {}
    for name in FILES:
        if name not in files:
            yield f"{name}: the manifest does not name it"
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{name}: is there twice"
    for name in sorted(set(names).difference(files, (MANIFEST, SIGNATURE))):
        yield f"{name}: was added, the manifest does not name it"
    for name, expected in files.items():
        if name not in names:
            yield f"{name}: is missing"
        elif not isinstance(expected, dict) or _sha256(archive, name) != expected.get("sha256"):
            yield f"{name}: is not the file that the manifest names"


def _chain_problems(archive: zipfile.ZipFile) -> tuple[Any, int]:
    heads = _json(_small(archive, HEADS), HEADS)
    before, after = _heads(heads, "before"), _heads(heads, "after")
    ends = [Anchor(chain_id, head, HEADS) for chain_id, head in after.items()]
    # What first entries name may lie outside the period.
    within = [
        anchor
        for link in _links(archive)
        for anchor in anchors_in(link)
        if anchor.chain_id in after and before[anchor.chain_id].seq < anchor.head.seq <= after[anchor.chain_id].seq
    ]
    verifier = Verifier([*ends, *within], before)
    for link in _links(archive):
        if link.chain_id not in after:
            raise InvalidContent(f"{HEADS} does not name chain {link.chain_id}")
        verifier.check(link)
    report = verifier.finish()
    for chain_id, head in after.items():
        if report.heads[chain_id][0] > head.seq:
            raise InvalidContent(f"chain {chain_id}: goes on after entry {head.seq}, the last one by {HEADS}")
    return report, len(after)


def _heads(heads: Mapping[str, Any], name: str) -> dict[str, Head]:
    """Raises InvalidContent."""
    found = heads.get(name)
    if not isinstance(found, dict) or set(found) != set(heads.get("before") or {}):
        raise InvalidContent(f"{HEADS}: `before` and `after` do not name the same chains")
    return {chain_id: head_of(head) for chain_id, head in found.items()}


def _links(archive: zipfile.ZipFile) -> Iterator[Link]:
    """Every entry, read as it is asked for. Raises InvalidContent naming the line."""
    with _opened(archive, ENTRIES) as stream:
        for number, text in enumerate(_lines(stream), 1):
            try:
                yield link_of(text)
            except InvalidContent as error:
                raise InvalidContent(f"{ENTRIES}, line {number}: {error.message}") from error


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    while text := stream.readline(MAX_LINE + 1):
        if len(text) > MAX_LINE:
            raise InvalidContent("a line is too long for an entry")
        yield text


def _small(archive: zipfile.ZipFile, name: str) -> bytes:
    with _opened(archive, name) as stream:
        content = stream.read(MAX_SMALL + 1)
    if len(content) > MAX_SMALL:
        raise InvalidContent(f"{name}: is larger than {MAX_SMALL} bytes")
    return content


def _sha256(archive: zipfile.ZipFile, name: str) -> str:
    """Of what is in the ZIP; '' where it cannot be read."""
    digest = hashlib.sha256()
    try:
        with _opened(archive, name) as stream:
            while block := stream.read(BLOCK):
                digest.update(block)
    except InvalidContent:
        return ""
    return digest.hexdigest()


@contextmanager
def _opened(archive: zipfile.ZipFile, name: str) -> Iterator[IO[bytes]]:
    """Raises InvalidContent for a damaged, an encrypted or an unknown kind of file."""
    try:
        with archive.open(name) as stream:
            yield stream
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise InvalidContent(f"{name}: cannot be read: {error}") from error


def _json(content: bytes, name: str) -> dict[str, Any]:
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise InvalidContent(f"{name}: no JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidContent(f"{name}: no JSON object")
    return value

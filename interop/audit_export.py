"""The audit entries of a period as a file that somebody else can verify without us: written, and checked.

A ZIP file with

    entries.jsonl   one entry a line, chain by chain, in the order of their numbers
    heads.json      of each chain the entry before the first one and the last one; `newest`: the last of every chain
    versions.json   models and rules by which the entries say that ECGs were analysed
    README.txt      how to verify it by hand
    manifest.json   what it is, and the SHA-256 of each of the other files
    manifest.sig    where it is signed: 64 bytes, Ed25519 (RFC 8032) over manifest.json

How an entry is hashed: `audit.chain`. A payload stands as the text that was hashed; one that is no UTF-8 in base64.
"""

import base64
import hashlib
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Protocol

import orjson

from audit.chain import FORMAT as CHAIN_FORMAT
from audit.chain import Anchor, Head, Link, named_heads
from inference.errors import InvalidContent

FORMAT = "ecg-audit-export-1"
ENTRIES, HEADS, VERSIONS, README = "entries.jsonl", "heads.json", "versions.json", "README.txt"
MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
FILES = (ENTRIES, HEADS, VERSIONS, README)

# A fixed time, so that the same period gives the same bytes but for the time in the manifest.
_EPOCH = (1980, 1, 1, 0, 0, 0)

HOW_TO = f"""\
Audit entries of the ECG Clinical Action Recommender, format {FORMAT}.

1. manifest.json names the SHA-256 of each of the other files:
   sha256sum entries.jsonl heads.json versions.json README.txt
   manifest.sig, if it is there, is an Ed25519 signature over manifest.json:
   openssl pkeyutl -verify -pubin -inkey PUB.pem -rawin -in manifest.json -sigfile manifest.sig
2. entries.jsonl has one entry a line. The SHA-256 of the text in `payload` is `payload_sha256`; null was deleted by
   retention. `hash` is the SHA-256 over nine texts in UTF-8, each preceded by its length in bytes as eight big-endian
   bytes: "{CHAIN_FORMAT}", chain_id, seq in decimal, prev_hash, event, recorded_at, subject, correlation_id,
   payload_sha256.
3. Of each chain the numbers (seq) have no gap, and prev_hash is the hash of the entry before. For the first entry that
   is the hash in heads.json under `before` (seq 0, 64 zeros: the chain begins here); the last one is under `after`.
   An entry chain.started names the heads of other chains in its payload.

With the software: ecg-interop audit check-export FILE.zip [--key PUB.pem]
"""


Sign = Callable[[bytes], bytes]  # the content -> its signature


class Period(Protocol):
    """The entries of a period, as the store gives them (`audit.period`)."""

    before: Mapping[str, Head]
    after: Mapping[str, Head]
    newest: Mapping[str, Head]

    def links(self) -> Iterator[Link]:
        """Chain by chain, each in the order of seq."""


@dataclass(frozen=True, slots=True)
class Written:
    """What an export holds. manifest_sha256: of the file, to be told by another way."""

    manifest: Mapping[str, Any]
    manifest_sha256: str


@dataclass(slots=True)
class _Versions:
    """Which models and rules the entries name, how often, from when to when."""

    found: dict[tuple[str, str, str, str], dict[str, Any]] = field(default_factory=dict)

    def note(self, link: Link) -> None:
        """Look into one entry."""
        told = _object(link.payload) if link.event.startswith("ecg.") else {}
        for kind in ("model", "policy"):
            named = told.get(kind)
            if isinstance(named, dict):
                key = (kind, str(named.get("name")), str(named.get("version")), str(named.get("sha256")))
                at = time_text(link.recorded_at)
                row = self.found.setdefault(key, {"entries": 0, "first": at, "last": at})
                row.update(entries=row["entries"] + 1, first=min(row["first"], at), last=max(row["last"], at))

    def content(self) -> bytes:
        """The file."""
        names = {"model": "models", "policy": "rules"}
        listed: dict[str, list[dict[str, Any]]] = {name: [] for name in names.values()}
        for (kind, name, version, sha256), row in sorted(self.found.items()):
            listed[names[kind]].append({"name": name, "version": version, "sha256": sha256, **row})
        return orjson.dumps(listed, option=orjson.OPT_INDENT_2)


def write_export(
    target: Path, period: Period, *, begin: datetime, end: datetime, now: datetime, software: str, sign: Sign | None
) -> Written:
    """Write the file, entry by entry. Raises FileExistsError: evidence is not written over."""
    with _new(target) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        versions, count = _Versions(), 0
        digests: dict[str, dict[str, Any]] = {}
        with archive.open(_info(ENTRIES), "w", force_zip64=True) as entries:
            hashed = _Hashed(entries)
            for link in period.links():
                versions.note(link)
                hashed.write(line(link))
                count += 1
        digests[ENTRIES] = hashed.summary()
        heads = {"before": _heads(period.before), "after": _heads(period.after), "newest": _heads(period.newest)}
        others = {
            HEADS: orjson.dumps(heads, option=orjson.OPT_INDENT_2),
            VERSIONS: versions.content(),
            README: HOW_TO.encode(),
        }
        for name, content in others.items():
            archive.writestr(_info(name), content)
            digests[name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        manifest = {
            "format": FORMAT,
            "from": time_text(begin),
            "to": time_text(end),
            "created": time_text(now),
            "software": software,
            "entries": count,
            "chains": len(period.after),
            "files": digests,
        }
        content = orjson.dumps(manifest, option=orjson.OPT_INDENT_2)
        archive.writestr(_info(MANIFEST), content)
        if sign is not None:
            archive.writestr(_info(SIGNATURE), sign(content))
    return Written(manifest, hashlib.sha256(content).hexdigest())


def line(link: Link) -> bytes:
    """One entry as a line of JSON."""
    document = {**link.columns(), "recorded_at": time_text(link.recorded_at)}
    if link.payload is not None:
        try:
            document["payload"] = link.payload.decode()
        except UnicodeDecodeError:
            document["payload"] = None
            document["payload_base64"] = base64.b64encode(link.payload).decode()
    return orjson.dumps(document) + b"\n"


def link_of(text: bytes) -> Link:
    """The entry in a line. Raises InvalidContent."""
    try:
        document = orjson.loads(text)
        coded, told = document.pop("payload_base64", None), document["payload"]
        payload = None if told is None else told.encode()
        if coded is not None:
            payload = base64.b64decode(coded, validate=True)
        at = datetime.fromisoformat(document["recorded_at"])
        if at.tzinfo is None:
            raise ValueError("a time without offset")
        given = {**document, "payload": payload, "recorded_at": at, "seq": int(document["seq"])}
        if not all(isinstance(value, str) for name, value in given.items() if name not in _NO_TEXTS):
            raise ValueError("a text that is none")
        return Link(**given)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidContent(f"no entry: {error}") from error


_NO_TEXTS = ("seq", "recorded_at", "payload")


def head_of(value: Any) -> Head:
    """A head as `heads.json` has it. Raises InvalidContent."""
    try:
        return Head(int(value["seq"]), str(value["hash"]))
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidContent(f"no head of a chain: {error}") from error


def anchors_in(link: Link) -> Iterator[Anchor]:
    """The heads of other chains that the first entry of a chain names."""
    if link.seq == 1 and link.payload is not None:
        for chain_id, head in named_heads(link.payload).items():
            yield Anchor(chain_id, head, f"the first entry of chain {link.chain_id}")


def time_text(at: datetime) -> str:
    """As it enters the hash of an entry."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


class _Hashed:
    """Writes, and knows the digest of what was written."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self._bytes = 0

    def write(self, content: bytes) -> None:
        self._stream.write(content)
        self._digest.update(content)
        self._bytes += len(content)

    def summary(self) -> dict[str, Any]:
        return {"sha256": self._digest.hexdigest(), "bytes": self._bytes}


@contextmanager
def _new(target: Path) -> Iterator[IO[bytes]]:
    """A file that was not there, and is not there when writing it fails."""
    with target.open("xb") as stream:
        try:
            yield stream
        except BaseException:
            target.unlink()
            raise


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o600 << 16
    return info


def _heads(heads: Mapping[str, Head]) -> dict[str, dict[str, Any]]:
    return {chain: {"seq": head.seq, "hash": head.hash} for chain, head in heads.items()}


def _object(payload: bytes | None) -> Mapping[str, Any]:
    try:
        value = orjson.loads(payload or b"{}")
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}

import hashlib
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.chain import Head, Link, link
from audit.records import AuditEntry, AuditEvent
from inference.errors import InvalidContent
from interop.audit_export import (
    ENTRIES,
    FILES,
    HEADS,
    MANIFEST,
    README,
    SIGNATURE,
    VERSIONS,
    Sign,
    Written,
    head_of,
    line,
    link_of,
    write_export,
)

AT = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)
MODEL = {"name": "net", "version": "1.0.0", "sha256": "a" * 64}
RULES = {"name": "default", "version": "1.1.0", "sha256": "b" * 64}


def entry(number: int, **payload: Any) -> AuditEntry:
    given = {"model": MODEL, "policy": RULES} | payload
    at = AT + timedelta(minutes=number)
    event = AuditEvent.ECG_ANALYSED
    return AuditEntry(
        event=event, recorded_at=at, subject=f"x/{number}", correlation_id="c", payload=orjson.dumps(given)
    )


class Period:
    """Two chains, one of which began before."""

    def __init__(self, *, failing: bool = False) -> None:
        self.all = [*chained("a", [entry(n) for n in range(4)]), *chained("b", [entry(9, model=None)])]
        self.before: Mapping[str, Head] = {"a": Head(1, self.all[0].hash), "b": Head()}
        self.after: Mapping[str, Head] = {"a": Head(4, self.all[3].hash), "b": Head(1, self.all[4].hash)}
        self.newest: Mapping[str, Head] = self.after
        self.failing = failing

    def links(self) -> Iterator[Link]:
        yield from self.all[1:]
        if self.failing:
            raise ZeroDivisionError


def chained(chain_id: str, entries: list[AuditEntry]) -> list[Link]:
    links: list[Link] = []
    head = Head()
    for one in entries:
        links.append(link(chain_id, head, one))
        head = Head(links[-1].seq, links[-1].hash)
    return links


def written(file: Path, period: Period | None = None, sign: Sign | None = None) -> Written:
    return write_export(
        file,
        period or Period(),
        begin=AT,
        end=AT + timedelta(days=1),
        now=AT + timedelta(days=2),
        software="s",
        sign=sign,
    )


def content(file: Path, name: str) -> bytes:
    with zipfile.ZipFile(file) as archive:
        return archive.read(name)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "export.zip"


def test_the_manifest_names_every_file_with_its_digest(file: Path) -> None:
    done = written(file)
    manifest = orjson.loads(content(file, MANIFEST))
    assert manifest == done.manifest
    assert set(manifest["files"]) == set(FILES)
    for name, told in manifest["files"].items():
        found = content(file, name)
        assert told == {"sha256": hashlib.sha256(found).hexdigest(), "bytes": len(found)}
    assert (manifest["entries"], manifest["chains"], manifest["software"]) == (4, 2, "s")
    assert (manifest["from"], manifest["to"]) == (
        "2026-01-31T12:00:00.123456+00:00",
        "2026-02-01T12:00:00.123456+00:00",
    )
    assert done.manifest_sha256 == hashlib.sha256(content(file, MANIFEST)).hexdigest()


def test_each_entry_is_a_line_with_all_that_its_hash_needs(file: Path) -> None:
    written(file)
    lines = content(file, ENTRIES).splitlines()
    assert [link_of(one) for one in lines] == Period().all[1:]
    first = orjson.loads(lines[0])
    assert first["recorded_at"] == "2026-01-31T12:01:00.123456+00:00"
    assert hashlib.sha256(first["payload"].encode()).hexdigest() == first["payload_sha256"]


def test_the_heads_before_and_after_and_the_newest_are_there(file: Path) -> None:
    written(file)
    heads = orjson.loads(content(file, HEADS))
    assert {name: head_of(head) for name, head in heads["before"].items()} == Period().before
    assert {name: head_of(head) for name, head in heads["after"].items()} == Period().after
    assert {name: head_of(head) for name, head in heads["newest"].items()} == Period().newest


def test_models_and_rules_are_listed_with_how_often_and_when(file: Path) -> None:
    written(file)
    versions = orjson.loads(content(file, VERSIONS))
    first, last = "2026-01-31T12:01:00.123456+00:00", "2026-01-31T12:03:00.123456+00:00"
    assert versions["models"] == [{**MODEL, "entries": 3, "first": first, "last": last}]
    assert versions["rules"] == [{**RULES, "entries": 4, "first": first, "last": "2026-01-31T12:09:00.123456+00:00"}]


def test_a_signature_is_over_the_manifest(file: Path) -> None:
    written(file, sign=lambda manifest: hashlib.sha256(manifest).digest())
    assert content(file, SIGNATURE) == hashlib.sha256(content(file, MANIFEST)).digest()


def test_it_tells_how_to_verify_it_by_hand(file: Path) -> None:
    written(file)
    text = content(file, README).decode()
    for word in ("ecg-audit-1", "payload_sha256", "openssl pkeyutl -verify", "check-export"):
        assert word in text


def test_the_same_period_gives_the_same_bytes(file: Path, tmp_path: Path) -> None:
    written(file)
    written(tmp_path / "again.zip")
    assert file.read_bytes() == (tmp_path / "again.zip").read_bytes()


def test_evidence_is_not_written_over(file: Path) -> None:
    file.write_bytes(b"earlier")
    with pytest.raises(FileExistsError):
        written(file)
    assert file.read_bytes() == b"earlier"


def test_one_that_fails_half_way_leaves_nothing(file: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        written(file, Period(failing=True))
    assert not file.exists()


@given(st.one_of(st.none(), st.binary(max_size=30)), st.text(st.characters(exclude_categories=["Cs"]), max_size=9))
def test_any_entry_reads_back(payload: bytes | None, subject: str) -> None:
    one = replace(chained("a", [entry(1)])[0], payload=payload, subject=subject)
    assert link_of(line(one)) == one


@pytest.mark.parametrize(
    "changed",
    [
        {"seq": "x"}, {"seq": None}, {"recorded_at": "2026-01-31T12:00:00"}, {"recorded_at": 3}, {"payload": 3},
        {"payload_base64": "%"}, {"subject": None}, {"hash": 3}, {"more": "x"}, {"chain_id": ["a"]},
    ],
)  # fmt: skip
def test_a_line_that_is_no_entry_is_refused(changed: dict[str, Any]) -> None:
    document = orjson.loads(line(chained("a", [entry(1)])[0]))
    with pytest.raises(InvalidContent):
        link_of(orjson.dumps(document | changed))


@pytest.mark.parametrize("text", [b"", b"[]", b"3", b"{}", b"\xff", b'{"subject":"\\ud800"}'])
def test_a_line_that_is_anything_else_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidContent):
        link_of(text)


@pytest.mark.parametrize("value", [None, 3, [], {}, {"seq": "x", "hash": "y"}, {"seq": 1}])
def test_a_head_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(InvalidContent):
        head_of(value)

import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from audit.chain import GENESIS_HASH, first_entry
from audit.records import AuditEvent
from inference.errors import InvalidContent
from interop import export_check
from interop.audit_export import ENTRIES, HEADS, MANIFEST, README, SIGNATURE, VERSIONS, line, link_of
from interop.export_check import Checked, check_export
from tests.interop.test_audit_export import Period, chained, entry, written


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "export.zip"
    written(file)
    return file


def changed(file: Path, **contents: bytes | None) -> Path:
    """The same with other files (None: without one); the manifest is not changed along."""
    with zipfile.ZipFile(file) as archive:
        found: dict[str, bytes | None] = {name: archive.read(name) for name in archive.namelist()}
    found |= {name.replace("_", "."): content for name, content in contents.items()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in found.items():
            if content is not None:
                archive.writestr(name, content)
    return file


def forged(file: Path, name: str, content: bytes, **manifest: Any) -> Path:
    """A file exchanged by somebody who has also written the manifest anew."""
    import hashlib

    with zipfile.ZipFile(file) as archive:
        told = orjson.loads(archive.read(MANIFEST))
    told["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    return changed(file, **{name.replace(".", "_"): content, "manifest_json": orjson.dumps(told | manifest)})


def entries(file: Path) -> list[bytes]:
    with zipfile.ZipFile(file) as archive:
        return archive.read(ENTRIES).splitlines(keepends=True)


def problems(file: Path) -> str:
    return "\n".join(check_export(file).problems)


def test_an_untouched_one_is_intact(file: Path) -> None:
    checked = check_export(file)
    assert checked == Checked(
        manifest=checked.manifest,
        manifest_sha256=checked.manifest_sha256,
        signed=None,
        entries=4,
        chains=2,
        payloads_gone=0,
        problems=(),
    )


@pytest.mark.parametrize("name", [ENTRIES, HEADS, VERSIONS, README])
def test_a_file_that_was_changed_or_is_missing_is_named(file: Path, tmp_path: Path, name: str) -> None:
    other = tmp_path / "other.zip"
    other.write_bytes(file.read_bytes())
    with zipfile.ZipFile(file) as archive:
        content = archive.read(name)
    assert f"{name}: is not the file" in problems(changed(file, **{name.replace(".", "_"): content + b"\n"}))
    assert f"{name}: is missing" in problems(changed(other, **{name.replace(".", "_"): None}))


def test_a_file_that_was_added_is_named(file: Path) -> None:
    assert problems(changed(file, more_txt=b"x")) == "more.txt: was added, the manifest does not name it"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_that_is_there_twice_is_named(file: Path) -> None:
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(README, b"other")
    assert f"{README}: is there twice" in problems(file)


FORGERIES: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "an entry is missing": lambda it: [it[0], *it[2:]],
    "the end is missing": lambda it: it[:-1],
    "the beginning is missing": lambda it: it[1:],
    "an entry was changed": lambda it: [it[0].replace(b"x/1", b"x/9"), *it[1:]],
    "a payload was changed": lambda it: [it[0].replace(b"net", b"not"), *it[1:]],
    "an entry was added": lambda it: [*it, line(chained("b", [entry(9, model=None), entry(10)])[1])],
    "a chain was added": lambda it: [*it, line(chained("c", [entry(1)])[0])],
    "the order was changed": lambda it: [it[1], it[0], *it[2:]],
    "a line is no entry": lambda it: [b"{}\n", *it[1:]],
    "an entry was written anew": lambda it: [
        line(chained("a", [entry(0), entry(7)])[1]), *it[1:],
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_chain_is_found_though_the_manifest_was_written_anew(file: Path, name: str) -> None:
    lines = FORGERIES[name](entries(file))
    assert problems(forged(file, ENTRIES, b"".join(lines), entries=len(lines)))


def test_the_number_of_entries_is_that_of_the_manifest(file: Path) -> None:
    assert "the manifest says 5 entries, 4 are there" in problems(forged(file, README, b"x", entries=5))


@pytest.mark.parametrize(
    "heads",
    [
        {}, {"before": {}, "after": {}}, {"before": [], "after": []},
        {"before": {"a": {"seq": 0, "hash": GENESIS_HASH}}, "after": {"b": {"seq": 1, "hash": "x"}}},
        {"before": {"a": 3}, "after": {"a": 3}},
    ],
)  # fmt: skip
def test_heads_that_do_not_fit_are_found(file: Path, heads: dict[str, Any]) -> None:
    assert problems(forged(file, HEADS, orjson.dumps(heads)))


def test_deleted_payloads_are_counted_and_no_problem(file: Path) -> None:
    lines = [line(replace(link_of(one), payload=None)) for one in entries(file)]
    checked = check_export(forged(file, ENTRIES, b"".join(lines)))
    assert (checked.problems, checked.payloads_gone) == ((), 4)


def test_heads_that_a_first_entry_names_hold_within_the_period_only(tmp_path: Path) -> None:
    """Chain b names an entry of chain a in the period, another that is not, and a chain that is not there."""
    for name, (seq, digest), expected in (
        ("a", (3, None), 0), ("a", (3, "f" * 64), 1), ("a", (1, "f" * 64), 0), ("a", (99, "f" * 64), 0),
        ("other", (1, "f" * 64), 0),
    ):  # fmt: skip
        period = Period()
        head = replace(period.before["a"], seq=seq, hash=digest or period.all[2].hash)
        opening = replace(first_entry("b", {name: head}, entry(5)), event=AuditEvent.CHAIN_STARTED)
        period.all[4:] = chained("b", [opening])
        period.after = {**period.after, "b": replace(period.after["b"], hash=period.all[4].hash)}
        file = tmp_path / f"{name}-{seq}-{digest}.zip"
        written(file, period)
        assert len(check_export(file).problems) == expected


def signature(manifest: bytes) -> bytes:
    return manifest[:64]


def test_a_signature_is_checked_where_a_key_is_given(file: Path, tmp_path: Path) -> None:
    unsigned = check_export(file, lambda _, __: True)
    assert (unsigned.signed, unsigned.problems) == (False, ("it is not signed",))
    signed = tmp_path / "signed.zip"
    written(signed, sign=signature)
    checked = check_export(signed, lambda found, manifest: found == signature(manifest))
    assert (checked.signed, checked.problems) == (True, ())
    other = check_export(signed, lambda _, __: False)
    assert (other.signed, other.problems) == (False, ("the manifest is not signed with this key",))
    assert check_export(signed).problems == ()
    assert SIGNATURE in zipfile.ZipFile(signed).namelist()


@pytest.mark.parametrize("content", [b"", b"PK", b"text", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_export_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.zip"
    file.write_bytes(content)
    with pytest.raises(InvalidContent):
        check_export(file)


@pytest.mark.parametrize("manifest", [b"", b"[]", b"{}", b'{"format":"other"}'])
def test_a_manifest_that_is_none_is_refused(file: Path, manifest: bytes) -> None:
    with pytest.raises(InvalidContent):
        check_export(changed(file, manifest_json=manifest))


@pytest.mark.parametrize("files", [None, [], {}, {"entries.jsonl": 3}])
def test_a_manifest_that_names_no_files_is_a_problem(file: Path, files: object) -> None:
    with zipfile.ZipFile(file) as archive:
        manifest = orjson.loads(archive.read(MANIFEST))
    assert problems(changed(file, manifest_json=orjson.dumps(manifest | {"files": files})))


def test_damaged_bytes_are_found(file: Path) -> None:
    """Wherever they are: in a file, its name, or the directory at the end."""
    whole = file.read_bytes()
    for place in range(0, len(whole), 7):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            checked = check_export(file)
        except InvalidContent:
            continue
        if not checked.problems:  # times, permissions and flags of the ZIP itself are no part of what is vouched for
            assert _contents(file) == _of(whole, file)


def _contents(file: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _of(whole: bytes, file: Path) -> dict[str, bytes]:
    file.write_bytes(whole)
    return _contents(file)


def test_a_line_without_an_end_is_not_read_whole(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_check, "MAX_LINE", 1000)
    assert "a line is too long" in problems(forged(file, ENTRIES, b"x" * 5000))
    monkeypatch.setattr(export_check, "MAX_SMALL", 100)
    with pytest.raises(InvalidContent, match="larger"):
        check_export(file)

"""`audit replay`, `export`, `check-export`, `retain`, on an SQLite file with analyses by a released model."""

import json
import re
import shutil
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from actions.analysis import Door, RequestContext
from actions.analyze import Analyze
from actions.policy import load_policy
from actions.serialize import from_json, to_json
from audit.packed import compressed
from audit.records import AuditEntry, AuditEvent, Received
from audit.store import open_store
from audit.upgrade import upgrade
from inference.classifier import load_classifier
from interop.bootstrap import new_id
from interop.record import Origin, record
from tests.conftest import ROOT
from tests.fakes import NOW, FixedClock
from tests.interop.commands.conftest import Command
from tests.interop.service import real_ecg
from tests.releases import point, release

OLD = NOW - timedelta(days=4000)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    for version, mi in (("1.0.0", 0.9), ("2.0.0", 0.6)):
        release(folder, version, mi=mi)
    point(folder, "fixed/2.0.0")
    return folder


@pytest.fixture
def database(tmp_path: Path) -> Path:
    file = tmp_path / "ecg.db"
    upgrade(f"sqlite:///{file}")
    return file


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, command: Command, database: Path, models: Path) -> Command:
    """Run a command on the database, beside the releases."""
    monkeypatch.setenv("ECG_DATABASE_URL", f"sqlite:///{database}")
    monkeypatch.setenv("ECG_MODEL", str(models))
    monkeypatch.chdir(database.parent)
    return command


@pytest.fixture
def analysed(database: Path, models: Path) -> str:
    """An analysis by the release that is not active any more; gives its id."""
    classify = load_classifier(models / "fixed" / "1.0.0")
    use = Analyze(classify=classify, policy=load_policy(None), clock=FixedClock(), ids=new_id)
    recording = real_ecg()
    analysis = use(recording, RequestContext(door=Door.PREDICT, received_at=NOW, correlation_id="c-1"))
    body = {"ecg_signal": recording.signal.astype(float).tolist(), "recorded_at": NOW.isoformat()}
    received = Received(
        door=Door.PREDICT, content=orjson.dumps(body), media_type="application/json", received_at=NOW,
        correlation_id="c-1",
    )  # fmt: skip
    store = open_store(f"sqlite:///{database}", chain_id="chain-a")
    with store.unit_of_work() as uow:
        origin = Origin(observation=None, subject=None)
        record(uow, analysis=analysis, recording=recording, received=received, origin=origin, ids=new_id)
    store.close()
    return str(analysis.id)


def change_detail(database: Path, **changed: Any) -> None:
    """As somebody with access to the file would."""
    from audit.packed import decompressed

    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        ((detail,),) = connection.execute("SELECT detail FROM analyses").fetchall()
        forged = to_json(replace(from_json(decompressed(detail)), **changed))
        connection.execute("UPDATE analyses SET detail = ?", (compressed(forged),))


def one_line(text: str) -> str:
    (line,) = text.strip().splitlines()
    assert "Traceback" not in line
    return line


def test_a_replay_that_gives_the_same_is_identical(ran: Command, analysed: str) -> None:
    done = ran("audit", "replay", analysed)
    text = done.out.decode()
    assert (done.exit_code, done.err) == (0, "")
    for expected in (analysed, "fixed 1.0.0, model.onnx, SHA-256", "the one that was analysed", "rules", "24 h"):
        assert expected in text
    assert text.splitlines()[-1] == "identical"


def test_a_replay_is_json_for_a_program(ran: Command, analysed: str) -> None:
    report = json.loads(ran("audit", "replay", analysed, "--json").out)
    assert (report["verdict"], report["differences"], report["tolerance"]) == ("identical", [], 0.0)
    assert report["model"]["file"] == "model.onnx"
    assert report["signal"] == {"from": "stored Observation", "same_as_analysed": True}


def test_a_result_that_was_changed_afterwards_is_listed_field_by_field(
    ran: Command, analysed: str, database: Path
) -> None:
    change_detail(database, conclusion="Normal ECG.", recommendations=())
    done = ran("audit", "replay", analysed)
    assert done.exit_code == 1
    text = done.out.decode()
    assert re.search(r"^  conclusion: then 'Normal ECG\.', now 'Findings", text, re.MULTILINE)
    assert re.search(r"^  recommendations: then \[\], now ", text, re.MULTILINE)
    assert "  audit entry: urgency: then 'immediate', now 'none'" in text
    assert text.splitlines()[-1] == "different: 3 differences"


def test_without_the_payload_of_its_entry_a_replay_says_what_is_not_proven(
    ran: Command, analysed: str, database: Path
) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("UPDATE audit_entries SET payload = NULL WHERE seq > 1")
    done = ran("audit", "replay", analysed)
    assert done.exit_code == 0
    assert "nothing proves that this is the signal of then" in done.out.decode()


def test_an_ecg_that_is_stored_with_less_is_compared_with_a_tolerance_that_is_told(
    ran: Command, analysed: str, database: Path
) -> None:
    """As of an entry that names another signal: nothing that is here has that digest."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        ((payload,),) = connection.execute("SELECT payload FROM audit_entries WHERE seq = 2").fetchall()
        forged = orjson.dumps(orjson.loads(payload) | {"signal_sha256": "0" * 64})
        connection.execute("UPDATE audit_entries SET payload = ? WHERE seq = 2", (forged,))
    done = ran("audit", "replay", analysed)
    text = done.out.decode()
    assert done.exit_code == 0
    assert "not the same bits" in text
    assert "Numbers are compared to within 0.001" in text
    assert text.splitlines()[-1] == "alike within the tolerance"


def test_an_unknown_analysis_is_wrong_usage(ran: Command) -> None:
    done = ran("audit", "replay", "absent")
    assert (done.exit_code, done.out) == (2, b"")
    assert one_line(done.err)


def test_a_model_that_is_gone_is_a_failure_that_names_its_checksum(ran: Command, analysed: str, models: Path) -> None:
    card = json.loads((models / "fixed" / "1.0.0" / "card.json").read_text())
    shutil.rmtree(models / "fixed" / "1.0.0")
    done = ran("audit", "replay", analysed)
    assert done.exit_code == 1
    assert card["files"]["model.onnx"] in one_line(done.err)


def test_rules_that_are_gone_are_a_failure_that_names_their_checksum(
    ran: Command, analysed: str, database: Path
) -> None:
    policy = load_policy(None).info
    change_detail(database, policy=replace(policy, sha256="d" * 64))
    done = ran("audit", "replay", analysed)
    assert done.exit_code == 1
    assert "d" * 64 in one_line(done.err)


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    private, public = tmp_path / "key.pem", tmp_path / "pub.pem"
    for words in (
        ["genpkey", "-algorithm", "ed25519", "-out", str(private)],
        ["pkey", "-in", str(private), "-pubout", "-out", str(public)],
    ):
        subprocess.run(["openssl", *words], check=True, capture_output=True)
    return private, public


def export(ran: Command, file: Path, *more: object) -> Any:
    return ran("audit", "export", "--from", "2026-03-01", "--to", "2026-03-03T00:00:00Z", "-o", file, *more)


def test_an_export_is_verified_without_the_database(
    ran: Command, analysed: str, tmp_path: Path, database: Path, keys: tuple[Path, Path]
) -> None:
    file = tmp_path / "march.zip"
    done = export(ran, file, "--sign", keys[0])
    assert (done.exit_code, done.err) == (0, "")
    database.unlink()
    checked = ran("audit", "check-export", file, "--key", keys[1])
    assert (checked.exit_code, checked.err) == (0, "")
    digest = re.search(r"SHA-256 of manifest\.json: (\w{64}), signed", done.out.decode())
    assert digest
    assert f"{digest[1]}, signed with this key" in checked.out.decode()
    assert checked.out.decode().splitlines()[-1] == "2 entries in 1 chains: intact"
    report = json.loads(ran("audit", "check-export", file, "--json").out)
    assert (report["entries"], report["problems"], report["signed"]) == (2, [], None)


def test_an_export_that_was_changed_is_a_failure(
    ran: Command, analysed: str, tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    file = tmp_path / "march.zip"
    export(ran, file)
    unsigned = ran("audit", "check-export", file, "--key", keys[1])
    assert unsigned.exit_code == 1
    assert one_line(unsigned.err) == "it is not signed"
    content = file.read_bytes()
    file.write_bytes(content.replace(b"entries.jsonl", b"entries.jsonx"))
    changed = ran("audit", "check-export", file)
    assert changed.exit_code == 1
    assert "entries.jsonl: is missing" in changed.err


def test_an_export_is_json_for_a_program_and_written_once(ran: Command, analysed: str, tmp_path: Path) -> None:
    file = tmp_path / "march.zip"
    report = json.loads(export(ran, file, "--json").out)
    assert (report["entries"], report["signed"], report["file"]) == (2, False, str(file))
    again = export(ran, file)
    assert again.exit_code == 1
    assert one_line(again.err) == f"{file}: File exists"


@pytest.mark.parametrize(
    "words",
    [
        ("export", "--from", "yesterday", "--to", "2026-01-01", "-o", "x.zip"),
        ("export", "--from", "2026-01-02", "--to", "2026-01-02", "-o", "x.zip"),
        ("export", "--from", "2026-01-02", "--to", "2026-01-03"),
        ("export", "--from", "2026-01-02", "--to", "2026-01-03", "-o", "x.zip", "--sign", "absent.pem"),
        ("check-export", "absent.zip"),
        ("check-export", str(ROOT / "pyproject.toml")),
        ("retain",),
        ("retain", "--older-than", "10y"),
        ("retain", "--older-than", "0d"),
        ("retain", "--items-older-than", "10"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_one_line_and_exit_code_2(ran: Command, words: tuple[str, ...]) -> None:
    done = ran("audit", *words)
    assert (done.exit_code, done.out) == (2, b"")
    assert one_line(done.err)


@pytest.fixture
def old(database: Path) -> None:
    """An item and two entries of eleven years ago."""
    from audit.records import AcknowledgementState, ProcessingState

    received = Received(
        door=Door.MLLP, content=b"MSH|" * 10, media_type="x", received_at=OLD, correlation_id="c", control_id="M1"
    )
    store = open_store(f"sqlite:///{database}", chain_id="chain-old")
    with store.unit_of_work() as uow:
        uow.inbox.add(received, ProcessingState.ANALYSED, AcknowledgementState.DELIVERED)
        uow.trail.append(AuditEntry(event=AuditEvent.ECG_ANALYSED, recorded_at=OLD, subject="x", correlation_id="c"))
    store.close()


@pytest.mark.usefixtures("old")
def test_retention_deletes_what_is_old_and_the_trail_still_verifies(ran: Command) -> None:
    words = ("audit", "retain", "--older-than", "3650d", "--items-older-than", "365d")
    before = ran(*words, "--dry-run").out.decode()
    assert "payloads of 1 audit entries (0.0 MB) would be deleted" in before
    assert ran("audit", "verify").out.decode().strip() == "2 entries in 1 chains: intact"
    done = ran(*words)
    assert (done.exit_code, done.err) == (0, "")
    assert "contents of 1 received items (0.0 MB) deleted" in done.out.decode()
    assert "2 transactions, the longest " in done.out.decode()
    verified = ran("audit", "verify").out.decode().strip()
    assert verified == "4 entries in 2 chains: intact; 1 payloads were deleted by retention"
    assert json.loads(ran("audit", "verify", "--json").out)["payloads_gone"] == 1
    assert json.loads(ran(*words, "--json").out)["expired"]["items"] == 0


@pytest.mark.usefixtures("old")
def test_an_item_whose_content_is_gone_says_so(ran: Command) -> None:
    assert ran("inbox", "show", "1").out.startswith(b"MSH|")
    ran("audit", "retain", "--items-older-than", "365d")
    shown = ran("inbox", "show", "1")
    assert (shown.exit_code, shown.out) == (2, b"")
    assert "the content of item 1 was deleted by retention" in one_line(shown.err)
    (listed,) = json.loads(ran("inbox", "list", "--json").out)
    assert listed["control_id"] == "M1"

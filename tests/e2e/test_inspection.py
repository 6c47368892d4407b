"""The inspection finds what it is there to find: each part is taken away once, each whole doubled once."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import Service, running
from tests.e2e.inspection import Findings, Inspection
from tests.e2e.traffic import Kind, Ledger, Templates, connected, example_recordings, send_fhir, send_mllp


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, examples: Path, ledger: Ledger) -> Iterator[Service]:
    """A service that has taken two items of each kind."""
    templates = Templates(example_recordings(examples))
    with running(tmp_path_factory.mktemp("filled")) as service:
        with connected(service.mllp) as sender, httpx.Client(base_url=service.url, timeout=20) as http:
            for _ in range(2):
                send_mllp(ledger, sender, templates.item(Kind.ORU), templates.item(Kind.ADT))
                send_fhir(ledger, http, templates.item(Kind.FHIR))
        yield service


@pytest.fixture
def copied(filled: Service, tmp_path: Path) -> Path:
    """A copy of its database."""
    copy = tmp_path / "ecg.db"
    with closing(sqlite3.connect(filled.folder / "ecg.db")) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy


def found_after(copy: Path, ledger: Ledger, *statements: str) -> Findings:
    with closing(sqlite3.connect(copy)) as connection:
        for statement in statements:
            assert connection.execute(statement).rowcount > 0, statement
        connection.commit()
    return Inspection(f"sqlite:///{copy}").findings(ledger)


def test_nothing_is_wrong_with_a_sound_store(copied: Path, ledger: Ledger) -> None:
    assert len(ledger.answers) == 6
    assert found_after(copied, ledger) == Findings()


@pytest.mark.parametrize("control_id", ["K000001", "K000002"])
def test_a_message_that_is_gone_is_lost(copied: Path, ledger: Ledger, control_id: str) -> None:
    assert found_after(copied, ledger, f"DELETE FROM inbox WHERE control_id = '{control_id}'").lost


def test_an_observation_that_is_gone_is_lost(copied: Path, ledger: Ledger) -> None:
    place = ledger.answers["K000003"].decode().partition("/")[2]
    assert found_after(copied, ledger, f"DELETE FROM documents WHERE id = '{place}'").lost


@pytest.mark.parametrize(
    "part",
    [
        "DELETE FROM analyses WHERE id = (SELECT min(id) FROM analyses)",
        "DELETE FROM outbox WHERE id = 1",
        "DELETE FROM document_index WHERE (type, value) = (SELECT type, value FROM document_index LIMIT 1)",
        "DELETE FROM documents WHERE id = (SELECT min(id) FROM documents WHERE type = 'Provenance')",
        "DELETE FROM documents WHERE type = 'Device'",
        "DELETE FROM audit_entries WHERE event = 'message.ignored'",
        "UPDATE inbox SET answer = NULL WHERE control_id = 'K000001'",
        "UPDATE inbox SET processing = 'received' WHERE control_id = 'K000002'",
        "UPDATE outbox SET analysis_id = 'nothing' WHERE id = 1",
        "UPDATE claims SET owner = 'Observation/nothing' WHERE scope = 'Observation.identifier'",
    ],
)
def test_a_part_that_is_missing_shows(copied: Path, ledger: Ledger, part: str) -> None:
    assert found_after(copied, ledger, part).half


def test_what_is_there_twice_shows(copied: Path, ledger: Ledger) -> None:
    columns = "door, sender, control_id, patient_key, media_type, received_at, correlation_id, processing, "
    columns += "acknowledgement, analysis_id, error, answer, content"
    row = f"SELECT {columns}, 'x' FROM inbox WHERE control_id = 'K000001'"
    assert found_after(copied, ledger, f"INSERT INTO inbox ({columns}, content_sha256) {row}").doubled


def test_a_changed_audit_entry_shows(copied: Path, ledger: Ledger) -> None:
    assert found_after(copied, ledger, "UPDATE audit_entries SET subject = 'x' WHERE seq = 2").broken

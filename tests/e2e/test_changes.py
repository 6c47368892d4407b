"""What changed, from starts and activations of the real service, on both databases."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import ROOT
from tests.e2e.conftest import command, running
from tests.e2e.doors import eventually
from tests.releases import point, release

pytestmark = pytest.mark.slow


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        release(folder, version)
    point(folder, "fixed/1.0.0")
    return folder


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A hospital's own."""
    shipped = json.loads((ROOT / "actions/policy.json").read_text())
    file = tmp_path / "rules.json"
    file.write_text(json.dumps({**shipped, "name": "hospital", "version": "7.0.0"}))
    return file


def told(folder: Path, database: str, *words: str) -> list[dict[str, Any]]:
    done = command("audit", "changes", *words, "--json", folder=folder, database_url=database)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def version(value: Any) -> Any:
    return f"{value['name']} {value['version']}" if isinstance(value, dict) else value


def test_model_rules_and_mode_are_told_with_who_when_and_where_it_stands(
    tmp_path: Path, own_database: str, models: Path, rules: Path
) -> None:
    settings = {"database_url": own_database, "model": str(models)}
    with running(tmp_path, **settings) as service:
        named = ("--by", "Ada", "--reason", "better")
        done = command("model", "activate", "fixed", "1.1.0", *named, folder=models, model=str(models))
        assert done.returncode == 0, done.stderr
        assert eventually(lambda: httpx.get(f"{service.url}/ready").json()["model"]["version"] == "1.1.0")
        assert httpx.get(f"{service.url}/model").json()["model"]["version"] == "1.1.0"
        assert service.stop() == 0
    away = command("model", "activate", "fixed", "1.2.0", "--by", "Bob", folder=models, model=str(models))
    assert away.returncode == 0, away.stderr
    with running(tmp_path, **settings, rules=str(rules), mode="silent") as service:
        assert httpx.get(f"{service.url}/model").json()["rules"]["name"] == "hospital"
        found = httpx.get(f"{service.url}/fhir/AuditEvent?subtype=rules.activated").json()
        assert found["total"] == 1 if "total" in found else len(found["entry"]) == 1
        assert service.stop() == 0
    changes = told(tmp_path, own_database)
    assert [(it["thing"], version(it["before"]), version(it["after"]), it["by"]) for it in changes] == [
        ("model", None, "fixed 1.0.0", None),
        ("rules", None, "default 1.1.0", None),
        ("mode", None, "live", None),
        ("model", "fixed 1.0.0", "fixed 1.1.0", "Ada"),
        ("rules", "default 1.1.0", "hospital 7.0.0", None),
        ("model", "fixed 1.1.0", "fixed 1.2.0", "Bob"),
        ("mode", "live", "silent", None),
    ]
    assert (changes[3]["step"], changes[3]["reason"]) == ("activate", "better")
    assert len({it["chain_id"] for it in changes}) == 2
    assert all(it["seq"] > 1 for it in changes)
    later = changes[4]["at"]
    assert told(tmp_path, own_database, "--from", later) == changes[4:]
    assert told(tmp_path, own_database, "--to", later) == changes[:4]
    table = command("audit", "changes", folder=tmp_path, database_url=own_database)
    assert "Ada" in table.stdout
    assert "better" in table.stdout
    assert command("audit", "verify", folder=tmp_path, database_url=own_database).returncode == 0

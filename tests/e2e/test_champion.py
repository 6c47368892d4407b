"""Another model is activated while the real service answers: nothing is dropped, and every result names who made it."""

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import orjson
import pytest

from audit.records import AuditEvent
from tests.e2e.conftest import Service, command, running
from tests.e2e.doors import counted, eventually, matrix, post_matrix
from tests.releases import change_card, point, release

pytestmark = pytest.mark.slow

MI = {"1.0.0": 0.91, "1.1.0": 0.82, "1.2.0": 0.73}


@dataclass
class Stream:
    """Posts of /predict, one after the other, until it is stopped. answers: (status, body)."""

    service: Service
    answers: list[tuple[int, dict[str, object]]] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def post(self) -> None:
        content, headers = matrix(), {"Content-Type": "application/json"}
        with httpx.Client(base_url=self.service.url, timeout=20) as client:
            while not self.stopped.is_set():
                answer = client.post("/predict", content=content, headers=headers)
                self.answers.append((answer.status_code, answer.json()))


@contextmanager
def posting(service: Service, clients: int = 2) -> Iterator[Stream]:
    stream = Stream(service)
    threads = [threading.Thread(target=stream.post) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield stream
    finally:
        stream.stopped.set()
        for thread in threads:
            thread.join()


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Three champions, the first of them active."""
    folder = tmp_path / "models"
    for version, probability in MI.items():
        release(folder, version, mi=probability)
    point(folder, "fixed/1.0.0")
    return folder


def change(models: Path, *words: str) -> None:
    done = command("model", *words, folder=models, model=str(models))
    assert done.returncode == 0, done.stderr


def served(service: Service) -> str:
    return str(httpx.get(f"{service.url}/ready").json()["model"]["version"])


def serves(service: Service, version: str) -> None:
    assert eventually(lambda: served(service) == version), (version, service.log[-2000:])


def activations(service: Service) -> list[dict[str, dict[str, str]]]:
    """The audit trail's entries, oldest first."""
    with sqlite3.connect(f"file:{service.folder}/ecg.db?mode=ro", uri=True) as database:
        query = "SELECT payload FROM audit_entries WHERE event = ? ORDER BY seq"
        return [orjson.loads(row[0]) for row in database.execute(query, (AuditEvent.MODEL_ACTIVATED.value,))]


def test_activations_and_a_rollback_under_load_fail_no_request_and_every_result_names_its_model(
    tmp_path: Path, models: Path
) -> None:
    with running(tmp_path, model=str(models)) as service:
        with posting(service) as stream:
            change(models, "activate", "fixed", "1.1.0", "--by", "Ada", "--reason", "better")
            serves(service, "1.1.0")
            change(models, "activate", "fixed", "1.2.0")
            serves(service, "1.2.0")
            change(models, "rollback")
            serves(service, "1.1.0")
            time.sleep(0.5)
        assert {status for status, _ in stream.answers} == {200}
        seen = [(str(body["model"]["version"]), body["probabilities"]["MI"]) for _, body in stream.answers]  # type: ignore[index]
        assert {version for version, _ in seen} == set(MI)
        assert all(probability == pytest.approx(MI[version]) for version, probability in seen)
        assert counted(service, "ecg_model_changes_total", outcome="taken-up") == 3
        assert counted(service, "ecg_model_info", version="1.1.0") == counted(service, "ecg_model_info") == 1
        changes = activations(service)
        assert [(it["before"]["version"], it["model"]["version"], it["change"]["step"]) for it in changes] == [
            ("1.0.0", "1.1.0", "activate"),
            ("1.1.0", "1.2.0", "activate"),
            ("1.2.0", "1.1.0", "rollback"),
        ]
        assert changes[0]["change"]["by"] == "Ada"
        assert service.stop() == 0
    found = command("audit", "verify", folder=tmp_path)
    assert found.returncode == 0, found.stdout + found.stderr


def test_a_broken_model_leaves_the_old_one_serving_and_is_logged_and_counted(tmp_path: Path, models: Path) -> None:
    with running(tmp_path, model=str(models)) as service:
        (models / "fixed" / "1.1.0" / "model.onnx").write_bytes(b"another")
        point(models, "fixed/1.1.0")
        assert eventually(lambda: counted(service, "ecg_model_changes_total", outcome="failed") == 1)
        assert post_matrix(service, matrix()).json()["model"]["version"] == "1.0.0"
        assert httpx.get(f"{service.url}/ready").status_code == 200
        (line,) = (json.loads(line) for line in service.log.splitlines() if "not taken up" in line)
        assert "SHA-256" in line["reason"]
        assert line["level"] == "ERROR"


def test_a_model_made_for_other_features_is_not_taken_up_and_not_activated(tmp_path: Path, models: Path) -> None:
    change_card(models / "fixed" / "1.1.0", features={"version": "0", "names": []})
    refused = command("model", "activate", "fixed", "1.1.0", folder=models, model=str(models))
    assert refused.returncode == 1
    assert "trained with features 0" in refused.stderr
    with running(tmp_path, model=str(models)) as service:
        point(models, "fixed/1.1.0")
        assert eventually(lambda: counted(service, "ecg_model_changes_total", outcome="failed") == 1)
        assert served(service) == "1.0.0"


def test_a_candidate_that_is_activated_speaks_only_where_candidates_may(tmp_path: Path, models: Path) -> None:
    release(models, "2.0.0", status="candidate")
    with running(tmp_path, model=str(models), allow_candidate="false") as service:
        assert post_matrix(service, matrix()).json()["mode"] == "live"
        change(models, "activate", "fixed", "2.0.0")
        serves(service, "2.0.0")
        assert post_matrix(service, matrix()).json()["mode"] == "silent"
        change(models, "rollback")
        serves(service, "1.0.0")
        assert post_matrix(service, matrix()).json()["mode"] == "live"


def test_a_service_with_a_pinned_model_follows_no_pointer(tmp_path: Path, models: Path) -> None:
    pinned = models / "fixed" / "1.0.0"
    refused = command("model", "activate", "fixed", "1.1.0", folder=tmp_path, model=str(pinned))
    assert refused.returncode == 1
    assert "ECG_MODEL pins" in refused.stderr
    assert not (pinned / "champion.json").exists()

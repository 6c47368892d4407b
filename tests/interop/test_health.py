import asyncio
import json
import logging

import pytest
from fastapi import FastAPI

from inference.errors import StorageUnavailable
from interop import health
from interop.health import Check, Health, router
from interop.metrics import Metrics
from tests.interop.client import Client


async def passing() -> None:
    """A check that has nothing to say against it."""


async def without_database() -> None:
    raise StorageUnavailable("database: disk I/O error")


async def with_a_secret() -> None:
    raise OSError("cannot connect to postgresql://ecg:hunter2@db/ecg")


async def hanging() -> None:
    await asyncio.Event().wait()


def client(**checks: Check) -> Client:
    app = FastAPI()
    app.include_router(router(Health(checks), Metrics(), lambda: None))
    return Client(app)


def test_a_live_process_says_so_even_when_it_is_not_ready() -> None:
    answer = client(database=without_database).get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_ready_lists_every_check_that_passed() -> None:
    answer = client(model=passing, database=passing).get("/ready")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ready", "checks": {"model": "ok", "database": "ok"}}


def test_not_ready_is_503_and_names_the_failing_check_and_why() -> None:
    answer = client(model=passing, database=without_database).get("/ready")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["failing"] == ["database"]
    assert answer.json()["checks"]["database"] == "database: disk I/O error"
    assert "database" in answer.json()["detail"]


def test_the_text_of_an_unexpected_error_is_kept_back(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        answer = client(database=with_a_secret).get("/ready")
    assert answer.json()["checks"] == {"database": "OSError"}
    assert "check failed" in caplog.messages


def test_a_check_that_hangs_fails_instead_of_hanging_the_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.05)
    answer = client(model=passing, disk=hanging).get("/ready")
    assert answer.status_code == 503
    assert answer.json()["checks"]["disk"].startswith("no answer within")


def test_the_last_result_of_each_check_is_a_metric() -> None:
    probe = client(model=passing, database=without_database)
    probe.get("/ready")
    text = probe.get("/metrics").text
    assert 'ecg_ready_check{check="model"} 1.0' in text
    assert 'ecg_ready_check{check="database"} 0.0' in text


def test_gauges_that_nobody_pushes_are_refreshed_before_each_exposition() -> None:
    metrics, app = Metrics(), FastAPI()
    app.include_router(router(Health({}), metrics, lambda: metrics.queued(5)))
    answer = Client(app).get("/metrics")
    assert "ecg_lane_waiting 5.0" in answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=")


def test_no_checks_at_all_is_ready() -> None:
    assert json.loads(client().get("/ready").content)["status"] == "ready"


def test_a_probe_is_shown_what_serves_whether_or_not_it_is_ready() -> None:
    app = FastAPI()
    shown = Health({"database": without_database}, lambda: {"model": {"version": "1.2.3"}})
    app.include_router(router(shown, Metrics(), lambda: None))
    answer = Client(app).get("/ready")
    assert (answer.status_code, answer.json()["model"]) == (503, {"version": "1.2.3"})

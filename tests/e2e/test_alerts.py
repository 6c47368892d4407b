"""A running service tells of alerts what others could not: once, also by two of them, at least once after a kill."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from audit.monitoring_store import MonitoringStore
from audit.notices import Telling
from tests.audit.conftest import run_statements
from tests.audit.test_monitoring_store import Finding, Report
from tests.audit.test_notices import To
from tests.e2e.conftest import Service, command, running
from tests.e2e.doors import counted, eventually
from tests.receivers import MailServer, WebhookServer

pytestmark = pytest.mark.slow

TITLE = "[ECG] WARNING: Urgent rate by sex"
SECRET = "SECRETTOKEN"
POLL = 5.0  # interop.notifying.POLL_SECONDS
KINDS = ("sqlite", "postgresql")


def settings(folder: Path, hook: WebhookServer | None = None, mail: MailServer | None = None) -> dict[str, str]:
    """Of a service that tells these."""
    given: dict[str, str] = {}
    if hook is not None:
        file = folder / "channels.json"
        file.write_text(json.dumps([{"name": "pager", "url": f"json://{hook.address}/{SECRET}"}]))
        given["alert_channels"] = str(file)
    if mail is not None:
        given["smtp_url"] = f"smtp://127.0.0.1:{mail.port}/?from=ecg@x.org&to=ml@x.org&tls=no"
    return given


def opened(service: Service, *channels: str, keys: Sequence[str] = ("bias:sex",)) -> None:
    """Alerts of which these are to be told, as a run of the monitor leaves them that could send nothing."""
    with service.store() as store:
        told = Telling([To(name, "info") for name in channels])
        MonitoringStore(store, told).keep(Report([Finding(key, True) for key in keys], computed_at=datetime.now(UTC)))


def notices(service: Service) -> list[dict[str, Any]]:
    return [one for alert in _alerts(service) for one in alert["notices"]]


def _alerts(service: Service) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(f"{service.url}/monitoring/alerts").json()["alerts"]
    return found


def states(service: Service) -> dict[str, str]:
    return {one["channel"]: one["state"] for one in notices(service)}


def reclaimable(service: Service) -> None:
    """As if the time of all claims and pauses were over."""
    run_statements(service.database, "UPDATE alert_notices SET next_attempt_at = created_at WHERE state = 'waiting'")


def test_what_could_not_be_sent_is_tried_again_until_the_servers_are_up(own_database: str, tmp_path: Path) -> None:
    hook, mail = WebhookServer(), MailServer()
    with running(tmp_path, database_url=own_database, **settings(tmp_path, hook, mail)) as service:
        opened(service, "pager", "email")
        assert eventually(lambda: all(one["error"] for one in notices(service)), 20)
        assert all("Connection refused" in one["error"] for one in notices(service))
        assert SECRET not in json.dumps(_alerts(service)) + service.log
        assert eventually(lambda: counted(service, "ecg_alert_notices_unsent", channel="email", state="waiting") == 1)
        assert counted(service, "ecg_alert_notices_total", channel="pager", outcome="retry") >= 1
        lines = [json.loads(line) for line in service.log.splitlines()]
        told = [line for line in lines if line["message"] == "alert not told"]
        assert {(line["level"], line["channel"], line["alert"]) for line in told} == {
            ("WARNING", "pager", "bias:sex"), ("WARNING", "email", "bias:sex"),
        }  # fmt: skip
        with hook.listening(), mail.listening():
            assert eventually(lambda: states(service) == {"pager": "sent", "email": "sent"}, 60)
            time.sleep(POLL)
        assert (mail.subjects, [body["title"] for body in hook.bodies]) == ([TITLE], [TITLE])
        assert counted(service, "ecg_alert_notices_total", channel="email", outcome="sent") == 1
        assert eventually(lambda: counted(service, "ecg_alert_notices_unsent") == 0)
        assert service.stop() == 0
        assert "unhandled" not in service.log


def test_what_fails_for_good_is_dead_and_seen(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        opened(service, "pager")
        run_statements(service.database, "UPDATE alert_notices SET attempts = 99")
    with (
        WebhookServer((500, b"no")).listening() as hook,
        running(tmp_path, **settings(tmp_path, hook)) as service,
    ):
        assert eventually(lambda: states(service) == {"pager": "dead"}, 20)
        assert eventually(lambda: counted(service, "ecg_alert_notices_unsent", channel="pager", state="dead") == 1)
        assert counted(service, "ecg_alert_notices_total", channel="pager", outcome="dead") == 1
        (notice,) = notices(service)
        assert (notice["attempts"], "500" in notice["error"]) == (100, True)
        hook.answer = (200, b"")
        done = command("alerts", "retry", str(notice["id"]), folder=tmp_path, **settings(tmp_path, hook))
        assert (done.returncode, done.stdout) == (0, "")
        assert eventually(lambda: states(service) == {"pager": "sent"}, 20)
        assert len(hook.arrived) == 2


def test_after_a_kill_in_the_middle_it_is_told_again(own_database: str, tmp_path: Path) -> None:
    release = threading.Event()
    hook = WebhookServer(hangs=release)
    try:
        with hook.listening():
            with running(tmp_path, database_url=own_database, **settings(tmp_path, hook)) as service:
                opened(service, "pager")
                assert eventually(lambda: len(hook.arrived) == 1, 20), "it has it, and does not say so"
                service.kill()
            hook.hangs = None
            release.set()
            with running(tmp_path, database_url=own_database, **settings(tmp_path, hook)) as service:
                assert states(service) == {"pager": "waiting"}
                time.sleep(POLL + 1)
                assert len(hook.arrived) == 1, "the claim of the lost process holds"
                reclaimable(service)
                assert eventually(lambda: states(service) == {"pager": "sent"}, 20)
        assert [body["title"] for body in hook.bodies] == [TITLE, TITLE]
    finally:
        release.set()


def test_a_hanging_server_holds_up_neither_requests_nor_the_end(tmp_path: Path) -> None:
    release = threading.Event()
    hook, mail = WebhookServer(hangs=release), MailServer()
    try:
        with hook.listening(), mail.listening(), running(tmp_path, **settings(tmp_path, hook, mail)) as service:
            opened(service, "pager", "email")
            assert eventually(lambda: len(hook.arrived) == 1 and mail.subjects == [TITLE], 20)
            assert httpx.get(f"{service.url}/ready").status_code == 200
            began = time.monotonic()
            assert service.stop() == 0
            assert time.monotonic() - began < 10
    finally:
        release.set()


@contextmanager
def two(folder: Path, database: str, given: dict[str, str]) -> Iterator[tuple[Service, Service]]:
    folders = [folder / name for name in ("one", "other")]
    for each in folders:
        each.mkdir()
    with (
        running(folders[0], database_url=database, **given) as one,
        running(folders[1], database_url=database, **given) as other,
    ):
        yield one, other


@pytest.mark.parametrize("own_database", ["postgresql"], indirect=True)
def test_two_services_and_a_command_on_one_database_tell_each_thing_once(own_database: str, tmp_path: Path) -> None:
    keys = [f"drift:{number}" for number in range(30)]
    hook = WebhookServer()
    given = settings(tmp_path, hook)
    with hook.listening(), two(tmp_path, own_database, given) as (one, other):
        opened(one, "pager", keys=keys)
        assert command("monitor", "performance", folder=tmp_path, database_url=own_database, **given).returncode == 0
        assert eventually(lambda: {notice["state"] for notice in notices(one)} == {"sent"}, 30)
        time.sleep(POLL + 1)
        assert len(hook.arrived) == len(keys)
        assert len(notices(other)) == len(keys)


def test_a_wrong_channel_keeps_the_service_from_starting_and_is_told(tmp_path: Path) -> None:
    done = command("serve", folder=tmp_path, smtp_url="smtp://ecg:hunter2@mail.example/?to=ml@x.org")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("ECG_SMTP_URL: ")
    assert "hunter2" not in done.stderr

"""From a run of the monitor to a mail and a message in a chat, by real servers on loopback; and what becomes of those
that do not arrive."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from time import monotonic

import pytest
from apprise.plugins.slack import NotifySlack

from audit.records import AcknowledgementState, ProcessingState
from audit.store import open_store
from tests.audit.conftest import emptied_postgresql, migrated_postgresql, migrated_url, postgresql, sqlite_template
from tests.audit.values import analysis, received
from tests.interop.commands.conftest import Command
from tests.interop.commands.test_monitoring import NOW, database
from tests.receivers import MailServer, WebhookServer
from training.monitoring import telling

__all__ = ["database", "emptied_postgresql", "migrated_postgresql", "migrated_url", "postgresql", "sqlite_template"]

TOKENS = "T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7"
SECRETS = ("hunter2", *TOKENS.split("/"))
TITLE = "Urgent rate by sex"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(telling, "FIRST_PAUSE", timedelta(0))


@pytest.fixture
def mail(monkeypatch: pytest.MonkeyPatch) -> MailServer:
    server = MailServer()
    monkeypatch.setenv("ECG_SMTP_URL", f"smtp://127.0.0.1:{server.port}/?from=ecg@x.org&to=ml@x.org&tls=no")
    return server


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> WebhookServer:
    """In place of hooks.slack.com, which apprise has as a constant."""
    server = WebhookServer()
    monkeypatch.setattr(NotifySlack, "webhook_url", f"http://{server.address}/services")
    monkeypatch.setenv("ECG_SLACK_WEBHOOK", f"https://hooks.slack.com/services/{TOKENS}")
    return server


@contextmanager
def both(mail: MailServer, slack: WebhookServer) -> Iterator[None]:
    with mail.listening(), slack.listening():
        yield


def posted(slack: WebhookServer) -> list[str]:
    return [body["attachments"][0]["title"] for body in slack.bodies]


def make_alike(url: str) -> None:
    """Later results by which women and men are treated alike."""
    store = open_store(url, chain_id="later")
    with store.unit_of_work() as uow:
        inbox = uow.inbox.add(received(), ProcessingState.ANALYSED, AcknowledgementState.PENDING)
        for number in range(100):
            one = analysis(f"later-{number}", inbox)
            urgency = "urgent" if number < 50 else "routine"
            at = NOW - timedelta(hours=2)
            uow.analyses.add(
                replace(one, sex="female", age=50.0, mode="live", urgency=urgency, analyzed_at=at, detail=b"{}")
            )
    store.close()


def test_a_flag_is_told_once_by_mail_and_chat_and_its_end_too(
    database: str, command: Command, mail: MailServer, slack: WebhookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECG_PUBLIC_URL", "https://ecg.example")
    with both(mail, slack):
        first = command("monitor", "bias", "--days", 1)
        assert first.exit_code == 0
        assert sorted(first.err.splitlines()) == ["bias:sex opened to email: sent", "bias:sex opened to slack: sent"]
        again = command("monitor", "bias", "--days", 1, "--json")
        assert (again.exit_code, again.err) == (0, "")
        assert mail.subjects == posted(slack) == [f"[ECG] WARNING: {TITLE}"]
        make_alike(database)
        over = command("monitor", "bias", "--days", 1)
        assert (over.exit_code, len(over.err.splitlines())) == (0, 2)
        assert command("monitor", "bias", "--days", 1).err == ""
    assert mail.subjects == posted(slack) == [f"[ECG] WARNING: {TITLE}", f"[ECG] Resolved: {TITLE}"]
    text = mail.arrived[0][2].get_content()
    assert "Lowest over highest 0.57" in text
    assert "https://ecg.example/monitoring/bias" in text
    assert "0.57" in slack.bodies[0]["attachments"][0]["text"]


def test_what_is_made_by_performance_or_is_too_mild_mails_nobody(
    database: str, command: Command, mail: MailServer
) -> None:
    with mail.listening():
        assert command("monitor", "performance", "--days", 1).err == ""
    assert mail.arrived == []


def test_what_does_not_arrive_is_tried_again_and_arrives_when_the_servers_are_up(
    database: str, command: Command, mail: MailServer, slack: WebhookServer
) -> None:
    down = command("monitor", "bias", "--days", 1)
    assert (down.exit_code, down.err.count("will be tried again")) == (0, 2)
    (alert,) = json.loads(command("alerts", "list", "--json").out)["alerts"]
    assert {(one["channel"], one["state"], one["attempts"]) for one in alert["notices"]} == {
        ("email", "waiting", 1),
        ("slack", "waiting", 1),
    }
    assert all("Connection refused" in one["error"] for one in alert["notices"])
    with both(mail, slack):
        assert command("monitor", "bias", "--days", 1).err.count("sent") == 2
    assert mail.subjects == posted(slack) == [f"[ECG] WARNING: {TITLE}"]


def test_what_never_arrives_is_given_up_shown_and_may_be_tried_anew(
    database: str, command: Command, mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "MAX_ATTEMPTS", 2)
    mail.refusal = "554 go away"
    with mail.listening():
        for end in ("will be tried again", "given up"):
            assert f"not sent, {end}: " in command("monitor", "bias", "--days", 1).err
        assert command("monitor", "bias", "--days", 1).err == ""
        (alert,) = json.loads(command("alerts", "list", "--json").out)["alerts"]
        (notice,) = alert["notices"]
        assert (notice["state"], notice["attempts"], "554" in notice["error"]) == ("dead", 2, True)
        assert b"dead" in command("alerts", "list").out
        mail.refusal = None
        assert command("alerts", "retry", notice["id"]).err == "bias:sex opened to email: sent\n"
    assert mail.subjects == [f"[ECG] WARNING: {TITLE}"]
    missing = command("alerts", "retry", notice["id"])
    assert (missing.exit_code, "is dead" in missing.err) == (2, True)


def test_what_is_over_and_not_told_is_listed_and_the_rest_with_all(
    database: str, command: Command, mail: MailServer
) -> None:
    command("monitor", "bias", "--days", 1)
    make_alike(database)
    command("monitor", "bias", "--days", 1)
    (alert,) = json.loads(command("alerts", "list", "--json").out)["alerts"]
    assert alert["resolved_at"] is not None
    assert [one["event"] for one in alert["notices"]] == ["opened", "resolved"]
    with mail.listening():
        command("monitor", "bias", "--days", 1)
    assert mail.subjects == [f"[ECG] WARNING: {TITLE}", f"[ECG] Resolved: {TITLE}"]
    assert json.loads(command("alerts", "list", "--json").out) == {"alerts": []}
    assert len(json.loads(command("alerts", "list", "--all", "--json").out)["alerts"]) == 1


def test_a_test_goes_to_every_channel_and_says_what_came_of_it(
    command: Command, mail: MailServer, slack: WebhookServer
) -> None:
    with both(mail, slack):
        done = command("alerts", "test")
    assert (done.exit_code, done.err) == (0, "")
    assert sorted(done.out.decode().splitlines()) == ["email (warning and worse): sent", "slack (info and worse): sent"]
    assert mail.subjects == posted(slack) == ["[ECG] Test"]
    with slack.listening():
        half = command("alerts", "test")
    assert (half.exit_code, b"slack (info and worse): sent" in half.out) == (1, True)
    assert "email (warning and worse): Connection error" in half.err


def test_without_a_channel_a_test_is_refused(command: Command) -> None:
    refused = command("alerts", "test")
    assert (refused.exit_code, "ECG_SMTP_URL" in refused.err) == (1, True)


def test_no_secret_is_stored_or_printed(database: str, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NotifySlack, "webhook_url", "http://127.0.0.1:9/services")
    monkeypatch.setenv("ECG_SLACK_WEBHOOK", f"https://hooks.slack.com/services/{TOKENS}")
    monkeypatch.setenv("ECG_SMTP_URL", "smtp://ecg:hunter2@127.0.0.1:9/?from=ecg@x.org&to=ml@x.org")
    ran = [
        command("monitor", "bias", "--days", 1),
        command("alerts", "list"),
        command("alerts", "list", "--json"),
        command("alerts", "test"),
        command("config"),
    ]
    printed = "".join(one.out.decode() + one.err for one in ran)
    assert "Connection refused" in printed
    store = open_store(database, chain_id="reader")
    with store.reader() as reader:
        (alert,) = reader.alerts.list(open_only=True, limit=9)
        assert alert.id is not None
        stored = repr(reader.alerts.notices(alert.id))
    store.close()
    for secret in SECRETS:
        assert secret not in printed + stored


@pytest.mark.parametrize(
    ("name", "value"),
    [("ECG_SMTP_URL", "mailto://hunter2@x.org"), ("ECG_SLACK_WEBHOOK", "https://example.org/hunter2"),
     ("ECG_ALERT_CHANNELS", "none.json")],
)  # fmt: skip
def test_a_wrong_channel_ends_the_command_with_one_line_before_it_begins(
    database: str, command: Command, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    refused = command("monitor", "bias", "--days", 1)
    (line,) = refused.err.splitlines()
    assert (refused.exit_code, refused.out, line.startswith(name), "hunter2" in line) == (1, b"", True, False)


def test_a_mail_and_a_message_arrive_within_seconds_of_the_run(
    database: str, command: Command, mail: MailServer, slack: WebhookServer
) -> None:
    with both(mail, slack):
        began = monotonic()
        command("monitor", "bias", "--days", 1)
    assert max(mail.arrived[0][0], slack.arrived[0][0]) - began < 10

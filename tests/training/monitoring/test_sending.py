"""Real messages to real servers on loopback."""

import io
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from apprise.plugins.slack import NotifySlack
from pydantic import SecretStr

from inference.errors import ConfigurationError
from tests.receivers import MailServer, WebhookServer, certificate, free_port
from training.monitoring.channels import Channel, load_channels
from training.monitoring.notice import Message
from training.monitoring.sending import NotSent, checked, send

TOKENS = "T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7"
PASSWORD = "p%w@/x"
ENCODED = "p%25w%40%2Fx"
MESSAGE = Message("[ECG] WARNING: Urgent rate by sex, µV", "Lowest over highest 0.57\n.\nfemale < male", "warning")


def mail(port: int, *, scheme: str = "smtp", login: str = "", to: str = "a@x.org", more: str = "&tls=no") -> Channel:
    (found,) = load_channels(SecretStr(f"{scheme}://{login}127.0.0.1:{port}/?from=ecg@x.org&to={to}{more}"))
    return found


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> WebhookServer:
    """In place of hooks.slack.com, which apprise has as a constant; all else is as Slack would get it."""
    server = WebhookServer()
    monkeypatch.setattr(NotifySlack, "webhook_url", f"http://{server.address}/services")
    return server


def slack_channel() -> Channel:
    (found,) = load_channels(None, SecretStr(f"https://hooks.slack.com/services/{TOKENS}"))
    return found


def hook(server: WebhookServer, path: str = "in/SECRET-TOKEN") -> Channel:
    return Channel(
        name="hook", least="info", service=f"json://{server.address}/{path}", secrets=frozenset({"SECRET-TOKEN"})
    )


def refused(channel: Channel, message: Message = MESSAGE) -> str:
    with pytest.raises(NotSent) as caught:
        send(channel, message)
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_a_mail_arrives_as_it_was_written() -> None:
    with MailServer().listening() as server:
        send(mail(server.port), MESSAGE)
    ((_, recipients, got),) = server.arrived
    assert recipients == ["a@x.org"]
    assert (got["Subject"], got["From"], got["To"]) == (MESSAGE.title, "ECG monitoring <ecg@x.org>", "a@x.org")
    assert got.get_content_type() == "text/plain"
    assert got.get_content().splitlines() == MESSAGE.body.splitlines()
    assert {"Message-ID", "Date"} <= set(got.keys())


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_mail_goes_encrypted_with_its_password(scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trusted, context = certificate(tmp_path)
    server = MailServer(tls=context, immediate=scheme == "smtps", login=("ecg", PASSWORD))
    with server.listening():
        channel = mail(server.port, scheme=scheme, login=f"ecg:{ENCODED}@", more="")
        assert "certificate verify failed" in refused(channel), "who is not trusted gets no password"
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        send(channel, MESSAGE)
        wrong = refused(mail(server.port, scheme=scheme, login="ecg:hunter2@", more=""))
    assert len(server.arrived) == 1
    assert "535" in wrong
    assert "hunter2" not in wrong


def test_nothing_goes_to_a_mail_server_that_offers_no_encryption() -> None:
    with MailServer().listening() as server:
        assert "STARTTLS" in refused(mail(server.port, more=""))
    assert server.arrived == []


def test_a_mail_that_is_refused_is_not_sent_and_the_reason_is_told() -> None:
    server = MailServer(refused=frozenset({"b@x.org"}))
    with server.listening():
        assert "550" in refused(mail(server.port, to="b@x.org"))
        server.refusal = "552 too much"
        assert "552" in refused(mail(server.port))
    assert "Connection refused" in refused(mail(server.port))


def test_slack_gets_what_its_webhook_expects_and_nobody_is_called(slack: WebhookServer) -> None:
    with slack.listening():
        send(slack_channel(), Message("T <!here> & more", "<!channel> @here *not bold*\nsecond", "critical"))
    ((_, path, body),) = slack.arrived
    assert path == f"/services/{TOKENS}"
    (shown,) = body["attachments"]
    assert shown["title"] == "T &lt;!here&gt; &amp; more"
    assert shown["text"] == "&lt;!channel&gt; @\u200bhere *not bold*\nsecond"
    assert (body["mrkdwn"], shown["color"], shown["footer"]) == (False, "#A32037", "ECG monitoring")
    assert "icon_url" not in body, "nothing is loaded from elsewhere"


def test_slack_s_reason_is_told_without_the_webhook(slack: WebhookServer) -> None:
    down = refused(slack_channel())
    assert "Connection refused" in down
    slack.answer = (404, b"channel_is_archived")
    with slack.listening():
        archived = refused(slack_channel())
        slack.answer = (200, f"who is {TOKENS.lower()}?".encode())
        strange = refused(slack_channel())
    assert "channel_is_archived" in archived
    for reason in (down, archived, strange):
        assert not {part.lower() for part in TOKENS.split("/")} & set(reason.lower().replace("/", " ").split())
        assert "TIiajkdnlazkcOXrIdevi7".lower() not in reason.lower()


def test_any_other_service_is_reached_by_its_address() -> None:
    with WebhookServer().listening() as server:
        send(hook(server), MESSAGE)
        server.answer = (302, b"")
        assert "302" in refused(hook(server)), "a message goes where its channel says"
    ((_, path, body), _) = server.arrived
    assert path == "/in/SECRET-TOKEN"
    assert (body["title"], body["message"], body["type"]) == (MESSAGE.title, MESSAGE.body, "warning")
    assert "SECRET-TOKEN" not in refused(hook(server))


def test_nothing_of_an_address_gets_into_the_log(slack: WebhookServer, capfd: pytest.CaptureFixture[str]) -> None:
    logged = io.StringIO()
    root, handler = logging.getLogger(), logging.StreamHandler(logged)
    level = root.level
    root.addHandler(handler)  # as `logs.configure` does; pytest's own hears what goes to nobody else
    root.setLevel(logging.DEBUG)
    try:
        refused(slack_channel())
        with slack.listening():
            send(slack_channel(), MESSAGE)
        refused(mail(free_port(), login="ecg:hunter2@", more=""))
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    captured = capfd.readouterr()
    assert logged.getvalue() + captured.out + captured.err == ""


def test_an_address_that_nobody_understands_is_refused_when_it_is_read() -> None:
    channel = Channel(name="pager", least="info", service="pager://SECRET-TOKEN", secrets=frozenset({"SECRET-TOKEN"}))
    with pytest.raises(ConfigurationError, match="channel pager: ") as caught:
        checked((channel,))
    assert "SECRET-TOKEN" not in str(caught.value)
    good = (slack_channel(), mail(25))
    assert checked(good) == good


def test_apprise_is_imported_on_first_use() -> None:
    code = "import sys, training.monitoring.telling; sys.exit('apprise' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

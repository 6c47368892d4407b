import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from inference.errors import ConfigurationError
from training.monitoring.channels import load_channels

MAIL = "smtps://ecg:hunter2@mail.example:465/?from=ecg@x.org&to=a@x.org"
SLACK = "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7"


def mail(url: str) -> list[dict[str, object]]:
    services = [channel.service for channel in load_channels(SecretStr(url))]
    assert all(not isinstance(service, str) for service in services)
    return [dict(service) for service in services if not isinstance(service, str)]


def test_without_settings_nobody_is_told() -> None:
    assert load_channels() == ()


def test_mail_hears_of_warnings_and_slack_of_everything() -> None:
    found = load_channels(SecretStr(MAIL), SecretStr(SLACK))
    assert [(channel.name, channel.least, channel.is_mail) for channel in found] == [
        ("email", "warning", True),
        ("slack", "info", False),
    ]


def test_a_file_names_further_channels_with_their_severities(tmp_path: Path) -> None:
    entries = [
        {"name": "on-call", "url": "json://pager.example/x", "severity": "critical"},
        {"name": "ward", "url": "smtp://relay.example/?from=ecg@x.org&to=w@x.org&tls=no"},
    ]
    (tmp_path / "channels.json").write_text(json.dumps(entries))
    found = load_channels(SecretStr(MAIL), None, tmp_path / "channels.json")
    assert [(channel.name, channel.least) for channel in found] == [
        ("email", "warning"),
        ("on-call", "critical"),
        ("ward", "info"),
    ]


def test_the_scheme_says_how_the_connection_is_secured() -> None:
    ends = "?from=ecg@x.org&to=a@x.org"
    found = [
        mail(url)[0]
        for url in (
            f"smtps://u:p@h/{ends}",
            f"smtp://u:p@h/{ends}",
            f"smtp://h:25{ends}&tls=no",
        )
    ]
    assert [(one["schema"], one["secure_mode"], one["port"]) for one in found] == [
        ("mailtos", "ssl", None),
        ("mailtos", "starttls", None),
        ("mailto", "insecure", 25),
    ]


def test_each_address_is_a_channel_of_its_own_and_may_have_a_plus() -> None:
    url = "smtp://h/?from=ecg@x.org&to=a+ecg@x.org,b%2Bc@x.org"
    found = load_channels(SecretStr(url))
    assert [channel.name for channel in found] == ["email-1", "email-2"]
    assert [one["targets"] for one in mail(url)] == [["a+ecg@x.org"], ["b+c@x.org"]]


@pytest.mark.parametrize(
    "url",
    [
        "smtp://host/?from=ecg@x.org",
        "smtp://host/?to=ecg@x.org",
        "smtp://host/?from=ecg&to=a@x.org",
        "smtp://host/?from=ecg@x.org&to=a@x.org,",
        "smtp:///?from=ecg@x.org&to=a@x.org",
        "smtp://ecg:hunter2@host:http/?from=ecg@x.org&to=a@x.org",
        "smtp://ecg:hunter2@host/box?from=ecg@x.org&to=a@x.org",
        "smtp://ecg:hunter2@host/?from=ecg@x.org&to=a@x.org&cc=b@x.org",
        "smtp://ecg:hunter2@host/?from=ecg@x.org&to=a@x.org&tls=no",
        "smtps://host/?from=ecg@x.org&to=a@x.org&tls=no",
        "smtp://ecg:hunter2@host/?from=ecg@x.org&to=a@x.org%0d%0aBcc:b@x.org",
        "mailto://ecg:hunter2@x.org",
        "hunter2",
    ],
)
def test_a_wrong_mail_address_is_refused_by_the_setting_and_not_quoted(url: str) -> None:
    with pytest.raises(ConfigurationError, match="ECG_SMTP_URL: ") as caught:
        load_channels(SecretStr(url))
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("url", ["http://hooks.slack.com/services/A/B/C", "https://evil.example/services/A/B/SECRET"])
def test_a_webhook_of_somebody_else_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"ECG_SLACK_WEBHOOK: is not https://hooks\.slack\.com") as caught:
        load_channels(None, SecretStr(url))
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "file: "),
        ('[{"name": "Pager", "url": "json://SECRET"}]', "0 / name: "),
        ('[{"name": "pager", "url": "json://SECRET", "severity": "loud"}]', "0 / severity: "),
        ('[{"name": "pager", "url": "json://SECRET", "to": "x"}]', "0 / to: "),
        ('[{"name": "email", "url": "json://SECRET"}]', "email is there twice"),
    ],
)
def test_a_wrong_file_is_refused_by_name_and_place(tmp_path: Path, content: str, problem: str) -> None:
    file = tmp_path / "channels.json"
    file.write_text(content)
    with pytest.raises(ConfigurationError, match="ECG_ALERT_CHANNELS") as caught:
        load_channels(SecretStr(MAIL), None, file)
    assert problem in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        load_channels(file=tmp_path / "none.json")


def test_an_address_is_in_no_repr() -> None:
    found = load_channels(SecretStr(MAIL), SecretStr(SLACK))
    for secret in ("hunter2", "mail.example", "TIiajkdnlazkcOXrIdevi7"):
        assert secret not in repr(found)

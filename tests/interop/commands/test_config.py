"""`config`: what is in force, and no secret of it."""

import json
from pathlib import Path

import pytest

from interop.settings import Settings
from tests.interop.commands.conftest import Command

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ECG_DATABASE_URL", f"postgresql+psycopg2://ecg:{SECRET}@db.example/ecg")
    monkeypatch.setenv("ECG_SMTP_URL", f"smtp://ecg:{SECRET}@mail.example/?from=ecg@x.org&to=a@x.org")
    monkeypatch.setenv("ECG_SLACK_WEBHOOK", f"https://hooks.slack.com/services/A/B/{SECRET}")
    monkeypatch.setenv("ECG_HTTP_PORT", "8123")


def test_every_setting_is_shown_with_its_value_and_meaning(command: Command) -> None:
    shown = command("config")
    text = shown.out.decode()
    assert (shown.exit_code, shown.err) == (0, "")
    for name, field in Settings.model_fields.items():
        assert f"ECG_{name.upper()}" in text
        assert (field.description or "").split()[0] in text
    assert "8123" in text


def test_a_program_gets_json(command: Command) -> None:
    document = json.loads(command("config", "--json").out)
    assert document.keys() == {f"ECG_{name.upper()}" for name in Settings.model_fields}
    assert document["ECG_HTTP_PORT"] == 8123
    assert document["ECG_OUTBOUND_MLLP"] is None


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_secrets_are_masked(command: Command, options: tuple[str, ...]) -> None:
    shown = command("config", *options)
    assert SECRET not in shown.out.decode() + shown.err
    assert "*****" in shown.out.decode()


def test_settings_of_a_file_are_in_force_below_those_of_the_environment(command: Command, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ECG_HTTP_PORT=9999\nECG_MLLP_PORT=2999\n")
    document = json.loads(command("config", "--json").out)
    assert (document["ECG_HTTP_PORT"], document["ECG_MLLP_PORT"]) == (8123, 2999)


@pytest.mark.parametrize(
    ("name", "value"),
    [("ECG_HTTP_PORT", "99999"), ("ECG_DATABASE_URL", f"mysql://ecg:{SECRET}@db/ecg"), ("ECG_TIME_ZONE", "Mars"),
     ("ECG_MODE", "loud"), ("ECG_ACUTE_WINDOW", "soon"), ("ECG_MLLP_ALLOW", "everybody")],
)  # fmt: skip
def test_a_wrong_setting_is_one_line_that_names_it(
    command: Command, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    refused = command("config")
    (line,) = refused.err.strip().splitlines()
    assert (refused.exit_code, refused.out) == (2, b"")
    assert line.startswith(f"{name}: ")
    assert SECRET not in line


def test_every_wrong_setting_has_its_line(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECG_HTTP_PORT", "-1")
    monkeypatch.setenv("ECG_LOG_LEVEL", "LOUD")
    refused = command("config")
    assert refused.exit_code == 2
    assert [line.partition(":")[0] for line in refused.err.splitlines()] == ["ECG_HTTP_PORT", "ECG_LOG_LEVEL"]


def test_wrong_usage_is_one_line_and_exit_code_2(command: Command) -> None:
    refused = command("config", "--yaml")
    assert (refused.exit_code, len(refused.err.strip().splitlines())) == (2, 1)

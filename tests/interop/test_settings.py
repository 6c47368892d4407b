from datetime import timedelta

import pytest
from pydantic import ValidationError

from interop.settings import Settings


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.chdir(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("24h", timedelta(hours=24)),
        ("90 m", timedelta(minutes=90)),
        ("7d", timedelta(days=7)),
        ("PT2H", timedelta(hours=2)),
    ],
)
def test_durations_read_as_an_operator_writes_them(
    monkeypatch: pytest.MonkeyPatch, text: str, window: timedelta
) -> None:
    monkeypatch.setenv("ECG_ACUTE_WINDOW", text)
    assert Settings().acute_window == window


def test_a_host_beyond_loopback_is_refused_without_authorization(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECG_HOST", "0.0.0.0")
    with pytest.raises(ValidationError, match="ECG_ALLOW_ANONYMOUS"):
        Settings()


def test_mllp_beyond_loopback_needs_a_list_of_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECG_HOST", "0.0.0.0")
    monkeypatch.setenv("ECG_ALLOW_ANONYMOUS", "true")
    with pytest.raises(ValidationError, match="ECG_MLLP_ALLOW"):
        Settings()
    monkeypatch.setenv("ECG_MLLP_ALLOW", "10.0.0.0/8, 192.168.1.7/32")
    assert Settings().mllp_allow == ("10.0.0.0/8", "192.168.1.7/32")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ECG_MLLP_ALLOW", "10.0.0.0/99"),
        ("ECG_TIME_ZONE", "Mars/Olympus"),
        ("ECG_DATABASE_URL", "mysql://host/x"),
        ("ECG_OUTBOUND_MLLP", "ehr"),
        ("ECG_HTTP_PORT", "70000"),
        ("ECG_ACUTE_WINDOW", "0s"),
        ("ECG_MODE", "loud"),
        ("ECG_PRECISION", "int4"),
    ],
)
def test_a_wrong_value_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert name.removeprefix("ECG_").lower() in str(caught.value)


def test_the_database_password_is_not_shown() -> None:
    settings = Settings(database_url="postgresql+psycopg2://ecg:hunter2@db/ecg")
    assert "hunter2" not in repr(settings)

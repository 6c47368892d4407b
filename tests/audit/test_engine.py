from pathlib import Path

import pytest

from audit.engine import connect, database_url, sqlite_file
from inference.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "driver"),
    [
        ("sqlite:///var/ecg.sqlite", "sqlite+pysqlite"),
        ("postgresql://ecg@db/ecg", "postgresql+psycopg2"),
        ("postgresql+psycopg2://ecg@db/ecg", "postgresql+psycopg2"),
    ],
)
def test_a_supported_url_gets_our_driver(text: str, driver: str) -> None:
    assert database_url(text).drivername == driver


@pytest.mark.parametrize(
    "text",
    ["", "ecg.sqlite", "sqlite://", "sqlite:///:memory:", "mysql://u:secret@h/d", "postgresql+asyncpg://u:secret@h/d"],
)
def test_another_url_is_refused_without_its_password(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        database_url(text)
    assert "secret" not in str(caught.value)


def test_the_file_of_a_url_is_known() -> None:
    assert sqlite_file("sqlite:///var/ecg.sqlite") == Path("var/ecg.sqlite")
    assert sqlite_file("postgresql://ecg@db/ecg") is None


def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "ecg.sqlite"
    engines = connect(f"sqlite:///{file}")
    with engines.writer.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a)")
        files = {path.name: path.stat().st_mode & 0o777 for path in file.parent.iterdir()}
    engines.dispose()
    assert files == dict.fromkeys(("ecg.sqlite", "ecg.sqlite-wal", "ecg.sqlite-shm"), 0o600)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"file/ecg\.sqlite"):
        connect(f"sqlite:///{tmp_path}/file/ecg.sqlite")

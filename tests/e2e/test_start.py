"""What `serve` and the store commands do with a database that is not as this version needs it."""

from pathlib import Path

from audit.upgrade import upgrade
from tests.audit.conftest import run_statements
from tests.e2e.conftest import command, unmigrated


def test_serving_an_unmigrated_postgresql_ends_with_1_and_names_the_remedy(tmp_path: Path, postgresql: str) -> None:
    result = command(
        "serve", "--http-port", "0", "--mllp-port", "0", folder=tmp_path, database_url=unmigrated(postgresql)
    )
    assert result.returncode == 1
    assert "ecg-interop db upgrade" in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_a_database_of_a_later_version_is_left_alone(tmp_path: Path, own_database: str) -> None:
    upgrade(own_database)
    later = "UPDATE alembic_version SET version_num = '9999'", "UPDATE compatibility SET oldest_schema = '9999'"
    run_statements(own_database, *later)
    result = command("serve", "--http-port", "0", "--mllp-port", "0", folder=tmp_path, database_url=own_database)
    assert result.returncode == 1
    assert "9999" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_database_that_is_away_at_the_start_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    result = command(
        "serve", "--http-port", "0", "--mllp-port", "0",
        folder=tmp_path, database_url="postgresql+psycopg2://ecg:secret@127.0.0.1:1/ecg",
    )  # fmt: skip
    assert result.returncode == 1
    assert "secret" not in result.stderr
    assert "Traceback" not in result.stderr

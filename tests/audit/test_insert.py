from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, func, select
from sqlalchemy.exc import IntegrityError

from audit.engine import database_url
from audit.insert import MAX_ROWS, insert_absent, insert_all, insert_if_absent
from audit.schema import claims


@pytest.fixture
def connection(migrated_url: str) -> Iterator[Connection]:
    engine = create_engine(database_url(migrated_url))
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def claim(key: str) -> dict[str, Any]:
    return {"scope": "s", "key": key, "owner": "Observation/1 %s ? :x", "digest": "d"}


def count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(claims)).scalar_one()


def test_one_row_is_inserted_once(connection: Connection) -> None:
    row = insert_if_absent(connection, claims, claim("a"))
    assert row is not None
    assert tuple(row) == ("s", "a")
    assert insert_if_absent(connection, claims, claim("a")) is None
    assert connection.execute(select(claims.c.owner)).scalar_one() == "Observation/1 %s ? :x"


def test_of_many_rows_those_that_are_absent_are_inserted_and_counted(connection: Connection) -> None:
    assert insert_absent(connection, claims, [claim("a"), claim("b")]) == 2
    assert insert_absent(connection, claims, [claim("b"), claim("c"), claim("d")]) == 2
    assert count(connection) == 4


def test_more_rows_than_a_statement_takes_are_inserted(connection: Connection) -> None:
    insert_all(connection, claims, [claim(str(number)) for number in range(2 * MAX_ROWS + 1)])
    assert count(connection) == 2 * MAX_ROWS + 1


def test_no_rows_are_no_statement(connection: Connection) -> None:
    insert_all(connection, claims, [])
    assert insert_absent(connection, claims, []) == 0


def test_a_row_that_is_there_is_an_error_where_all_must_be_new(connection: Connection) -> None:
    insert_all(connection, claims, [claim("a")])
    with pytest.raises(IntegrityError):
        insert_all(connection, claims, [claim("b"), claim("a")])

"""Great Expectations at work: what it says of a table, and what it must not do besides."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from training.validation.checking import MAX_EXAMPLES, check
from training.validation.expectations import BETWEEN, Expectation
from training.validation.report import Severity
from training.validation.tables import ID, Table


def between(column: str, **limits: float) -> Expectation:
    arguments = {"column": column, **limits}
    return Expectation("values", column, Severity.BLOCK, Table.RECORDINGS, BETWEEN, arguments, "0 to 130", "because")


@pytest.fixture
def table() -> dict[Table, pd.DataFrame]:
    ages = [float("nan"), 20, *[300] * 8]
    return {Table.RECORDINGS: pd.DataFrame({ID: [f"R{i}" for i in range(10)], "age": ages})}


def test_a_finding_counts_rows_and_names_some_of_them_and_nothing_else(table: dict[Table, pd.DataFrame]) -> None:
    (found,) = check([between("age", min_value=0, max_value=130)], table)
    assert (found.passed, found.rows, found.failed) == (False, 10, 8)
    assert found.examples == tuple(f"R{i}" for i in range(2, 2 + MAX_EXAMPLES))
    assert "300" not in found.line
    assert found.seen == "8 of 10 (80.0%) not so"


def test_a_tolerated_share_passes_and_is_still_told(table: dict[Table, pd.DataFrame]) -> None:
    (found,) = check([between("age", max_value=130, mostly=0.1)], table)
    assert (found.passed, found.failed) == (True, 8)


def test_what_is_unknown_breaks_nothing(table: dict[Table, pd.DataFrame]) -> None:
    (found,) = check([between("age", max_value=300)], table)
    assert (found.passed, found.failed, found.seen) == (True, 0, "all 10")


def test_an_expectation_that_cannot_be_evaluated_is_broken(table: dict[Table, pd.DataFrame]) -> None:
    (found,) = check([between("weight", max_value=130)], table)
    assert not found.passed
    assert found.seen.startswith("could not be evaluated: ")
    assert "weight" in found.seen


def test_findings_come_in_the_order_of_the_expectations(table: dict[Table, pd.DataFrame]) -> None:
    asked = [between("weight", max_value=1), between("age", max_value=1)]
    assert [f.name for f in check(asked, table)] == ["weight", "age"]


# Every connection and every file opened for writing while data is checked; sys.addaudithook cannot be undone, so this
# runs in a process of its own.
WATCHED = """
import json, sys
import training.validation.validate, training.validation.rendering, interop.cli
imported = "great_expectations" in sys.modules
seen = []
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.gethostbyname"):
        seen.append(event)
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        if "__pycache__" not in str(arguments[0]):
            seen.append(str(arguments[0]))
sys.addaudithook(watch)
import pandas as pd
from training.validation.checking import check
from training.validation.expectations import expectations
from training.validation.limits import Limits
from training.validation.tables import COLUMNS, ID, Table
empty = {t: pd.DataFrame({c: [] for c in (ID, *COLUMNS.get(t, COLUMNS[Table.SIGNALS]))}) for t in Table}
check(expectations(Limits()), empty)
print(json.dumps({"imported": imported, "seen": seen, "afterwards": "great_expectations" in sys.modules}))
"""


def test_it_is_imported_late_and_neither_calls_home_nor_writes_anything(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", WATCHED], cwd=root, env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == {"imported": False, "seen": [], "afterwards": True}
    assert list(tmp_path.iterdir()) == []
    assert "Calculating Metrics" not in done.stderr

"""scripts/bench_trend.py: what counts as slower, and what as noise."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.bench_trend import MACHINE, UNEVEN, best, changes, report, unevenness
from tests.bench.figures import Row, Table
from tests.bench.report import figures
from tests.conftest import ROOT

TABLES = (
    Table("The machine itself", (Row(what=MACHINE, p50=3.0, p99=3.3),)),
    Table(
        "Doors",
        (
            Row(what="/predict", p50=10.0, p99=14.0, rate=100.0),
            Row(what="memory", p50=300.0, unit="MB"),
            Row(what="parsing", p50=1.0, factor=25.0),
        ),
    ),
)


def _run(machine: float = 1.0, **rows: float) -> dict[str, Any]:
    """A run in which all times are those of a machine so much slower, and rows slower by more."""
    run: dict[str, Any] = json.loads(figures(["two cores"], TABLES))
    for row in run["rows"]:
        by = rows.get(row["what"].strip("/"), 1.0)
        if row["unit"] == "ms":
            row.update({name: row[name] * machine * by for name in ("p50", "p99") if row[name]})
        else:
            row["p50"] *= by
        if row["rate"]:
            row["rate"] /= machine * by
        if row["factor"]:
            row["factor"] /= by
    return run


def _verdicts(base: list[dict[str, Any]], new: list[dict[str, Any]], tolerance: float = 0.3) -> tuple[list[str], bool]:
    text, holds = report(best(base), best(new), tolerance)
    return [line for line in text.splitlines() if "**worse**" in line], holds


def test_the_machines_own_row_is_named_as_the_benchmark_names_it() -> None:
    assert f'"{MACHINE}"' in (ROOT / "tests/bench/machine.py").read_text()


def test_the_same_figures_hold() -> None:
    assert _verdicts([_run()], [_run()]) == ([], True)


@pytest.mark.parametrize("row", ["predict", "memory", "parsing"])
def test_a_row_that_got_worse_fails_alone(row: str) -> None:
    worse, holds = _verdicts([_run()], [_run(**{row: 1.5})])
    assert not holds
    assert {line.split(":")[1].split("|")[0].strip(" /") for line in worse} == {row}


def test_within_the_tolerance_it_holds() -> None:
    assert _verdicts([_run()], [_run(predict=1.29)]) == ([], True)
    assert _verdicts([_run()], [_run(predict=1.31)])[1] is False


def test_better_is_never_worse() -> None:
    assert _verdicts([_run()], [_run(predict=0.2, memory=0.2, parsing=0.2)]) == ([], True)


def test_a_machine_that_is_twice_as_slow_is_no_regression() -> None:
    assert _verdicts([_run()], [_run(machine=2.0)]) == ([], True)


def test_a_machine_that_is_twice_as_fast_does_not_hide_one() -> None:
    assert _verdicts([_run()], [_run(machine=0.5, predict=1.5)])[1] is False


def test_memory_and_factors_are_not_taken_in_units_of_the_machine() -> None:
    found = {change.key[1:]: change.slower for change in changes(best([_run()]), best([_run(machine=2.0)]))}
    assert found["memory", "MB", "p50"] == found["parsing", "ms", "factor"] == 0


def test_the_best_of_several_runs_counts_on_both_sides() -> None:
    noisy, quiet = _run(predict=1.8), _run()
    assert _verdicts([quiet], [noisy, quiet]) == ([], True)
    assert _verdicts([noisy, quiet], [noisy])[1] is False


def test_p99_is_shown_and_not_judged() -> None:
    new = _run()
    for row in new["rows"][1:]:
        row["p99"] = 5 * row["p99"] if row["p99"] else None
    text, holds = report(best([_run()]), best([new]), 0.3)
    assert holds
    assert "| p99 | 14 ms | 70 ms | +400% | not judged |" in text


def test_rows_of_one_side_only_are_named() -> None:
    new = _run()
    new["rows"][1]["what"] = "/forecast"
    text, holds = report(best([_run()]), best([new]), 0.3)
    assert holds
    assert "Gone: Doors: /predict (p50)" in text
    assert "New: Doors: /forecast (p50)" in text


def test_without_the_machines_row_nothing_can_be_compared() -> None:
    run = _run()
    del run["rows"][0]
    with pytest.raises(ValueError, match='the section "machine"'):
        unevenness(run)


def _command(folder: Path, tolerance: str, base: list[dict[str, Any]], new: dict[str, Any]) -> tuple[int, str]:
    files = []
    for number, run in enumerate([*base, new]):
        files.append(str(folder / f"{number}.json"))
        Path(files[-1]).write_text(json.dumps(run))
    command = [sys.executable, "scripts/bench_trend.py", "--base", *files[:-1], "--new", files[-1]]
    done = subprocess.run(
        [*command, "--tolerance", tolerance], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize(("tolerance", "code"), [("30", 1), ("150", 0)])
def test_the_command_says_it_with_its_exit_code(tolerance: str, code: int, tmp_path: Path) -> None:
    found, printed = _command(tmp_path, tolerance, [_run()], _run(predict=2.0))
    assert printed.startswith("The machine: 3.00 ms before, 3.00 ms now")
    assert found == code


def _uneven(run: dict[str, Any]) -> dict[str, Any]:
    run["rows"][0]["p99"] = 1.1 * UNEVEN * run["rows"][0]["p50"]
    return run


def test_runs_on_an_uneven_machine_are_left_out(tmp_path: Path) -> None:
    code, printed = _command(tmp_path, "30", [_uneven(_run()), _run(predict=1.9)], _run(predict=2.0))
    assert code == 0
    assert printed.count("Left out") == 1
    assert "/predict" in printed


def test_with_no_run_on_an_even_machine_nothing_is_judged_and_it_is_said(tmp_path: Path) -> None:
    code, printed = _command(tmp_path, "30", [_run()], _uneven(_run(predict=2.0)))
    assert code == 0
    assert printed.endswith("Nothing is judged: one side has no run that could be.\n")

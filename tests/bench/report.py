"""The tables for a terminal and for a document."""

import json
import os
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from tests.bench.figures import Row, Table

BUSY = 1.0  # a load average above this at the start: something else has a core
COLUMNS = ("what", "p50", "p99", "rate", "budget", "verdict", "note")
FIGURES = slice(1, 4)
_FIGURES = re.compile(r"(?<=<!-- figures -->\n).*?(?=<!-- /figures -->)", re.DOTALL)


def conditions(model: str) -> tuple[str, ...]:
    """On what the figures were measured, and a warning where they cannot be trusted."""
    load = os.getloadavg()[0]
    cores = len(os.sched_getaffinity(0))
    lines: tuple[str, ...] = (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; {cores} cores, {_processor()}; load average {load:.2f} at the start",
        f"Python {platform.python_version()}, onnxruntime {version('onnxruntime')}, numpy {version('numpy')}; "
        f"SQLite, synchronous FULL; model {model}",
    )
    if load > BUSY:
        lines += (f"WARNING: the load average was {load:.2f}: the machine is not idle, do not compare these figures.",)
    return lines


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def show(console: Console, table: Table) -> None:
    """Print one table."""
    grid = Grid(*_headings(table), title=escape(table.title), title_justify="left", title_style="bold")
    for column in grid.columns[FIGURES]:
        column.justify = "right"
    for row in table.rows:
        grid.add_row(*map(escape, _cells(row)))
    console.print(grid)


def markdown(lines: Sequence[str], tables: Sequence[Table]) -> str:
    """All tables as Markdown."""
    parts = [f"- {line}\n" for line in lines]
    for table in tables:
        parts.append(f"\n**{table.title}**\n\n| {' | '.join(_headings(table))} |\n|---|--:|--:|--:|---|---|---|\n")
        parts += [f"| {' | '.join(cell.replace('|', '/') for cell in _cells(row))} |\n" for row in table.rows]
    return "".join(parts)


def figures(lines: Sequence[str], tables: Sequence[Table]) -> str:
    """All tables as JSON, for a comparison with an earlier run."""
    rows = [
        {"table": table.title, "what": row.what, "unit": row.unit, "failures": row.failures}
        | {measure: getattr(row, measure) for measure in ("p50", "p99", "rate", "factor")}
        for table in tables
        for row in table.rows
    ]
    return json.dumps({"conditions": list(lines), "rows": rows}, indent=1) + "\n"


def write(file: Path, text: str) -> None:
    """Put the tables between the marks of a document, or make the file of them alone."""
    before = file.read_text() if file.exists() else ""
    file.write_text(_FIGURES.sub(lambda _: f"\n{text}\n", before) if _FIGURES.search(before) else text)


def _headings(table: Table) -> tuple[str, ...]:
    return tuple(table.heading if name == "p50" else name for name in COLUMNS)


def _cells(row: Row) -> tuple[str, ...]:
    factor = f"{row.factor:.0f}x faster" if row.factor is not None else ""
    note = " ".join(part for part in (factor, row.note) if part)
    rate = f"{row.rate:.0f}/s" if row.rate is not None else ""
    return row.what, _value(row.p50, row.unit), _value(row.p99, row.unit), rate, row.budget, row.verdict, note


def _value(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.{_digits(value)}f} {unit}"


def _digits(value: float) -> int:
    return 0 if value >= 100 else 1 if value >= 10 else 2

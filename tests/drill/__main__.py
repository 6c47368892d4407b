"""`make drill`: what docs/continuity.md says is done, on a PostgreSQL and two services of its own, under traffic."""

import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.bench.report import write
from tests.conftest import ROOT
from tests.drill.disasters import Outcome, happen
from tests.drill.hospital import ARCHIVE_SECONDS, SENDERS, SERVICES, hospital
from tests.e2e.inspection import Findings
from tests.e2e.traffic import example_recordings

HEADINGS = (
    "event",
    "acknowledged before",
    "nothing acknowledged for",
    "all services ready after",
    "acknowledged, then lost",
    "over a stretch of",
    "analysed twice",
    "results sent again",
    "audit trail",
    "verdict",
)

out = Console(width=None if Console().is_terminal else 220, soft_wrap=True, highlight=False)


def main(
    markdown: Annotated[
        Path | None, typer.Option(help="also write the table between the marks of this document")
    ] = None,
) -> None:
    """Let every disaster happen, one after the other. The exit code is 1 when more was lost than may be, or anything is
    doubled, half there or broken after senders have sent again."""
    lines = _conditions()
    with hospital(example_recordings(ROOT / "examples")) as running:
        outcomes = list(happen(running, lambda text: out.print(text, style="dim")))
    table = Table(*HEADINGS, title="drill")
    for outcome in outcomes:
        table.add_row(*map(escape, _cells(outcome)))
    out.print(*lines, table, sep="\n")
    for outcome in outcomes:
        if outcome.left != Findings():
            out.print(outcome.name, vars(outcome.left), markup=False)
    if markdown:
        write(markdown, as_markdown(lines, outcomes))
    sys.exit(0 if all(outcome.holds for outcome in outcomes) else 1)


def _conditions() -> tuple[str, ...]:
    cores = len(os.sched_getaffinity(0))
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; {cores} cores, load average {os.getloadavg()[0]:.1f} at the start",
        f"{SERVICES} services, {len(SENDERS)} senders, archive_timeout {ARCHIVE_SECONDS} s",
    )


def as_markdown(lines: Sequence[str], outcomes: Sequence[Outcome]) -> str:
    """The table for a document."""
    rows = [HEADINGS, ["---"] + ["--:"] * 7 + ["---"] * 2, *map(_cells, outcomes)]
    return "".join(f"- {line}\n" for line in lines) + "\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _cells(outcome: Outcome) -> list[str]:
    return [
        outcome.name,
        str(outcome.answered),
        f"{outcome.silent:.1f} s",
        f"{outcome.whole:.1f} s",
        str(outcome.lost),
        f"{outcome.reach:.1f} s" if outcome.lost else "",
        str(len(outcome.left.doubled)),
        str(outcome.repeated),
        f"{len(outcome.left.broken)} problems" if outcome.left.broken else "whole",
        "as promised"
        if outcome.holds
        else f"MISSED: {outcome.forbidden} lost that must not be, {_left(outcome)} wrong",
    ]


def _left(outcome: Outcome) -> int:
    return sum(map(len, vars(outcome.left).values()))


if __name__ == "__main__":
    typer.run(main)

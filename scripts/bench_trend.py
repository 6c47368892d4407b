"""Whether `make bench` has become slower: `python scripts/bench_trend.py --base OLD.json... --new NEW.json...`.

Each file is one run of `make bench ARGS="--json FILE"`. Prints a Markdown table, and exits 1 when a figure is worse by
more than the tolerance.

Shared machines differ by more than most changes do. So:
- Of several runs of one side the best counts: a neighbour makes a run slower, never faster.
- Times and rates are taken in units of the row "the same numpy and Python, one thread": how fast the machine
  was at that hour. It says nothing of its disk; figures that hang on the disk vary more.
- Only p50, rates, factors and sizes are judged. p99 is shown, but on shared machines it is mostly the neighbours'.
- A run on an uneven machine, whose own row's p99 is more than twice its p50 (1.3 times on an idle one), is left out;
  with none left nothing is judged, and it is said so.
- A row that only one side has is listed and not judged.
What is left is an alarm to look at, not a measurement; docs/benchmarks.md has those, from an idle machine.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MACHINE = "the same numpy and Python, one thread"
MORE_IS_BETTER = ("rate", "factor")
JUDGED = ("p50", "rate", "factor")
SHOWN = (*JUDGED, "p99")
TIMES = ("ms", "s", "µs")
UNEVEN = 2.0
Key = tuple[str, str, str, str]  # table, row, unit, measure


@dataclass(frozen=True)
class Change:
    """One figure on both sides; slower is above 0, as a part of the base, after the machine's own speed."""

    key: Key
    base: float
    new: float
    slower: float

    @property
    def judged(self) -> bool:
        """Whether it can fail the comparison."""
        return self.key[3] in JUDGED


def unevenness(run: dict[str, Any]) -> float:
    """p99 over p50 of the machine's own row. Raises ValueError without it: then nothing can be compared."""
    for row in run["rows"]:
        if row["what"] == MACHINE:
            return float(row["p99"] / row["p50"])
    raise ValueError(f'no row "{MACHINE}": run the section "machine", too')


def best(runs: Iterable[dict[str, Any]]) -> dict[Key, float]:
    """The best of each figure over several runs."""
    found: dict[Key, float] = {}
    for run in runs:
        for row in run["rows"]:
            for measure in SHOWN:
                value = row[measure]
                if value:  # a figure of 0 has no part that it could change by
                    key = (row["table"], row["what"], row["unit"], measure)
                    pick = max if measure in MORE_IS_BETTER else min
                    found[key] = pick(value, found.get(key, value))
    return found


def speed(side: dict[Key, float]) -> float:
    """Milliseconds for the machine's own row."""
    (found,) = (value for (_, what, _, measure), value in side.items() if what == MACHINE and measure == "p50")
    return found


def changes(base: dict[Key, float], new: dict[Key, float]) -> list[Change]:
    """Every figure that both sides have, but for the machine's own."""
    slowed = speed(new) / speed(base)
    found = []
    for key, before in base.items():
        _, what, unit, measure = key
        if key not in new or what == MACHINE:
            continue
        ratio = before / new[key] if measure in MORE_IS_BETTER else new[key] / before
        of_machine = measure == "rate" or (measure in ("p50", "p99") and unit in TIMES)
        found.append(Change(key, before, new[key], (ratio / slowed if of_machine else ratio) - 1))
    return found


def report(base: dict[Key, float], new: dict[Key, float], tolerance: float) -> tuple[str, bool]:
    """The table, and whether nothing that is judged got worse by more than the tolerance (0.3 is 30 %)."""
    lines = [
        f"The machine: {speed(base):.2f} ms before, {speed(new):.2f} ms now for the same work; changes are after that.",
        "",
        "| figure | | before | now | slower by | |",
        "|---|---|--:|--:|--:|---|",
    ]
    holds = True
    for change in changes(base, new):
        worse = change.judged and change.slower > tolerance
        holds = holds and not worse
        table, what, unit, measure = change.key
        verdict = "**worse**" if worse else "" if change.judged else "not judged"
        sign = "/s" if measure == "rate" else "x" if measure == "factor" else f" {unit}"
        cells = (f"{table}: {what}", measure, f"{change.base:.4g}{sign}", f"{change.new:.4g}{sign}")
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} | {change.slower:+.0%} | {verdict} |")
    for title, one, other in (("Gone", base, new), ("New", new, base)):
        lines += [f"\n{title}: {key[0]}: {key[1]} ({key[3]})" for key in one if key not in other]
    return "\n".join(lines) + "\n", holds


def main(arguments: Sequence[str]) -> int:
    """Compare files."""
    parser = argparse.ArgumentParser(description="Compare runs of `make bench`.")
    parser.add_argument("--base", type=Path, nargs="+", required=True, help="runs before")
    parser.add_argument("--new", type=Path, nargs="+", required=True, help="runs now")
    parser.add_argument("--tolerance", type=float, default=30, metavar="PERCENT", help="what is noise (default 30)")
    options = parser.parse_args(arguments)
    sides = []
    for paths in (options.base, options.new):
        runs = {path: json.loads(path.read_text()) for path in paths}
        even = {path: run for path, run in runs.items() if unevenness(run) <= UNEVEN}
        sys.stdout.writelines(
            f"Left out: {path}, made on an uneven machine (p99 of its own row {unevenness(run):.1f} times p50).\n\n"
            for path, run in runs.items()
            if path not in even
        )
        sides.append(best(even.values()))
    if not all(sides):
        sys.stdout.write("Nothing is judged: one side has no run that could be.\n")
        return 0
    text, holds = report(sides[0], sides[1], options.tolerance / 100)
    sys.stdout.write(text)
    return 0 if holds else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

"""`make bench`: measure the service and print the tables of the budgets. docs/benchmarks.md says how to read them."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from inference.artifact import find_model
from tests.bench import bundles, doors, forward, machine, parsing, search, streams
from tests.bench.figures import Table
from tests.bench.load import Clients
from tests.bench.report import conditions, figures, markdown, show, write
from tests.bench.sizes import DEFAULT, FULL, Sizes

Section = Callable[[Clients, Sizes], Iterable[Table]]

SECTIONS: dict[str, Section] = {
    "machine": lambda _, sizes: (machine.measure(sizes),),
    "doors": doors.measure,
    "bundles": bundles.measure,
    "sustained": lambda clients, sizes: (streams.sustained(clients, sizes.sustained),),
    "intake": lambda clients, sizes: (streams.intake(clients, sizes.intake),),
    "parsing": lambda _, sizes: parsing.measure(sizes),
    "forward": lambda _, sizes: forward.measure(sizes),
    "search": search.measure,
}
# Not part of the short run: the stores have to be filled first.
ONLY_FULL = frozenset({"search"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print. Gives 1 when a service answered wrongly; a missed budget is a finding, not a failure."""
    options = _options(arguments)
    sizes = FULL if options.full else DEFAULT
    if options.seconds is not None:
        sizes = replace(sizes, sustained=options.seconds)
    console = Console(width=None if Console().is_terminal else 200)
    folder = find_model(None)
    lines, tables = conditions(f"{folder.parent.name} {folder.name}"), []
    console.print(*lines, sep="\n", markup=False)
    for table in _tables(options.only or [name for name in SECTIONS if options.full or name not in ONLY_FULL], sizes):
        show(console, table)
        tables.append(table)
    if options.markdown:
        write(options.markdown, markdown(lines, tables))
    if options.json:
        options.json.write_text(figures(lines, tables))
    return int(any(row.failures for table in tables for row in table.rows))


def _tables(names: Sequence[str], sizes: Sizes) -> Iterator[Table]:
    clients = Clients()
    try:
        for name in names:
            yield from SECTIONS[name](clients, sizes)
    finally:
        clients.close()


def _options(arguments: Sequence[str] | None) -> Namespace:
    parser = ArgumentParser(prog="make bench ARGS=", description="Measure the service against its budgets.")
    parser.add_argument(
        "--full", action="store_true", help="5 minutes sustained, 60 s of small intake, more requests, searches"
    )
    parser.add_argument("--seconds", type=float, help="length of the sustained stream")
    parser.add_argument("--only", action="append", choices=list(SECTIONS), help="this section only; may be repeated")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the tables to this document")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures for scripts/bench_trend.py")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())

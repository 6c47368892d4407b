"""`dataset list`, `dataset download` and `dataset check`; `dataset validate` is in `interop.commands.validation`."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from inference.labels import Superclass
from interop.commands import validation
from interop.commands.console import WRONG_USAGE, err, out, print_json, print_table

if TYPE_CHECKING:
    from training.datasets.entry import Entry
    from training.datasets.indexed import IndexedDataSet

AsJson = Annotated[bool, typer.Option("--json", help="for a program to read")]
REASONS_SHOWN = 5

UNUSABLE = (ValueError, FileNotFoundError)  # the caller's to change


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    group = typer.Typer(no_args_is_help=True, help="Data sets to train on and to check against.")
    group.command("list")(list_datasets)
    group.command()(download)
    group.command()(check)
    validation.register(group)
    app.add_typer(group, name="dataset")


def list_datasets(as_json: AsJson = False) -> None:
    """List the kinds of data set that can be read, and where the public ones are given out."""
    from training.datasets.catalog import KINDS
    from training.datasets.sources import SOURCES

    rows = [(kind, found, SOURCES.get(kind)) for kind, found in KINDS.items()]
    if as_json:
        print_json(
            [
                {
                    "kind": kind,
                    "title": found.title,
                    "version": found.version,
                    "address": source.address if source else None,
                    "gigabytes": source.size if source else None,
                    "licence": source.licence if source else None,
                }
                for kind, found, source in rows
            ]
        )
        return
    table = Table("kind", "title", "version", "about", "licence", "address", box=None, padding=(0, 2, 0, 0))
    for kind, found, source in rows:
        given_out = (f"{source.size:g} GB", source.licence, source.address) if source else ("", "", "")
        table.add_row(kind, found.title, found.version, *given_out)
    print_table(table)


def download(
    name: Annotated[str, typer.Argument(help="ptbxl, chapman or code15")],
    to: Annotated[Path, typer.Option(file_okay=False, help="folder; what is there already and right is kept")],
    mirror: Annotated[str | None, typer.Option(help="address with the same content, instead of the official")] = None,
    connections: Annotated[int, typer.Option(min=1, max=16, help="files at a time")] = 4,
) -> None:
    """Download a public data set and verify every file; the same command again goes on where it was stopped."""
    from training.datasets.download import download as fetch

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err) as shown:
        task = shown.add_task(f"{name}, files", total=None)

        def on_file(done: int, total: int) -> None:
            shown.update(task, completed=done, total=total)

        try:
            done = fetch(name, to, address=mirror, connections=connections, progress=on_file)
        except ValueError as error:
            raise _wrong_usage(error) from error
    out.print(f"{to}: {done.fetched} files fetched, {done.present} were there; all have the published checksums")


def check(
    kind: Annotated[str, typer.Argument(help="ptbxl, code15, chapman or cohort")],
    folder: Annotated[Path, typer.Argument(file_okay=False, help="where it lies")],
    as_json: AsJson = False,
) -> None:
    """Read the index of a data set and show what training would see: counts per split and class, and what is left
    out. Labels of the test split are not shown."""
    from training.datasets.catalog import open_dataset
    from training.datasets.entry import Split

    try:
        data_set = open_dataset(kind, folder)
        splits = {split.value: _summary(data_set.entries(split)) for split in (Split.TRAIN, Split.VAL)}
    except UNUSABLE as error:
        raise _wrong_usage(error) from error
    if as_json:
        print_json({"kind": kind, "version": data_set.version, "splits": splits, "left_out": len(data_set.dropped)})
        return
    print_table(_counts_table(splits))
    _print_dropped(data_set)


def _summary(entries: "Sequence[Entry]") -> dict[str, Any]:
    classes = {
        c.value: {
            "known": sum(c in e.labels for e in entries),
            "positive": sum(e.labels.get(c, False) for e in entries),
        }
        for c in Superclass
    }
    return {"recordings": len(entries), "patients": len({e.patient_id for e in entries}), "classes": classes}


def _counts_table(splits: dict[str, dict[str, Any]]) -> Table:
    heading = (f"{c} positive / known" for c in Superclass)
    table = Table("split", "recordings", "patients", *heading, box=None, padding=(0, 2, 0, 0))
    for split, found in splits.items():
        counts = (f"{found['classes'][c]['positive']} / {found['classes'][c]['known']}" for c in Superclass)
        table.add_row(split, str(found["recordings"]), str(found["patients"]), *counts)
    return table


def _print_dropped(data_set: "IndexedDataSet") -> None:
    reasons = Counter(dropped.reason for dropped in data_set.dropped)
    if not reasons:
        return
    out.print(f"left out: {len(data_set.dropped)}")
    for reason, count in reasons.most_common(REASONS_SHOWN):
        out.print(f"  {count} because {reason}", markup=False)


def _wrong_usage(error: Exception) -> typer.Exit:
    err.print(str(error), markup=False)
    return typer.Exit(WRONG_USAGE)

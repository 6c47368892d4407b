"""`dataset validate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress

from interop.commands.console import FAILED, WRONG_USAGE, err, out, require

if TYPE_CHECKING:  # training libraries are imported by the command, not by the console
    from training.validation.report import ValidationReport


def register(group: typer.Typer) -> None:
    """Add the command of this module to `dataset`."""
    group.command("validate")(validate_dataset)


def validate_dataset(
    kind: Annotated[str, typer.Argument(help="ptbxl, code15, chapman or cohort")],
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="where the data set lies")],
    report: Annotated[Path | None, typer.Option(help="a folder for the report as Markdown, HTML page and JSON")] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help="read the samples of so many recordings instead of all")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="for a program to read")] = False,
) -> None:
    """Check whether a data set is fit to train on; exit 1, with the reason, where it is not."""
    require(("great_expectations", "torch", "h5py"), "the training libraries", "train")
    from training.validation.rendering import write_report
    from training.validation.report import Blocked, require_valid

    found = _validate(kind, folder, sample)
    if report is not None:
        for path in write_report(found, report):
            err.print(f"wrote {path}", markup=False)
    if as_json:
        out.print(found.to_json(), markup=False)
    else:
        _summarise(found)
    try:
        require_valid(found)
    except Blocked as blocked:
        err.print(str(blocked), markup=False)
        raise typer.Exit(FAILED) from blocked


def _validate(kind: str, folder: Path, sample: int | None) -> "ValidationReport":
    """A folder or kind that cannot be read at all is the caller's to change."""
    from training.datasets.catalog import open_dataset
    from training.validation.validate import validate

    with Progress(console=err, transient=True) as shown:
        task = shown.add_task("reading samples", total=None)
        try:
            return validate(
                open_dataset(kind, folder),
                sample=sample,
                progress=lambda done, total: shown.update(task, completed=done, total=total),
            )
        except (OSError, ValueError) as error:
            err.print(str(error), markup=False)
            raise typer.Exit(WRONG_USAGE) from error


def _summarise(report: "ValidationReport") -> None:
    for finding in report.warnings:
        out.print(f"warning: {finding.line}", markup=False)
    for finding in report.blocking:
        out.print(f"blocked: {finding.line}", markup=False)
    held = sum(f.passed for f in report.findings)
    out.print(f"{report.dataset} {report.version}: {held} of {len(report.findings)} expectations hold")

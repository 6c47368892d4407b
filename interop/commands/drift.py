"""`monitor drift`, `reference` and `trial`: whether live ECGs still are what they were, by Evidently."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import Progress
from rich.table import Table

from interop.commands.console import FAILED, err, out, print_json, print_table, require
from interop.settings import Settings

if TYPE_CHECKING:
    from training.monitoring.trial import Trial
    from training.reference import Reference

NEEDED = ("evidently", "pandas", "pyarrow")
LEAST_ECGS = 300  # of a reference: fewer say little of a quarter of them
MOST_ECGS = 20_000
MOST_SHOWN = 15

Data = Annotated[Path, typer.Option(exists=True, file_okay=False, help="PTB-XL in its official layout")]
Json = Annotated[bool, typer.Option("--json", help="for a program to read")]


def reference(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", dir_okay=False, help="of live traffic: a file")
    ] = None,
    ecgs: Annotated[int, typer.Option(min=LEAST_ECGS, max=MOST_ECGS, help="the newest so many live ECGs")] = 2000,
    data: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="of a release instead: PTB-XL, official layout")
    ] = None,
) -> None:
    """Make what drift is measured against: of live traffic (ECG_MONITORING_REFERENCE), or of a release (--data)."""
    require_monitoring()
    if (output is None) == (data is None):
        raise typer.BadParameter("say --output for live traffic, or --data for a release")
    if data is not None:
        _of_release(Settings(), data)
    elif output is not None:
        _of_traffic(Settings(), output, ecgs)


def trial(data: Data, as_json: Json = False) -> None:
    """Try drift monitoring on real ECGs: how soon planted shifts are noticed, how often nothing is. Takes minutes."""
    require_monitoring()
    from actions.analyze import Analyze
    from actions.policy import load_policy
    from inference.artifact import find_model
    from interop.bootstrap import load_model, new_id, now
    from training.monitoring.trial import run_trial
    from training.reference import released_reference

    settings, at = Settings(), now()
    folder = find_model(settings.model)
    analyze = Analyze(classify=load_model(settings, folder), policy=load_policy(None), clock=lambda: at, ids=new_id)
    with _progress("trial") as progress:
        found = run_trial(data, analyze, released_reference(folder), now=at, progress=progress)
    if as_json:
        print_json(found.to_json())
    else:
        show_trial(found)


def load_reference(settings: Settings) -> "Reference":
    """That of ECG_MONITORING_REFERENCE, else the one beside the model that serves. Raises ModelInvalid."""
    from training.reference import served_reference

    return served_reference(settings.monitoring_reference, settings.model)


def require_monitoring() -> None:
    """The serving environment holds no such library; say what to do instead of failing on an import."""
    require(NEEDED, "Evidently", "monitor")


def drift_tables(content: Mapping[str, Any]) -> Iterator[Table]:
    """The largest shifts."""
    from training.monitoring.shift_tests import side_text

    table = Table(
        *("group", "column", "test", "size", "p, adjusted", "ECGs", "was", "is", ""), box=None, padding=(0, 2, 0, 0)
    )
    told = [row for row in content["features"] if row["p_adjusted"] is not None]
    for row in sorted(told, key=lambda row: (not row["flag"], -row["effect"] / row["least_effect"]))[:MOST_SHOWN]:
        size, p_value = f"{row['effect']:.2f}", f"{row['p_adjusted']:.1e}"
        sides = (side_text(row["reference"]), side_text(row["current"]))
        verdict = "FLAGGED" if row["flag"] else ""
        table.add_row(row["group"], row["name"], row["test"], size, p_value, str(row["n"]), *sides, verdict)
    yield table


def _of_release(settings: Settings, data: Path) -> None:
    from inference.artifact import find_model
    from interop.bootstrap import now
    from training.datasets import ptbxl
    from training.datasets.entry import Split
    from training.reference import reference_of, release_reference

    folder = find_model(settings.model)
    trained = ptbxl.at_best_rate(data, lambda found: found.entries(Split.TRAIN))
    held_out = ptbxl.at_best_rate(data, lambda found: found.entries(Split.VAL))
    with _progress("reference") as progress:
        made = reference_of(folder, trained, held_out, now=now(), on_read=progress)
    _tell(made, release_reference(made, folder))


def _of_traffic(settings: Settings, output: Path, ecgs: int) -> None:
    from audit.monitoring_store import MonitoringStore
    from inference.artifact import find_model, load_artifact
    from interop.bootstrap import existing_store, now
    from training.reference import of_traffic, write_reference

    artifact = load_artifact(find_model(settings.model))
    with existing_store(settings) as store:
        rows = MonitoringStore(store).newest(ecgs, now())
    info = artifact.info()
    try:
        made = of_traffic(rows, info, least=LEAST_ECGS, now=now())
    except ValueError as error:
        err.print(str(error), markup=False)
        raise typer.Exit(FAILED) from error
    _tell(made, write_reference(made, output))


def _tell(made: "Reference", file: Path) -> None:
    counts = f"{len(made.inputs)} ECGs, outputs of {len(made.outputs)}"
    out.print(f"{file}: {made.name} {made.version}, {made.source}; {counts}", markup=False)


@contextmanager
def _progress(title: str) -> Iterator[Callable[[int, int], None]]:
    with Progress(console=err, transient=True) as shown:
        task = shown.add_task(title, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


def show_trial(found: "Trial") -> None:
    """As a table, and a line on false alarms."""
    table = Table(
        "shift", "recordings", "noticed after ECGs, median", "at most", "flagged", box=None, padding=(0, 2, 0, 0)
    )
    for row in found.to_json()["shifts"]:
        missed = f"missed in {row['missed']} of {row['repeats']}" if row["missed"] else str(row["most"])
        table.add_row(row["shift"], str(row["recordings"]), str(row["median"]), missed, ", ".join(row["flagged"]))
    print_table(table)
    out.print(
        f"false alarms: {found.false_alarms} of {found.windows} windows ({found.false_alarms / found.windows:.1%}, "
        f"below {found.high:.1%} with 95 % confidence)"
    )

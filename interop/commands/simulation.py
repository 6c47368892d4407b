"""`simulate`: traffic to try monitors with."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from inference.errors import InvalidContent
from interop.commands.console import FAILED, WRONG_USAGE, err, out, print_json


class ShiftName(StrEnum):
    """The names of `training.shifts.SHIFTS`, which is imported by the command, not by the console."""

    GAIN = "gain"
    HUM = "hum"
    LIMB_LEADS = "limb-leads"
    DEVICE = "device"
    OLDER = "older"


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(simulate)


def simulate(
    fhir: Annotated[str | None, typer.Option(help="FHIR base URL, such as http://127.0.0.1:8000/fhir")] = None,
    mllp: Annotated[str | None, typer.Option(help="HOST:PORT")] = None,
    data: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="PTB-XL in its official layout; default: two examples"),
    ] = None,
    ecgs: Annotated[int, typer.Option(min=1, help="how many to send")] = 300,
    rate: Annotated[float, typer.Option(min=0.001, max=100, help="ECGs a second")] = 5.0,
    shift: Annotated[ShiftName | None, typer.Option(help="what goes wrong; nothing by default")] = None,
    after: Annotated[int, typer.Option(min=0, help="ECGs as they are before the shift begins")] = 0,
    seed: Annotated[int, typer.Option(help="another draw of recordings")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="for a program to read")] = False,
) -> None:
    """Play real recordings through a door of a running service, with a planted shift, to try its monitors.

    They are those that no model was trained on, drawn with replacement, as if just recorded. Send them to a service of
    their own: they are stored like all other ECGs. Exit code 1 where one was refused.
    """
    from interop.simulation import by_fhir, by_mllp, held_out, planned, play
    from training.shifts import SHIFTS

    if (fhir is None) == (mllp is None):
        raise InvalidContent("give either --fhir or --mllp")
    planted = SHIFTS[shift] if shift else None
    try:
        entries = held_out(data, planted)
        with Progress(console=err, transient=True) as shown:
            task = shown.add_task("sending", total=ecgs)
            sent = play(
                planned(entries, ecgs, planted, after, seed),
                by_fhir(fhir) if fhir else by_mllp(mllp or ""),
                rate,
                lambda tally: shown.update(task, completed=tally.sent),
            )
    except (OSError, ValueError) as error:
        err.print(str(error), markup=False)
        raise typer.Exit(WRONG_USAGE) from error
    counts = {"sent": sent.sent, "shifted": sent.shifted, "refused": sent.refused, "late": sent.late}
    if as_json:
        print_json(counts)
    else:
        what = f", {sent.shifted} of them with {planted.text}" if planted else ""
        out.print(f"{sent.sent} ECGs sent{what}; {sent.refused} refused, {sent.late} late", markup=False)
    if sent.refused:
        raise typer.Exit(FAILED)

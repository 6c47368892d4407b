"""`make soak`: faults for as long as they would last in a hospital, and what they did, as tables."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from inference.formats import read
from inference.recording import Recording
from tests.conftest import ROOT
from tests.e2e.inspection import Findings
from tests.soak import kills, outages

RECORDINGS = 12

out = Console(soft_wrap=True, highlight=False)


def main(
    kills_each: Annotated[int, typer.Option("--kills", min=1, help="kills on each of three set-ups")] = 12,
    seconds: Annotated[float, typer.Option(min=1, help="how long each outage lasts")] = 60.0,
) -> None:
    """Run every fault; the exit code is 1 when anything was lost, doubled, half there or broken."""
    recordings = _recordings()
    killed = list(kills.kill_again_and_again(kills_each, recordings, _tell))
    out.print(_kill_table(killed))
    failed = list(_mountable(outages.fail_in_every_way(seconds, recordings, _tell)))
    out.print(_outage_table(failed))
    findings = [(o.name, o.findings) for o in killed] + [(o.name, o.findings) for o in failed]
    wrong = [(name, found) for name, found in findings if found != Findings()]
    for name, found in wrong:
        out.print(name, vars(found))
    sys.exit(1 if wrong or not all(outcome.alive for outcome in failed) else 0)


def _recordings() -> list[Recording]:
    """Real ones: of PTB-XL where it is at hand, else the two that the project ships."""
    shared = ROOT.parent / "shared" / "data" / "ptbxl" / "records500"
    files = sorted(shared.rglob("*.hea"))[:RECORDINGS] or sorted((ROOT / "examples").glob("*.hea"))
    return [read(Path(file)) for file in files]


def _mountable(outcomes: Iterable[outages.Outcome]) -> Iterable[outages.Outcome]:
    try:
        yield from outcomes
    except PermissionError as error:
        out.print(f"not run: {error}")


def _tell(text: str) -> None:
    out.print(text, style="dim")


def _kill_table(outcomes: Sequence[kills.Outcome]) -> Table:
    return _table(
        "kill -9 under load",
        [outcome.name for outcome in outcomes],
        {
            "kills": [o.kills for o in outcomes],
            "sent": [o.sent for o in outcomes],
            "acknowledged": [o.acknowledged for o in outcomes],
            "sent again": [o.resent for o in outcomes],
            "refused": [o.refused for o in outcomes],
            **_counts([o.findings for o in outcomes]),
            "results delivered": [o.results for o in outcomes],
            "of them again after a kill": [o.repeated for o in outcomes],
            "start to ready, median": [f"{o.restart_median:.1f} s" for o in outcomes],
            "start to ready, longest": [f"{o.restart_longest:.1f} s" for o in outcomes],
        },
    )


def _outage_table(outcomes: Sequence[outages.Outcome]) -> Table:
    return _table(
        "outages under load",
        [outcome.name for outcome in outcomes],
        {
            "lasted": [f"{o.seconds:g} s" for o in outcomes],
            "sent": [o.sent for o in outcomes],
            "refused (AE 207, 503)": [o.refused for o in outcomes],
            "/ready named": [o.failing for o in outcomes],
            "the service": ["went on" if o.alive else "crashed" for o in outcomes],
            "ready again after": [f"{o.recovery:.1f} s" for o in outcomes],
            **_counts([o.findings for o in outcomes]),
        },
    )


def _counts(findings: Sequence[Findings]) -> dict[str, Sequence[object]]:
    return {
        "lost": [len(found.lost) for found in findings],
        "doubled": [len(found.doubled) for found in findings],
        "half there": [len(found.half) for found in findings],
        "audit verify": [f"{len(found.broken)} problems" if found.broken else "intact" for found in findings],
    }


def _table(title: str, names: Sequence[str], measures: Mapping[str, Sequence[object]]) -> Table:
    table = Table("", title=title)
    for name in names:
        table.add_column(name, justify="right")
    for measure, values in measures.items():
        table.add_row(measure, *map(str, values))
    return table


if __name__ == "__main__":
    typer.run(main)

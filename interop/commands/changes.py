"""`audit changes`: who changed model, rules or mode, when, and from what to what."""

from datetime import datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from interop.commands.console import out, print_json, print_table
from interop.commands.periods import parse_time
from interop.settings import Settings

SHOWN_HASH = 12  # hex digits; --json has all


def audit_changes(
    begin: Annotated[
        datetime | None, typer.Option("--from", parser=parse_time, metavar="DATE", help="from this time on (UTC)")
    ] = None,
    end: Annotated[
        datetime | None, typer.Option("--to", parser=parse_time, metavar="DATE", help="and before this one")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="for a program to read")] = False,
) -> None:
    """List the changes of model, rules, mode and shadow model, oldest first, each with its place in the audit trail."""
    from interop.bootstrap import existing_store
    from interop.change_log import changes, read_entries

    with existing_store(Settings()) as store, store.reader() as reader:
        found = list(changes(read_entries(reader)))
    shown = [it for it in found if (begin is None or it.at >= begin) and (end is None or it.at < end)]
    if as_json:
        print_json([change.to_json() for change in shown])
        return
    if not shown:
        out.print("no changes")
        return
    table = Table("time (UTC)", "what", "from", "to", "by", "how", "why", "entry", box=None, padding=(0, 2, 0, 0))
    for change in shown:
        table.add_row(
            f"{change.at:%Y-%m-%d %H:%M:%S}",
            change.thing.name.lower(),
            _text(change.before),
            _text(change.after),
            change.by or "",
            change.step,
            change.reason,
            f"{change.chain_id} {change.seq}",
        )
    print_table(table)


def _text(value: Any) -> str:
    """A model, rules or a mode in few words."""
    if not isinstance(value, dict):
        return "" if value is None else str(value)
    status = f", {value['status']}" if value.get("status") else ""
    return f"{value['name']} {value['version']}{status} ({value['sha256'][:SHOWN_HASH]})"

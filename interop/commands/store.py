"""`db`, `audit`, `inbox` and `outbox`: what the store holds."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from audit.records import QueueState
from inference.errors import Gone, InvalidContent
from interop.commands.console import FAILED, err, out, print_json, print_table
from interop.commands.copies import COMMANDS as COPIES
from interop.commands.governance import COMMANDS, gone
from interop.settings import Settings

if TYPE_CHECKING:
    from audit.upgrade import Upgrade

Json = Annotated[bool, typer.Option("--json", help="for a program to read")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    groups: tuple[tuple[str, str, dict[str, Callable[..., None]]], ...] = (
        ("db", "The database.", {"upgrade": db_upgrade, "downgrade": db_downgrade, **COPIES}),
        ("audit", "The audit trail.", {"verify": audit_verify, **COMMANDS}),
        ("inbox", "What was received.", {"list": inbox_list, "show": inbox_show}),
        ("outbox", "What is to be sent.", {"list": outbox_list, "retry": outbox_retry}),
    )
    for name, text, commands in groups:
        group = typer.Typer(no_args_is_help=True, help=text)
        for command, function in commands.items():
            group.command(command)(function)
        app.add_typer(group, name=name)


def db_upgrade() -> None:
    """Bring the database to this version's schema; an SQLite file is copied first."""
    from interop.bootstrap import migrate

    _tell(migrate(Settings()))


def db_downgrade(
    revision: Annotated[
        str, typer.Argument(help="the schema that the older version needs; it names it when it refuses")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Migrate back, for an older version that cannot work on this schema; what only later ones know is deleted."""
    from interop.bootstrap import migrate_back

    if not yes:
        typer.confirm(f"go back to schema {revision}, without a running service and with a backup at hand?", abort=True)
    _tell(migrate_back(Settings(), revision))


def _tell(done: "Upgrade") -> None:
    out.print(f"schema {done.before or 'none'} -> {done.after}" + (f", copy in {done.copy}" if done.copy else ""))


def audit_verify(
    head: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="heads kept outside the database: a JSON file {chain id: [seq, hash]}, or the service's log",
        ),
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="write the heads found, if all is intact, to this file, to be kept elsewhere")
    ] = None,
    as_json: Json = False,
) -> None:
    """Walk through the whole audit trail: changed entries, missing entries, a cut end. Exit code 1 if any."""
    from interop.bootstrap import existing_store

    expected = _heads(head) if head else None
    with existing_store(Settings()) as store:
        report = store.verify(expected)
    heads = {chain: list(found) for chain, found in report.heads.items()}
    if save and not report.problems:
        save.write_text(json.dumps(heads, indent=2) + "\n")
    if as_json:
        problems = [{"chain": p.chain_id, "seq": p.seq, "problem": p.text} for p in report.problems]
        found = {"entries": report.entries, "payloads_gone": report.payloads_gone, "heads": heads}
        print_json({**found, "problems": problems})
    else:
        for problem in report.problems:
            err.print(f"chain {problem.chain_id} entry {problem.seq}: {problem.text}", markup=False)
        verdict = f"{len(report.problems)} problems" if report.problems else "intact"
        out.print(f"{report.entries} entries in {len(heads)} chains: {verdict}{gone(report.payloads_gone)}")
    if report.problems:
        raise typer.Exit(FAILED)


def _heads(file: Path) -> dict[str, tuple[int, str]]:
    """Those of a file that `--save` wrote, or the last of each chain in a log, whose lines `audit heads` have them."""
    text = file.read_text(errors="replace")
    try:
        logged = [line for line in map(_logged, text.splitlines()) if line]
        heads = {chain: head for found in logged for chain, head in found.items()} or json.loads(text)
        return {chain: (int(seq), str(digest)) for chain, (seq, digest) in heads.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidContent(f"{file} holds no heads: {{chain id: [seq, hash]}}, or lines `audit heads`") from error


def _logged(line: str) -> dict[str, tuple[int, str]]:
    """The heads that a line of the log tells of. What a log collector puts before the object is passed over."""
    if '"audit heads"' not in line:
        return {}
    found = json.loads(line[line.index("{") :])
    return dict(found["heads"]) if found.get("message") == "audit heads" else {}


def inbox_list(limit: Annotated[int, typer.Option(min=1)] = 20, as_json: Json = False) -> None:
    """List the newest received items."""
    from interop.bootstrap import existing_store

    with existing_store(Settings()) as store, store.reader() as reader:
        rows = reader.inbox.list(limit)
    columns = ("id", "received", "door", "sender", "control id", "processing", "acknowledgement", "analysis", "error")
    _print(
        columns,
        [
            (r.id, r.received.received_at, r.received.door, r.received.sender, r.received.control_id, r.processing,
             r.acknowledgement, r.analysis_id, r.error)
            for r in rows
        ],
        as_json,
    )  # fmt: skip


def inbox_show(id: int) -> None:
    """Print one received item as it came in."""
    from interop.bootstrap import existing_store

    with existing_store(Settings()) as store, store.reader() as reader:
        row = reader.inbox.get(id)
    if row.content_gone:
        raise Gone(f"the content of item {id} was deleted by retention; its SHA-256 was {row.content_sha256}")
    typer.echo(row.received.content.replace(b"\r", b"\n"), nl=False)


def outbox_list(
    state: Annotated[QueueState | None, typer.Option(help="only these")] = None,
    limit: Annotated[int, typer.Option(min=1)] = 20,
    as_json: Json = False,
) -> None:
    """List the newest outbound messages."""
    from interop.bootstrap import existing_store

    with existing_store(Settings()) as store, store.reader() as reader:
        rows = reader.outbox.list(state, limit)
    columns = ("id", "created", "state", "destination", "control id", "attempts", "analysis", "error")
    _print(
        columns,
        [
            (r.id, r.created_at, r.state, r.destination, r.control_id, r.attempts, r.analysis_id, r.error)
            for r in rows
        ],
        as_json,
    )  # fmt: skip


def outbox_retry(id: int) -> None:
    """Make a dead or held message wait for delivery again, to ECG_OUTBOUND_MLLP when that is set."""
    from interop.bootstrap import existing_store, now

    settings = Settings()
    with existing_store(settings) as store, store.unit_of_work() as uow:
        uow.outbox.retry(id, settings.outbound_mllp, now())
    out.print(f"{id} waits for delivery")


def _print(columns: tuple[str, ...], rows: list[tuple[object, ...]], as_json: bool) -> None:
    if as_json:
        names = [column.replace(" ", "_") for column in columns]
        print_json([dict(zip(names, row, strict=True)) for row in rows])
        return
    table = Table(*columns, box=None, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    print_table(table)


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}Z"
    return "" if value is None else str(value)

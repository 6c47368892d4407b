"""The reference of the command line, of the very objects that parse it."""

from collections.abc import Iterator
from typing import Any

import typer

from interop.cli import app
from scripts.docs_tables import table

PROGRAM = "ecg-interop"
INTRODUCTION = f"""\
# Command line

`{PROGRAM}` with every command and option, made from the code. Exit codes: 0 done, 1 the work failed, 2 wrong usage or
bad input, with one line on stderr that says why. Settings come from the environment or from `.env`
([settings](../settings.md)). Commands that train, watch drift or promote need the extras `train` or `monitor`, and name
what to install where it is missing."""


def cli_page() -> str:
    """The whole page."""
    group: Any = typer.main.get_command(app)
    found = list(commands(group, PROGRAM))
    rows = [(f"[`{name}`](#{name.replace(' ', '-')})", command.get_short_help_str(200)) for name, command in found]
    parts = [INTRODUCTION, table(("command", "what it does"), rows)]
    return "\n\n".join([*parts, *(described(name, command) for name, command in found)]) + "\n"


def commands(group: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Each command with its whole name, those of groups in their place."""
    for part, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{name} {part}")
        else:
            yield f"{name} {part}", command


def described(name: str, command: Any) -> str:
    """One command: what it does, how it is called, each argument and option."""
    context = typer.Context(command, info_name=name)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    rows = [record for parameter in command.params if (record := _record(parameter, context))]
    parts = [f"## {name}", (command.help or "").strip(), f"```text\n{usage}\n```"]
    if rows:
        parts.append(table(("argument or option", "what it is"), rows))
    return "\n\n".join(parts)


def _record(parameter: Any, context: typer.Context) -> tuple[str, str] | None:
    record = parameter.get_help_record(context)
    return (f"`{record[0]}`", record[1].replace("<", "&lt;")) if record else None

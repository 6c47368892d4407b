"""`config`: the settings in force."""

from typing import Annotated

import typer
from rich.table import Table

from interop.commands.console import print_json, print_table
from interop.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(config)


def config(json: Annotated[bool, typer.Option("--json", help="for a program to read")] = False) -> None:
    """Print the settings in force, secrets masked."""
    values = Settings().model_dump(mode="json")
    if json:
        print_json({f"ECG_{name.upper()}": value for name, value in values.items()})
        return
    table = Table("setting", "value", "what it does", box=None, padding=(0, 2, 0, 0))
    for name, field in Settings.model_fields.items():
        value = values[name]
        table.add_row(f"ECG_{name.upper()}", "" if value in (None, []) else str(value), field.description or "")
    print_table(table)

"""`model`, `train`, `train-curve`, `evaluate` and `promote`."""

import typer

from interop.commands import described, released, training
from interop.commands.promotion import promote


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    group = typer.Typer(no_args_is_help=True, help="Released models.")
    released.register(group)
    described.register(group)
    app.add_typer(group, name="model")
    training.register(app)
    app.command()(promote)

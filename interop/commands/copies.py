"""`db backup`, `db restore`: copies of an SQLite file. PostgreSQL has tools of its own (`deploy/backup`)."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from interop.commands.console import out
from interop.settings import Settings

MEGABYTE = 1024 * 1024


def db_backup(
    target: Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False, help="a file that is not there yet")],
) -> None:
    """Copy the SQLite database beside the running service, and check the copy."""
    from audit.backup import backup

    made = backup(Settings().database_url.get_secret_value(), target)
    out.print(f"{made.file}: {made.size / MEGABYTE:.1f} MB, schema {made.revision}, whole", markup=False)


def db_restore(
    source: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="made by `db backup`")],
) -> None:
    """Put a copy in the place of the SQLite database, which is kept beside it. The service must be stopped."""
    from audit.backup import restore
    from interop.bootstrap import now

    kept = restore(Settings().database_url.get_secret_value(), source, now())
    out.print(f"{source} is the database now" + (f"; that of before is {kept}" if kept else ""), markup=False)
    out.print("next: ecg-interop audit verify --head LOG")


COMMANDS: Mapping[str, Callable[..., None]] = {"backup": db_backup, "restore": db_restore}

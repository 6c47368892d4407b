"""What every command prints through: results on stdout, errors as one line on stderr."""

import sys
from collections.abc import Iterable
from importlib.util import find_spec

import orjson
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from typer.exceptions import TyperException

from inference.errors import EcgError, Fault

FAILED = 1
WRONG_USAGE = 2
UNLIMITED_WIDTH = 1000  # characters; wider than any row

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def require(packages: Iterable[str], what: str, extra: str) -> None:
    """The serving environment does not hold everything; say what to do instead of failing on an import. Raises
    typer.Exit."""
    if not all(find_spec(package) for package in packages):
        err.print(f"this needs {what}: make test sets up .venv-dev, or pip install '.[{extra}]'", markup=False)
        raise typer.Exit(WRONG_USAGE)


def print_json(value: object) -> None:
    """One JSON document, for a program to read."""
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode() + "\n")


def print_table(table: Table) -> None:
    """A table as wide as the window. A file or a pipe has no window, and nothing is cut short for it."""
    for column in table.columns:
        column.overflow = "fold"
    console = out if out.is_terminal else Console(file=out.file, highlight=False, width=UNLIMITED_WIDTH)
    console.print(table)


def explain(error: EcgError | ValidationError | OSError, *, place: str = "") -> int:
    """Print one line for an error and give the exit code: 2 for what the caller must change, else 1.

    place: where it arose, when there are several.
    """
    if isinstance(error, ValidationError):
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"]).upper()
            message = problem["msg"].removeprefix("Value error, ")
            err.print(f"ECG_{name}: {message}" if name else message, markup=False)
        return WRONG_USAGE
    if isinstance(error, EcgError):
        element = error.element if error.element and not error.message.startswith(error.element) else None
        err.print(": ".join(part for part in (place, element, error.message) if part), markup=False)
        return WRONG_USAGE if error.fault is Fault.SENDER else FAILED
    named = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
    err.print(named, markup=False)
    return FAILED


def explain_usage(error: TyperException) -> int:
    """Print one line for a wrong call and give the exit code."""
    context, message = getattr(error, "ctx", None), " ".join(error.format_message().split())
    if message:  # typer has printed the help already where there is none
        hint = f" See {context.command_path} --help." if context else ""
        err.print(f"{message.rstrip('.')}.{hint}", markup=False)
    return WRONG_USAGE

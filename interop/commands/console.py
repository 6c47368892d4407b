"""What every command prints through: results on stdout, errors as one line on stderr."""

import sys

import orjson
from pydantic import ValidationError
from rich.console import Console

from inference.errors import EcgError, Fault

FAILED = 1
WRONG_USAGE = 2

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(value: object) -> None:
    """One JSON document, for a program to read."""
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode() + "\n")


def explain(error: EcgError | ValidationError | OSError) -> int:
    """Print one line for an error and give the exit code: 2 for what the caller must change, else 1."""
    if isinstance(error, ValidationError):
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"]).upper()
            err.print(f"ECG_{name}: {problem['msg']}" if name else problem["msg"], markup=False)
        return WRONG_USAGE
    if isinstance(error, EcgError):
        place = f"{error.element}: " if error.element else ""
        err.print(f"{place}{error.message}", markup=False)
        return WRONG_USAGE if error.fault is Fault.SENDER else FAILED
    err.print(str(error), markup=False)
    return FAILED

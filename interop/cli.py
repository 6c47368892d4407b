"""`ecg-interop`: exit code 0 done, 1 the work failed, 2 wrong usage or bad input; one clear line, never a traceback."""

import sys

import typer
from pydantic import ValidationError
from typer.exceptions import TyperException

from inference.errors import EcgError
from interop.commands import alerts, config, datasets, ecg, models, monitoring, serving, simulation, store
from interop.commands.console import explain, explain_usage

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Takes 12-lead ECGs in by FHIR, HL7v2 and REST, classifies them and returns ranked clinical actions.",
)
for module in (serving, ecg, store, models, monitoring, alerts, simulation, datasets, config):
    module.register(app)


def main() -> None:
    """The console command."""
    try:
        # Not its standalone mode, which frames a usage error in a box of several lines.
        sys.exit(app(standalone_mode=False) or 0)
    except TyperException as error:
        sys.exit(explain_usage(error))
    except (EcgError, ValidationError, OSError) as error:
        sys.exit(explain(error))


if __name__ == "__main__":
    main()

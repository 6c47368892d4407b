"""`model attributes` and `model documents`: what a released model is, for people who have to know."""

from pathlib import Path
from typing import Annotated

import typer

from inference.artifact import find_model, find_models, read_card
from inference.errors import InvalidContent
from inference.pointer import release_path
from interop.commands.console import out, print_json
from interop.settings import Settings

Name = Annotated[str | None, typer.Argument(help="of the release; default: the one that is served")]
Version = Annotated[str | None, typer.Argument()]


def register(group: typer.Typer) -> None:
    """Add the commands of this module to `model`."""
    group.command("attributes")(model_attributes)
    group.command("documents")(model_documents)


def model_attributes(
    name: Name = None,
    version: Version = None,
    as_json: Annotated[bool, typer.Option("--json", help="for a program to read")] = False,
) -> None:
    """Print the source attributes (ONC HTI-1) of a release with the rules in force, as Markdown."""
    from actions.policy import load_policy
    from training.source_attributes import attributes_json, attributes_markdown, source_attributes

    settings = Settings()
    found = source_attributes(read_card(_folder(settings, name, version)), load_policy(settings.rules))
    if as_json:
        print_json(attributes_json(found))
    else:
        out.print(attributes_markdown(found), markup=False, end="")


def model_documents(
    name: Name = None,
    version: Version = None,
    data: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="where the data lie that it learned from: counts who is in them"
        ),
    ] = None,
) -> None:
    """Write model card, source attributes and data sheet of a release anew from its card.json and the shipped rules."""
    from training.describe import describe
    from training.documents import DOCUMENTS

    folder = _folder(Settings(), name, version)
    try:
        describe(folder, data)
    except (ValueError, FileNotFoundError) as error:
        raise InvalidContent(str(error)) from error
    out.print(f"{folder}: {', '.join(DOCUMENTS)}", markup=False)


def _folder(settings: Settings, name: str | None, version: str | None) -> Path:
    """Raises ModelInvalid, ConfigurationError."""
    if (name is None) != (version is None):
        raise typer.BadParameter("name a model by name and version")
    if name is None or version is None:
        return find_model(settings.model)
    models = find_models(settings.model)
    return models / release_path(models, name, version)

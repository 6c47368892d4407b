"""Prints what pyproject.toml depends on, without the project itself, so that an image keeps it in a layer of its own.

    requirements.py pyproject.toml [EXTRA ...]

An extra that names the project with other extras stands for what those need.
"""

import re
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any


def requirements(project: Mapping[str, Any], extras: Sequence[str]) -> list[str]:
    """Dependencies of a `[project]` table and of these extras, sorted."""
    return sorted({*project["dependencies"], *_of_extras(project, extras)})


def _of_extras(project: Mapping[str, Any], extras: Iterable[str]) -> Iterable[str]:
    itself = re.compile(rf"{re.escape(project['name'])}\[(?P<extras>[^\]]+)\]")
    for extra in extras:
        for requirement in project["optional-dependencies"][extra]:
            match = itself.fullmatch(requirement)
            yield from _of_extras(project, match["extras"].split(",")) if match else [requirement]


def main(pyproject: str, *extras: str) -> None:
    """Print them, one a line."""
    project = tomllib.loads(Path(pyproject).read_text())["project"]
    sys.stdout.write("\n".join(requirements(project, extras)) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

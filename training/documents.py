"""The documents of a release for people, each made from its card: model card, source attributes, data sheet."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from actions.policy import load_policy
from training.datasheet import datasheet
from training.readme import readme
from training.source_attributes import attributes_json, attributes_markdown, source_attributes

README_FILE = "README.md"
DATASHEET_FILE = "DATASHEET.md"
ATTRIBUTES_FILE = "SOURCE_ATTRIBUTES.md"
ATTRIBUTES_JSON = "source_attributes.json"
DOCUMENTS = (README_FILE, DATASHEET_FILE, ATTRIBUTES_FILE, ATTRIBUTES_JSON)


def documents(card: Mapping[str, Any]) -> dict[str, str]:
    """File name -> content, with the rules as shipped."""
    attributes = source_attributes(card, load_policy())
    return {
        README_FILE: readme(card),
        DATASHEET_FILE: datasheet(card),
        ATTRIBUTES_FILE: attributes_markdown(attributes),
        ATTRIBUTES_JSON: json.dumps(attributes_json(attributes), indent=2) + "\n",
    }


def write_documents(folder: Path, card: Mapping[str, Any]) -> None:
    """Write them beside the card."""
    for name, content in documents(card).items():
        (folder / name).write_text(content)

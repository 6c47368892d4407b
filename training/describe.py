"""A release that is there is described: who is in its data is counted, and its documents are written anew."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inference.labels import Superclass
from training.card import read_card, trained_on, write_card
from training.datasets.catalog import open_dataset
from training.datasets.composition import composition


def describe(folder: Path, data_folder: Path | None = None) -> None:
    """Write the documents of a release from its card. data_folder: where the data set lies that it was trained on; then
    the card also gets who and what is in it.

    Raises ValueError when that is not what the card says it learned from, and what `open_dataset` raises.
    """
    card = read_card(folder)
    if data_folder is not None:
        found = composition(open_dataset(trained_on(card), data_folder))
        _require_same(card["data"]["splits"], found["splits"], data_folder)
        card["data"]["composition"] = found
    write_card(folder, card)


def _require_same(told: Mapping[str, Any], found: Mapping[str, Any], data_folder: Path) -> None:
    for split, counts in told.items():
        classes = found[split]["classes"]
        here = {"recordings": found[split]["recordings"], **{c.value: classes[c]["positives"] for c in Superclass}}
        if here != counts:
            raise ValueError(f"{data_folder}: {split} has {here}; the model learned from {counts}")

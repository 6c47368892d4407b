"""The card of a released model, as JSON for programs and as documents for people.

`inference/card.schema.json` says what a card holds; `inference.artifact` refuses a model whose card breaks it.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference.artifact import CARD_FILE
from training.calibration import Calibration
from training.card_texts import PTBXL
from training.documents import write_documents
from training.groups import GroupScore
from training.scores import Assessment

if TYPE_CHECKING:  # only what judges fairness needs fairlearn
    from training.fairness import FairnessReport
    from training.remedies import Price

DIGITS = 4


def read_card(folder: Path) -> dict[str, Any]:
    """The card in a model's folder."""
    card: dict[str, Any] = json.loads((folder / CARD_FILE).read_text())
    return card


def write_card(folder: Path, card: Mapping[str, Any]) -> None:
    """Write `card.json` and the documents that are made from it."""
    (folder / CARD_FILE).write_text(json.dumps(card, indent=2) + "\n")
    write_documents(folder, card)


def file_sha256(path: Path) -> str:
    """Checksum of a file, as the card has it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def assessment_json(assessment: Assessment) -> dict[str, Any]:
    """As it stands in the card's `metrics`."""
    found: dict[str, Any] = rounded(asdict(assessment))
    return found


def group_json(score: GroupScore) -> dict[str, Any]:
    """As it stands in the card's `groups`."""
    return {**rounded(asdict(score)), "judgement": score.judgement}


def add_fairness(folder: Path, report: "FairnessReport", prices: Sequence["Price"] = ()) -> None:
    """Write a fairness report into a model's card, and what remedies would cost."""
    found = report.to_json() | {"remedies": [asdict(price) for price in prices]}
    write_card(folder, {**read_card(folder), "fairness": rounded(found)})


def add_calibration(folder: Path, calibration: Calibration) -> None:
    """Write into a model's card what its graph does to the logits."""
    write_card(folder, {**read_card(folder), "calibration": rounded(calibration.to_json())})


def trained_on(card: Mapping[str, Any]) -> str:
    """Kind of the data set that a model learned from."""
    return str(card["data"].get("kind", PTBXL))  # cards that do not tell it are older than the others


def add_figures(folder: Path, figures: Mapping[Path, str]) -> None:
    """Show figures that lie in the model's folder on its card. figures: path -> what it shows."""
    shown = {path.relative_to(folder).as_posix(): title for path, title in figures.items()}
    card = read_card(folder)
    write_card(folder, {**card, "figures": {**card.get("figures", {}), **shown}})


def rounded(value: Any) -> Any:
    """Every float in a JSON value to the digits that a card shows."""
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return round(value, DIGITS) if isinstance(value, float) else value

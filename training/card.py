"""The card of a released model, as JSON for programs and as README.md for people.

`inference/card.schema.json` says what a card holds; `inference.artifact` refuses a model whose card breaks it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference.artifact import CARD_FILE
from training.groups import GroupScore
from training.readme import readme
from training.scores import Assessment

if TYPE_CHECKING:  # only what judges fairness needs fairlearn
    from training.fairness import FairnessReport

README_FILE = "README.md"
DIGITS = 4

INTENDED_USE = (
    "Decision support on resting 12-lead ECGs of adults, for research and evaluation: probabilities of five diagnostic "
    "superclasses, to be confirmed by a clinician. No medical device: no clearance, no CE mark."
)

LIMITS = (
    "Other devices and populations than those of the training data are untested.",
    "Rhythm and pacing are not assessed. Paced rhythms and patients under 18 are outside of the intended use.",
    "MI includes old infarcts, as most of PTB-XL's are: it does not say that one is acute.",
    "Groups that are called too few to judge may be served worse without anyone having seen it.",
    "Its best epoch was chosen by its validation score, which is a little too good for that.",
    "The labels are the data set's: one or two cardiologists, partly after an automatic reading.",
)

DATA = {
    "source": "PTB-XL (PhysioNet), official folds: 1 to 8 train, 9 validates, 10 tests",
    "citation": "Wagner et al., PTB-XL, a large publicly available electrocardiography dataset, Sci Data 7:154 (2020); "
    "Goldberger et al., PhysioBank, PhysioToolkit, and PhysioNet, Circulation 101:e215 (2000)",
    "licence": "CC BY 4.0",
}


def read_card(folder: Path) -> dict[str, Any]:
    """The card in a model's folder."""
    card: dict[str, Any] = json.loads((folder / CARD_FILE).read_text())
    return card


def write_card(folder: Path, card: Mapping[str, Any]) -> None:
    """Write `card.json` and the `README.md` that is made from it."""
    (folder / CARD_FILE).write_text(json.dumps(card, indent=2) + "\n")
    (folder / README_FILE).write_text(readme(card))


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


def add_fairness(folder: Path, report: "FairnessReport") -> None:
    """Write a fairness report into a model's card."""
    write_card(folder, {**read_card(folder), "fairness": rounded(report.to_json())})


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

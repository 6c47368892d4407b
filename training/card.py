"""The card of a released model, as JSON for programs and as README.md for people.

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
from training.groups import GroupScore
from training.readme import readme
from training.scores import Assessment

if TYPE_CHECKING:  # only what judges fairness needs fairlearn
    from training.fairness import FairnessReport
    from training.remedies import Price

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

PTBXL = "ptbxl"  # what cards that do not tell their data set were trained on
PHYSIONET = "Goldberger et al., PhysioBank, PhysioToolkit, and PhysioNet, Circulation 101:e215 (2000)"

# Kind of a data set -> what a card says of it.
DATA = {
    PTBXL: {
        "source": "PTB-XL (PhysioNet), official folds: 1 to 8 train, 9 validates, 10 tests",
        "citation": "Wagner et al., PTB-XL, a large publicly available electrocardiography dataset, Sci Data 7:154 "
        f"(2020); {PHYSIONET}",
        "licence": "CC BY 4.0",
    },
    "code15": {
        "source": "CODE-15% (Zenodo), split by patient",
        "citation": "Ribeiro et al., CODE-15%: a large scale annotated dataset of 12-lead ECGs, Zenodo 4916206 (2021)",
        "licence": "CC BY 4.0",
    },
    "chapman": {
        "source": "Chapman-Shaoxing-Ningbo (PhysioNet), split by recording",
        "citation": "Zheng et al., A 12-lead electrocardiogram database for arrhythmia research covering more than "
        f"10,000 patients, Sci Data 7:48 (2020); {PHYSIONET}",
        "licence": "CC BY 4.0",
    },
    "cohort": {
        "source": "a hospital's own cohort, split by patient",
        "citation": "not published",
        "licence": "not to be passed on",
    },
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


def add_fairness(folder: Path, report: "FairnessReport", prices: Sequence["Price"] = ()) -> None:
    """Write a fairness report into a model's card, and what remedies would cost."""
    found = report.to_json() | {"remedies": [asdict(price) for price in prices]}
    write_card(folder, {**read_card(folder), "fairness": rounded(found)})


def add_calibration(folder: Path, calibration: Calibration) -> None:
    """Write into a model's card what its graph does to the logits."""
    write_card(folder, {**read_card(folder), "calibration": rounded(calibration.to_json())})


def trained_on(card: Mapping[str, Any]) -> str:
    """Kind of the data set that a model learned from."""
    return str(card["data"].get("kind", PTBXL))


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

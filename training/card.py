"""The card of a released model, as JSON for programs and as README.md for people.

`inference/card.schema.json` says what a card holds; `inference.artifact` refuses a model whose card breaks it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from inference.artifact import CARD_FILE
from inference.labels import SUPERCLASS_NAMES, Superclass
from training.scores import Assessment, Interval

README_FILE = "README.md"
DIGITS = 4

TOO_FEW = "too few to judge"

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
    classes = {c: rounded(asdict(scores)) for c, scores in assessment.classes.items()}
    return {
        "recordings": assessment.recordings,
        "macro_auc": rounded(asdict(assessment.macro_auc)),
        "classes": classes,
    }


def group_json(recordings: int, macro_auc: Interval | None) -> dict[str, Any]:
    """As it stands in the card's `groups`. macro_auc: None when there are too few."""
    judgement = TOO_FEW if macro_auc is None else "judged"
    return {
        "recordings": recordings,
        "macro_auc": None if macro_auc is None else rounded(asdict(macro_auc)),
        "judgement": judgement,
    }


def readme(card: Mapping[str, Any]) -> str:
    """The card in readable form, Markdown."""
    int8 = [_int8(card["int8"])] if "int8" in card else []
    sections = [_heading(card), _uses(card), _scores(card), *int8, _groups(card), _origin(card)]
    return "\n\n".join(sections) + "\n"


def rounded(value: Any) -> Any:
    """Every float in a JSON value to the digits that a card shows."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return round(value, DIGITS) if isinstance(value, float) else value


def _heading(card: Mapping[str, Any]) -> str:
    status = {
        "candidate": "**Candidate: it has not passed the promotion gate**, and says so in every result.",
        "champion": "Champion: it has passed the promotion gate.",
    }[card["status"]]
    network = card["network"]
    return (
        f"# {card['name']} {card['version']}\n\n{status}\n\n"
        f"{network['architecture']}; {network['parameters']:,} parameters; ONNX opset {network['opset']}. The ONNX "
        f"file and the torch weights agree within {network['parity']:.0e} on real recordings."
    )


def _uses(card: Mapping[str, Any]) -> str:
    limits = "\n".join(f"- {limit}" for limit in card["limits"])
    return f"## Intended use\n\n{card['intended_use']}\n\n{limits}"


def _scores(card: Mapping[str, Any]) -> str:
    parts = ["## Scores\n\nROC AUC with 95 % bootstrap interval; sensitivity and specificity at the card's thresholds."]
    for split, metrics in card["metrics"].items():
        rows = [
            f"| {SUPERCLASS_NAMES[c]} ({c}) | {scores['positives']} | {_interval(scores['auc'])} "
            f"| {_number(scores['sensitivity'])} | {_number(scores['specificity'])} | {card['thresholds'][c]} |"
            for c in Superclass
            for scores in [metrics["classes"][c]]
        ]
        parts.append(
            f"**{split}**, {metrics['recordings']} recordings: macro-AUC {_interval(metrics['macro_auc'])}\n\n"
            "| class | positives | AUC | sensitivity | specificity | threshold |\n|---|---|---|---|---|---|\n"
            + "\n".join(rows)
        )
    return "\n\n".join(parts)


def _int8(int8: Mapping[str, Any]) -> str:
    val, calibration = int8["val"], int8["calibration"]
    return (
        f"## In 8-bit integers\n\n`model.int8.onnx` runs instead of `model.onnx` where it is faster. {int8['method']}; "
        f"calibrated on {calibration['recordings']} recordings of {calibration['split']}.\n\n"
        f"On val, {val['recordings']} recordings: macro-AUC {val['int8_macro_auc']:.4f} (fp32 "
        f"{val['fp32_macro_auc']:.4f}); probabilities differ by {val['mean_difference']:.4f} on average and by "
        f"{val['largest_difference']:.3f} at most; {val['decisions_changed']} of "
        f"{val['recordings'] * len(Superclass)} decisions changed. All other figures here are those of fp32."
    )


def _groups(card: Mapping[str, Any]) -> str:
    rows = [
        f"| {kind} | {name} | {group['recordings']} | {_interval(group['macro_auc'])} | {group['judgement']} |"
        for kind, groups in card["groups"].items()
        for name, group in groups.items()
    ]
    table = "| by | group | recordings | macro-AUC | |\n|---|---|---|---|---|\n" + "\n".join(rows)
    return f"## Groups of patients (validation fold, where age and sex are known)\n\n{table}"


def _origin(card: Mapping[str, Any]) -> str:
    data, preprocessing = card["data"], card["preprocessing"]
    splits = "\n".join(
        f"- {name}: " + ", ".join(f"{count} {kind}" for kind, count in counts.items())
        for name, counts in data["splits"].items()
    )
    files = "\n".join(f"- `{name}` {sha256}" for name, sha256 in card["files"].items())
    return (
        f"## Origin\n\n{data['source']} ({data['licence']}). {data['citation']}.\n\n{splits}\n\n"
        f"Made {card['created']} from commit {card['commit'] or '(not committed)'}, preprocessing "
        f"{preprocessing['version']}, features {card['features']['version']}. SHA-256:\n\n{files}"
    )


def _interval(interval: Mapping[str, float] | None) -> str:
    if interval is None:
        return "-"
    return f"{interval['value']:.3f} ({interval['low']:.3f} to {interval['high']:.3f})"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"

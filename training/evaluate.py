"""Evaluation of a released model, by the classifier that serves it.

The only module that reads the test split. Each look at it is appended to `test_looks.jsonl`, which is kept with the
models: see `training.looks`.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.artifact import MODELS, Artifact, load_artifact
from inference.classifier import Classifier, load_classifier
from inference.labels import Superclass
from inference.precision import Precision
from inference.prepare import ModelInput
from inference.recording import Sex
from training.card import assessment_json, group_json, read_card, write_card
from training.commit import current_commit
from training.datasets.prepared import Prepared, Progress, load_prepared
from training.datasets.ptbxl import Entry, Rate, Split, read_index
from training.looks import Look, open_look
from training.scores import Assessment, Interval, Labels, Probabilities, assess, bootstrap, macro_auc_or_nan

LOOKS_FILE = "test_looks.jsonl"
BATCH = 32

# Below this a group's AUC says more about the draw than about the model.
MIN_GROUP = 20
MIN_POSITIVES = 5  # of every superclass

AGE_GROUPS = ((18.0, 40.0), (40.0, 60.0), (60.0, 80.0), (80.0, 131.0))  # years, the upper bound excluded


@dataclass(frozen=True, slots=True)
class GroupScore:
    """One group of patients. macro_auc is None when there are too few of them."""

    recordings: int
    macro_auc: Interval | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A model on one split. groups: `sex` and `age` -> group -> score, where they are known."""

    split: Split
    rate: Rate
    assessment: Assessment
    groups: Mapping[str, Mapping[str, GroupScore]]


def evaluate(
    folder: Path,
    data_folder: Path,
    split: Split = Split.VAL,
    rate: Rate = Rate.HZ100,
    *,
    looks: Path = MODELS / LOOKS_FILE,
    cache: Path = Path("var/cache"),
    on_prepared: Progress | None = None,
) -> Evaluation:
    """Evaluate the released model in `folder` on one split of a PTB-XL folder, and write the result into its card.

    Groups are written for the validation fold only. A look at the test split is appended to `looks`.

    Raises ModelInvalid, ModelUnavailable, OSError when `looks` cannot be written, ValueError when the split has no
    recordings that allow an AUC.
    """
    artifact = load_artifact(folder)
    classifier = load_classifier(folder, precision=Precision.FP32)  # what is scored must not depend on the machine
    with _permission(artifact, split, looks) as look:
        entries = read_index(data_folder, split, rate, look=look)
        data = load_prepared(entries, cache, on_prepared)
        probabilities = _classify(classifier, data)
        assessment = assess(data.labels, probabilities, classifier.thresholds)
        evaluation = Evaluation(split, rate, assessment, _groups(entries, data.labels, probabilities))
        if look is not None:
            look.macro_auc = assessment.macro_auc.value
    _add_to_card(folder, evaluation)
    return evaluation


def _permission(artifact: Artifact, split: Split, looks: Path) -> AbstractContextManager[Look | None]:
    if split is not Split.TEST:
        return nullcontext()
    return open_look(looks, commit=current_commit(Path(__file__).parent), sha256=artifact.info().sha256)


def _classify(classifier: Classifier, data: Prepared) -> Probabilities:
    """(recordings, 5)."""
    found: list[list[float]] = []
    for start in range(0, len(data), BATCH):
        rows = range(start, min(start + BATCH, len(data)))
        windows = [[ModelInput(np.array(data.signals[i]), data.features[i])] for i in rows]
        found += [[p.probabilities[c] for c in Superclass] for p in classifier.batch(windows)]
    return np.array(found, np.float32)


def _groups(entries: Sequence[Entry], labels: Labels, probabilities: Probabilities) -> dict[str, dict[str, GroupScore]]:
    def score(members: list[bool]) -> GroupScore:
        rows = np.array(members, bool)
        return _group_score(labels[rows], probabilities[rows])

    return {
        "sex": {sex.value: score([e.sex is sex for e in entries]) for sex in (Sex.FEMALE, Sex.MALE)},
        "age": {
            f"{low:g} to {high - 1:g}": score([e.age is not None and low <= e.age < high for e in entries])
            for low, high in AGE_GROUPS
        },
    }


def _group_score(labels: Labels, probabilities: Probabilities) -> GroupScore:
    positives: NDArray[np.float32] = labels.sum(axis=0)
    enough = len(labels) >= MIN_GROUP and min(positives.min(), (len(labels) - positives).min()) >= MIN_POSITIVES
    if not enough:
        return GroupScore(len(labels), None)
    return GroupScore(len(labels), bootstrap(macro_auc_or_nan, labels, probabilities))


def _add_to_card(folder: Path, evaluation: Evaluation) -> None:
    card = read_card(folder)
    name = evaluation.split.value if evaluation.rate is Rate.HZ100 else f"{evaluation.split.value}-500-hz"
    card["metrics"][name] = assessment_json(evaluation.assessment)
    if name == Split.VAL.value:
        card["groups"] = {
            kind: {group: group_json(score.recordings, score.macro_auc) for group, score in scores.items()}
            for kind, scores in evaluation.groups.items()
        }
    write_card(folder, card)

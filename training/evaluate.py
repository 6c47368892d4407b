"""Evaluation of a released model, by the classifier that serves it.

The only module that reads the test split. Each look at it is appended to `test_looks.jsonl`, which is kept with the
models: see `training.looks`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from uuid6 import uuid7

from actions.analysis import Analysis, Door, PolicyInfo, RequestContext
from actions.analyze import Analyze
from actions.policy import load_policy
from actions.ports import Clock
from inference.artifact import MODELS, Artifact, load_artifact
from inference.classifier import Classifier, load_classifier
from inference.labels import Superclass
from inference.precision import Precision
from inference.prediction import ModelInfo
from inference.prepare import ModelInput
from training.card import assessment_json, group_json, read_card, trained_on, write_card
from training.card_counts import CardCounts, tally
from training.commit import current_commit
from training.datasets import ptbxl
from training.datasets.catalog import open_dataset
from training.datasets.entry import Entry, Split
from training.datasets.indexed import IndexedDataSet
from training.datasets.prepared import Prepared, load_prepared
from training.datasets.preparing import Progress
from training.datasets.ptbxl import Rate
from training.groups import GroupScore, group_score, members
from training.just_recorded import just_recorded
from training.looks import Look, Purpose, open_look
from training.looks import looks as recorded_looks
from training.scores import Assessment, Labels, Probabilities, assess

LOOKS_FILE = "test_looks.jsonl"
CACHE = Path("var/cache")
BATCH = 32


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """A model on one set of recordings. name: as in the card's `metrics`. groups: `sex` and `age` -> group -> score,
    where they are known. labels, probabilities: (recordings, 5), patients: one a recording, for plots."""

    name: str
    assessment: Assessment
    groups: Mapping[str, Mapping[str, GroupScore]]
    labels: Labels
    probabilities: Probabilities
    patients: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedCards:
    """The cards of one split. policy: the rules. sampling_rates: Hz -> how many recordings were analysed at it."""

    model: ModelInfo
    policy: PolicyInfo
    split: Split
    sampling_rates: Mapping[float, int]
    counts: CardCounts


def evaluate(
    folder: Path,
    data_folder: Path,
    split: Split = Split.VAL,
    rate: Rate = Rate.HZ100,
    *,
    kind: str = ptbxl.NAME,
    looks: Path = MODELS / LOOKS_FILE,
    cache: Path = CACHE,
    workers: int = 0,
    on_prepared: Progress | None = None,
) -> Evaluation:
    """Evaluate the released model in `folder` on one split of a data set, and write the result into its card.

    kind: of the data set; what is not the one that the model was trained on is named by it in the card, except for
    the test fold of PTB-XL, which is what the gate asks for. rate: other than 100 Hz for PTB-XL only. Groups are
    written for the validation split only. A look at a test split is appended to `looks`.

    Raises ModelInvalid, ModelUnavailable, OSError when `looks` cannot be written, AlreadyLooked when the test split
    has answered for this model, ValueError when the split has no recordings that allow an AUC.
    """
    artifact, classifier = _load(folder)
    name = _name(kind, split, rate, artifact)
    with _permission(artifact, split, looks) as look:
        data_set = _data_set(kind, data_folder, rate)
        data = load_prepared(
            data_set.entries(split, look=look),
            cache,
            on_prepared,
            workers=workers,
            drop_unusable=not data_set.curated,
        )
        evaluation = _evaluate(name, classifier, data)
        if look is not None:
            look.macro_auc = evaluation.assessment.macro_auc.value
    _add_to_card(folder, evaluation)
    if look is not None:
        _count_looks(folder, artifact, looks)
    return evaluation


def evaluate_external(
    folder: Path,
    entries: Sequence[Entry],
    name: str,
    *,
    cache: Path = CACHE,
    workers: int = 0,
    on_prepared: Progress | None = None,
) -> Evaluation:
    """Evaluate the released model in `folder` on recordings of another source, such as
    `open_dataset("chapman", path).external_entries()`, and write the result into its card as `external-<name>`.

    Recordings that the service would refuse are left out. Raises ModelInvalid, ModelUnavailable, ValueError when the
    recordings allow no AUC.
    """
    _, classifier = _load(folder)
    data = load_prepared(entries, cache, on_prepared, workers=workers, drop_unusable=True)
    evaluation = _evaluate(f"external-{name}", classifier, data)
    _add_to_card(folder, evaluation)
    return evaluation


def count_cards(
    folder: Path,
    data_folder: Path,
    split: Split = Split.VAL,
    *,
    kind: str = ptbxl.NAME,
    looks: Path = MODELS / LOOKS_FILE,
    clock: Clock = lambda: datetime.now(UTC),
    on_counted: Progress | None = None,
) -> CountedCards:
    """Count the cards that the released model in `folder` and the shipped rules would bring on one split, and how many
    would be right. Writes nothing into the card.

    Each recording is analysed as the service does it, as if just recorded and at the best sampling rate that the folder
    has; what the service would refuse counts as unreadable. A candidate counts as if it were not silent. A look at a
    test split is appended to `looks`, without a figure.

    Raises ModelInvalid, ModelUnavailable, OSError when `looks` cannot be written, AlreadyLooked when the cards of this
    model were counted on the test split, PermissionError when it has no figure there yet.
    """
    artifact, classifier = _load(folder)
    policy = load_policy()
    analyze = Analyze(classify=classifier, policy=policy, clock=clock, ids=uuid7)
    with _permission(artifact, split, looks, Purpose.CARDS) as look:
        entries = _best_entries(kind, data_folder, split, look)
        analyses: list[Analysis | None] = []
        for entry in entries:
            analyses.append(_analysis(analyze, entry))
            if on_counted is not None:
                on_counted(len(analyses), len(entries))
        counts = tally((analysis, e.labels) for analysis, e in zip(analyses, entries, strict=True))
        if look is not None:
            rules = f"{policy.info.name} {policy.info.version}"
            look.note = f"cards were counted under the rules {rules}; no figure of the model was taken"
    return CountedCards(
        model=classifier.model,
        policy=policy.info,
        split=split,
        sampling_rates=Counter(analysis.sampling_rate for analysis in analyses if analysis is not None),
        counts=counts,
    )


def _load(folder: Path) -> tuple[Artifact, Classifier]:
    """What is scored must not depend on the machine: always the fp32 graph."""
    return load_artifact(folder), load_classifier(folder, precision=Precision.FP32)


def _data_set(kind: str, folder: Path, rate: Rate) -> IndexedDataSet:
    if rate is Rate.HZ100:
        return open_dataset(kind, folder)
    if kind != ptbxl.NAME:
        raise ValueError(f"{kind} has one sampling rate for each recording")
    return ptbxl.at_rate(folder, rate)


def _name(kind: str, split: Split, rate: Rate, artifact: Artifact) -> str:
    own = ptbxl.NAME if split is Split.TEST else trained_on(artifact.card)
    name = split.value if kind == own else f"{kind}-{split.value}"
    return name if rate is Rate.HZ100 else f"{name}-500-hz"


def _permission(
    artifact: Artifact, split: Split, log: Path, purpose: Purpose = Purpose.FIGURE
) -> AbstractContextManager[Look | None]:
    if split is not Split.TEST:
        return nullcontext()
    commit = current_commit(Path(__file__).parent)
    return open_look(log, commit=commit, sha256=artifact.info().sha256, purpose=purpose)


def _best_entries(kind: str, folder: Path, split: Split, look: Look | None) -> Sequence[Entry]:
    """Each recording once. Only PTB-XL has recordings at two rates, and not every folder has all files of both."""
    if kind != ptbxl.NAME:
        return open_dataset(kind, folder).entries(split, look=look)
    return ptbxl.at_best_rate(folder, lambda data: data.entries(split, look=look))


def _analysis(analyze: Analyze, entry: Entry) -> Analysis | None:
    """None for a file that the service would refuse to read."""
    now = analyze.clock()
    context = RequestContext(door=Door.CDS_HOOKS, received_at=now, correlation_id=entry.recording_id)
    recording = just_recorded(entry, now)
    return None if recording is None else analyze(recording, context)


def _evaluate(name: str, classifier: Classifier, data: Prepared) -> Evaluation:
    probabilities = _classify(classifier, data)
    patients = [e.patient_id for e in data.entries]
    groups = members([e.sex for e in data.entries], [e.age for e in data.entries])
    return Evaluation(
        name=name,
        assessment=assess(data.labels, probabilities, classifier.thresholds, patients),
        groups={
            kind: {
                group: group_score(
                    data.labels[rows],
                    probabilities[rows],
                    classifier.thresholds,
                    [patient for patient, is_member in zip(patients, rows, strict=True) if is_member],
                )
                for group, rows in found.items()
            }
            for kind, found in groups.items()
        },
        labels=data.labels,
        probabilities=probabilities,
        patients=tuple(patients),
    )


def _classify(classifier: Classifier, data: Prepared) -> Probabilities:
    """(recordings, 5)."""
    found: list[list[float]] = []
    for start in range(0, len(data), BATCH):
        rows = range(start, min(start + BATCH, len(data)))
        windows = [[ModelInput(np.array(data.signals[i]), np.array(data.features[i]))] for i in rows]
        found += [[p.probabilities[c] for c in Superclass] for p in classifier.batch(windows)]
    return np.array(found, np.float32)


def _add_to_card(folder: Path, evaluation: Evaluation) -> None:
    card = read_card(folder)
    card["metrics"][evaluation.name] = assessment_json(evaluation.assessment)
    if evaluation.name == Split.VAL.value:
        card["groups"] = {
            kind: {group: group_json(score) for group, score in scores.items()}
            for kind, scores in evaluation.groups.items()
        }
    write_card(folder, card)


def _count_looks(folder: Path, artifact: Artifact, log: Path) -> None:
    """How often the test split was asked, failed looks too: every one of them could have shaped a decision."""
    all_looks = recorded_looks(log)
    sha256 = artifact.info().sha256
    own = sum(entry["sha256"] == sha256 for entry in all_looks)
    write_card(folder, {**read_card(folder), "test_looks": {"of_this_model": own, "of_all_models": len(all_looks)}})

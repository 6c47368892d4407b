import csv
import shutil
from pathlib import Path

import pytest

from actions.analysis import Urgency
from inference.artifact import find_model, load_artifact
from inference.labels import Superclass
from tests.conftest import ROOT
from tests.fakes import FixedClock
from training.card_counts import CardCounts
from training.datasets.entry import Split
from training.datasets.ptbxl import read_index
from training.evaluate import count_cards, evaluate, evaluate_external
from training.export import Exported
from training.looks import AlreadyLooked, looks


def test_the_validation_fold_is_scored_and_written_into_the_card(
    exported: Exported, small_ptbxl: Path, cache: Path, tmp_path: Path
) -> None:
    log = tmp_path / "looks.jsonl"
    evaluation = evaluate(exported.folder, small_ptbxl, looks=log, cache=cache)
    card = load_artifact(exported.folder).card
    assert evaluation.assessment.recordings == card["metrics"]["val"]["recordings"] == 8
    assert card["groups"]["sex"]["female"]["judgement"] == "too few to judge"
    assert looks(log) == [], "validation is no look at the test split"


def test_a_look_at_the_test_split_is_appended_with_the_checksum_and_the_score(
    exported: Exported, small_ptbxl: Path, cache: Path, tmp_path: Path
) -> None:
    log = tmp_path / "looks.jsonl"
    evaluation = evaluate(exported.folder, small_ptbxl, Split.TEST, looks=log, cache=cache)
    (entry,) = looks(log)
    artifact = load_artifact(exported.folder)
    assert entry["sha256"] == artifact.info().sha256
    assert entry["macro_auc"] == evaluation.assessment.macro_auc.value
    assert artifact.card["metrics"]["test"]["recordings"] == 6
    assert artifact.card["test_looks"] == {"of_this_model": 1, "of_all_models": 1}
    with pytest.raises(AlreadyLooked):
        evaluate(exported.folder, small_ptbxl, Split.TEST, looks=log, cache=cache)
    assert len(looks(log)) == 1


def test_recordings_of_another_source_are_scored_under_their_own_name(
    exported: Exported, small_ptbxl: Path, cache: Path
) -> None:
    entries = read_index(small_ptbxl, Split.VAL)
    evaluation = evaluate_external(exported.folder, entries, "elsewhere", cache=cache)
    card = load_artifact(exported.folder).card
    assert card["metrics"]["external-elsewhere"]["recordings"] == len(evaluation.probabilities) == 8
    assert "external-elsewhere" in (exported.folder / "README.md").read_text()


def test_the_test_split_is_not_read_when_the_look_cannot_be_written_down(
    exported: Exported, small_ptbxl: Path, tmp_path: Path
) -> None:
    (tmp_path / "looks.jsonl").mkdir()
    empty = tmp_path / "cache"
    with pytest.raises(IsADirectoryError):
        evaluate(exported.folder, small_ptbxl, Split.TEST, looks=tmp_path / "looks.jsonl", cache=empty)
    assert not empty.exists()


def _cards(counts: CardCounts) -> dict[Urgency, int]:
    return {one.urgency: one.cards.count for one in counts.by_urgency}


def test_cards_are_counted_as_if_every_recording_had_just_been_made(small_ptbxl: Path, tmp_path: Path) -> None:
    """By the released model: one of two epochs would be sure of nothing."""
    before, log = _files(ROOT / "models"), tmp_path / "looks.jsonl"
    found = count_cards(find_model(ROOT / "models"), small_ptbxl, looks=log, clock=FixedClock())
    counts = found.counts
    assert (counts.recordings, counts.unreadable, dict(found.sampling_rates)) == (8, 0, {100.0: 8})
    assert sum(_cards(counts).values()) == 8
    assert _cards(counts)[Urgency.IMMEDIATE] > 0, "nothing of a data set's age may leave the acute window"
    entries = read_index(small_ptbxl, Split.VAL)
    assert counts.infarcts.of == sum(e.labels[Superclass.MI] for e in entries)
    assert not log.exists(), "validation is no look at the test split"
    assert _files(ROOT / "models") == before


def test_cards_are_counted_at_500_hz_where_the_files_are_there_and_what_cannot_be_read_is_told(
    exported: Exported, ptbxl: Path, tmp_path: Path
) -> None:
    chosen = _folder_of(ptbxl, tmp_path)
    found = count_cards(exported.folder, chosen, clock=FixedClock())
    assert dict(found.sampling_rates) == {500.0: 1, 100.0: 1}
    assert (found.counts.recordings, found.counts.unreadable) == (3, 1)


def test_counting_cards_of_the_test_split_is_a_look_without_a_figure_and_after_it(
    exported: Exported, small_ptbxl: Path, cache: Path, tmp_path: Path
) -> None:
    log = tmp_path / "looks.jsonl"
    with pytest.raises(PermissionError, match="no figure"):
        count_cards(exported.folder, small_ptbxl, Split.TEST, looks=log)
    evaluate(exported.folder, small_ptbxl, Split.TEST, looks=log, cache=cache)
    before = _files(exported.folder)
    assert count_cards(exported.folder, small_ptbxl, Split.TEST, looks=log).counts.recordings == 6
    entry = looks(log)[-1]
    assert (entry["purpose"], entry["macro_auc"]) == ("cards", None)
    assert "no figure of the model was taken" in str(entry["note"])
    with pytest.raises(AlreadyLooked):
        count_cards(exported.folder, small_ptbxl, Split.TEST, looks=log)
    assert len(looks(log)) == 2
    assert _files(exported.folder) == before


def test_no_other_module_opens_a_look() -> None:
    users = {path.name for path in (ROOT / "training").rglob("*.py") if "open_look(" in path.read_text()}
    assert users == {"looks.py", "evaluate.py"}


def _files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.suffix in (".json", ".jsonl", ".md")}


def _folder_of(ptbxl: Path, folder: Path) -> Path:
    """Three validation recordings: one with both files, one with 100 Hz only, one whose samples are cut off."""
    with (ptbxl / "superclass_labels.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == Split.VAL.value]
    both = next(row for row in rows if (ptbxl / f"{row['filename_hr']}.hea").is_file())
    low, cut = [row for row in rows if not (ptbxl / f"{row['filename_hr']}.hea").is_file()][:2]
    for name in (both["filename_lr"], both["filename_hr"], low["filename_lr"], cut["filename_lr"]):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        for suffix in (".hea", ".dat"):
            shutil.copy(ptbxl / f"{name}{suffix}", folder / f"{name}{suffix}")
    (folder / f"{cut['filename_lr']}.dat").write_bytes(b"")
    with (folder / "superclass_labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(both))
        writer.writeheader()
        writer.writerows([both, low, cut])
    return folder

import json
from pathlib import Path
from typing import Any

import pytest

from inference.artifact import find_model
from tests.conftest import ROOT
from training.bootstrap import Interval
from training.card import add_figures, group_json, rounded, write_card
from training.groups import GroupScore
from training.readme import NOT_LOOKED_AT, readme

Card = dict[str, Any]


@pytest.fixture
def card() -> Card:
    """The card of the shipped model."""
    found: Card = json.loads((find_model(ROOT / "models") / "card.json").read_text())
    return found


def _group(recordings: int, macro_auc: Interval | None) -> GroupScore:
    return GroupScore(recordings=recordings, macro_auc=macro_auc, classes={})


def test_the_shipped_readme_is_the_one_that_the_card_gives(card: Card) -> None:
    assert (find_model(ROOT / "models") / "README.md").read_text() == readme(card)


def test_a_model_that_passed_no_gate_says_so_first(card: Card) -> None:
    assert "has not passed the promotion gate" in readme({**card, "status": "candidate"}).split("##")[0]
    assert "has not passed" not in readme({**card, "status": "champion"})


def test_a_small_group_is_called_too_few_to_judge_and_gets_no_score(card: Card) -> None:
    groups = {"sex": {"female": group_json(_group(9, None)), "male": group_json(_group(90, Interval(0.9, 0.85, 0.95)))}}
    text = readme({**card, "groups": groups})
    assert "| sex | female | 9 | - | too few to judge |" in text
    assert "| sex | male | 90 | 0.900 (0.850 to 0.950) | judged |" in text


def test_a_class_without_positives_is_shown_as_unknown_and_not_as_zero(card: Card) -> None:
    card["metrics"]["val"]["classes"]["HYP"] = {
        "positives": 0,
        "auc": None,
        "sensitivity": None,
        "specificity": 0.5,
    }
    text = readme({**card, "metrics": {"val": card["metrics"]["val"]}})
    (row,) = (line for line in text.splitlines() if "(HYP)" in line)
    assert row == "| Hypertrophy (HYP) | 0 | - | - | - | - | 0.50 | 0.3 |"


def test_a_model_that_did_not_ask_the_test_fold_says_so(card: Card) -> None:
    assert f"**test**: {NOT_LOOKED_AT}" in readme({**card, "metrics": {"val": card["metrics"]["val"]}})
    assert NOT_LOOKED_AT not in readme(card)


def test_the_number_of_looks_is_printed(card: Card) -> None:
    text = readme({**card, "test_looks": {"of_this_model": 1, "of_all_models": 3}})
    assert "1 for this model, 3 for all models" in text


def test_figures_are_shown_from_the_folder_of_the_model(card: Card, tmp_path: Path) -> None:
    write_card(tmp_path, card)
    add_figures(tmp_path, {tmp_path / "figures" / "roc-val.svg": "roc, val"})
    assert "![roc, val](figures/roc-val.svg)" in (tmp_path / "README.md").read_text()


def test_floats_are_rounded_wherever_they_stand() -> None:
    assert rounded({"a": [0.123456, (1, 0.99999)], "b": None}) == {"a": [0.1235, [1, 1.0]], "b": None}


def test_the_shipped_model_meets_what_was_asked_of_it(card: Card) -> None:
    val = card["metrics"]["val"]["macro_auc"]
    assert val["value"] > 0.85
    assert val["low"] > 0.85
    assert card["network"]["parity"] <= 1e-4

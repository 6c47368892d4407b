import json
from pathlib import Path
from typing import Any

import pytest

from inference.artifact import find_model
from tests.conftest import ROOT
from training.card import group_json, readme
from training.scores import Interval

Card = dict[str, Any]


@pytest.fixture
def card() -> Card:
    """The card of the shipped model."""
    found: Card = json.loads((find_model(ROOT / "models") / "card.json").read_text())
    return found


def test_the_shipped_readme_is_the_one_that_the_card_gives(card: Card) -> None:
    assert (find_model(ROOT / "models") / "README.md").read_text() == readme(card)


def test_a_model_that_passed_no_gate_says_so_first(card: Card) -> None:
    assert "has not passed the promotion gate" in readme({**card, "status": "candidate"}).split("##")[0]
    assert "has not passed" not in readme({**card, "status": "champion"})


def test_a_small_group_is_called_too_few_to_judge_and_gets_no_score(card: Card) -> None:
    groups = {"sex": {"female": group_json(9, None), "male": group_json(90, Interval(0.9, 0.85, 0.95))}}
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
    (row,) = (
        line for line in readme({**card, "metrics": {"val": card["metrics"]["val"]}}).splitlines() if "HYP)" in line
    )
    assert "| 0 | - | - | 0.50 |" in row


def test_the_shipped_model_meets_what_was_asked_of_it(card: Card) -> None:
    val = card["metrics"]["val"]["macro_auc"]
    assert val["value"] > 0.85
    assert val["low"] > 0.85
    assert card["network"]["parity"] <= 1e-4


def test_the_shipped_test_score_is_one_that_was_looked_up_on_record(card: Card) -> None:
    lines = (Path(ROOT) / "models" / "test_looks.jsonl").read_text().splitlines()
    look = next(entry for entry in map(json.loads, lines) if entry["sha256"] == card["files"]["model.onnx"])
    assert look["macro_auc"] == pytest.approx(card["metrics"]["test"]["macro_auc"]["value"], abs=1e-4)

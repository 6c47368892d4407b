"""The data sheet, made from the card of the shipped model."""

import json
from typing import Any

import pytest

from tests.conftest import ROOT
from training.datasheet import UNKNOWN, datasheet

Card = dict[str, Any]


@pytest.fixture
def card() -> Card:
    found: Card = json.loads((ROOT / "models/resnet18-ptbxl/0.3.0/card.json").read_text())
    return found


def answer(text: str, question: str) -> str:
    return text.split(f"**{question}**\n\n", 1)[1].split("\n\n**")[0].split("\n\n## ")[0]


def test_it_has_the_seven_sections_of_gebru_et_al(card: Card) -> None:
    assert [line[3:] for line in datasheet(card).splitlines() if line.startswith("## ")] == [
        "Motivation", "Composition", "Collection process", "Preprocessing, cleaning, labelling", "Uses",
        "Distribution", "Maintenance",
    ]  # fmt: skip


def test_counts_are_those_of_the_card(card: Card) -> None:
    counts = answer(datasheet(card), "How many instances are there, as used here?")
    assert "| train | 1,490 | 1,480 | 801 | 266 | 345 | 321 | 159 |" in counts
    assert "Left out: none." in counts
    groups = answer(datasheet(card), "Does it identify subpopulations?")
    assert "| female | 189 | 31 | 17 |" in groups
    assert "| CS-12 E | 170 | 43 | 22 |" in groups


def test_labels_of_the_test_split_are_told_only_by_the_look_that_the_model_had(card: Card) -> None:
    assert "| test | 124 | 124 | 65 | 24 | 24 | 18 | 11 |" in datasheet(card)
    del card["metrics"]["test"]
    assert "| test | 124 | 124 | not looked at |" in datasheet(card)


def test_another_data_set_gets_none_of_the_answers_of_this_one(card: Card) -> None:
    card["data"] = {**card["data"], "kind": "cohort", "source": "a hospital's own cohort", "licence": "none"}
    text = datasheet(card)
    assert "Schiller" not in text
    assert "PTB-XL" not in text.partition("## Motivation")[2]
    assert answer(text, "How was the data acquired?").strip() == UNKNOWN


def test_a_card_from_before_the_counts_tells_what_it_has(card: Card) -> None:
    del card["data"]["composition"]
    assert "| val | 242 | 111 | 55 | 69 | 48 | 30 |" in datasheet(card)
    assert answer(datasheet(card), "Does it identify subpopulations?").strip() == UNKNOWN

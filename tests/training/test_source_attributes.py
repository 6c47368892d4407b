"""The source attributes, made from the card of the shipped model."""

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from actions.policy import load_policy
from tests.conftest import ROOT
from training.card_facts import FACTS
from training.source_attributes import (
    NOT_AVAILABLE,
    Attribute,
    attributes_json,
    attributes_markdown,
    source_attributes,
)

Card = dict[str, Any]

# 45 CFR 170.315(b)(11)(iv)(B): how many attributes each of the nine categories has.
COUNTS = {1: 4, 2: 4, 3: 2, 4: 4, 5: 2, 6: 4, 7: 5, 8: 4, 9: 2}


@pytest.fixture
def card() -> Card:
    found: Card = json.loads((ROOT / "models/resnet18-ptbxl/0.3.0/card.json").read_text())
    return found


def attributes(card: Card) -> dict[str, Attribute]:
    found = source_attributes(card, load_policy())
    return {one.key: one for category in found.categories for one in category.attributes}


def text(card: Card, key: str) -> str:
    return "\n".join(attributes(card)[key].lines)


def without(change: Callable[[Card], object], card: Card) -> Card:
    changed = deepcopy(card)
    change(changed)
    return changed


def test_all_31_attributes_are_there_and_numbered_as_in_the_regulation(card: Card) -> None:
    found = source_attributes(card, load_policy())
    numerals = ["i", "ii", "iii", "iv", "v"]
    expected = [f"({n})({numeral})" for n, count in COUNTS.items() for numeral in numerals[:count]]
    assert [one.paragraph for category in found.categories for one in category.attributes] == expected
    assert len(expected) == 31


def test_each_says_something_and_where_it_comes_from(card: Card) -> None:
    for one in attributes(card).values():
        assert one.lines, one.key
        assert one.sources, one.key


def test_no_fact_is_made_for_nothing(card: Card) -> None:
    assert set(FACTS) <= set(attributes(card))


def test_what_is_not_known_is_said_to_be_so(card: Card) -> None:
    unknown = {key for key, one in attributes(card).items() if not one.is_available}
    assert unknown == {"funding", "external_representativeness", "external_fairness", "outcomes"}


def test_figures_are_those_of_the_card(card: Card) -> None:
    card["metrics"]["test"]["macro_auc"] = {"value": 0.8124, "low": 0.7, "high": 0.9}
    card["fairness"]["age"]["groups"]["under 40"]["recordings"] = 98765
    assert "test, 124 recordings: macro-AUC 0.812 (0.700 to 0.900)." in text(card, "validity")
    assert "under 40: 98765 recordings" in text(card, "fairness")


def test_age_and_sex_are_inputs_and_nothing_else_is(card: Card) -> None:
    told = text(card, "variables")
    assert "Date of birth: yes, as age" in told
    assert "Sex: yes, as female, male or unknown" in told
    assert "Race, ethnicity, language, sexual orientation, gender identity" in told
    blind = without(lambda it: it["features"].update(names=["heart_rate"]), card)
    assert "Date of birth: no" in text(blind, "variables")
    assert "Sex: no" in text(blind, "variables")


def test_a_model_that_was_not_validated_elsewhere_says_so(card: Card) -> None:
    only_own = without(lambda it: it["metrics"].pop("external-chapman"), card)
    for key in ("external_source", "external_party", "external_process", "external_validity"):
        assert attributes(card)[key].is_available
        assert not attributes(only_own)[key].is_available


def test_a_model_that_never_asked_the_test_fold_and_was_not_judged_says_so(card: Card) -> None:
    young = without(lambda it: (it["metrics"].pop("test"), it.pop("fairness"), it["data"].pop("composition")), card)
    assert text(young, "validity").startswith(f"{NOT_AVAILABLE}scores on the test fold")
    assert not attributes(young)["fairness"].is_available
    assert not attributes(young)["representativeness"].is_available
    assert "Not available: who is in the training data" in text(young, "criteria")


def test_who_let_it_pass_by_waiver_is_named(card: Card) -> None:
    waiver = {"waives": ["fairness"], "by": "Ada", "reason": "a trial", "date": "", "says": "fairness waived"}
    told = text({**card, "status": "champion", "waiver": waiver}, "risks")
    assert "Passed by waiver, fairness waived: a trial (Ada)." in told


def test_json_and_markdown_say_the_same(card: Card) -> None:
    found = source_attributes(card, load_policy())
    markdown, told = attributes_markdown(found), attributes_json(found)
    for category in told["categories"]:
        assert f"## {category['paragraph']} {category['title']}" in markdown
        for one in category["attributes"]:
            assert f"### {one['paragraph']} {one['title']}" in markdown
            assert all(f"- {line}" in markdown for line in one["value"])
    assert json.loads(json.dumps(told)) == told

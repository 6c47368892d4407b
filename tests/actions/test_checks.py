import json
from importlib import resources
from typing import Any

import pytest

from actions.checks import problems_of

Document = dict[str, Any]


@pytest.fixture
def document() -> Document:
    loaded: Document = json.loads(resources.files("actions").joinpath("policy.json").read_bytes())
    return loaded


def rule(document: Document, rule_id: str) -> Document:
    found: Document = next(r for r in document["rules"] if r["id"] == rule_id)
    return found


def test_the_shipped_rules_have_no_problems(document: Document) -> None:
    assert problems_of(document) == []


def test_an_id_used_twice_is_found(document: Document) -> None:
    document["rules"].append(rule(document, "sttc"))
    assert problems_of(document) == ["rule 'sttc': the id is used 2 times"]


def test_a_source_that_is_not_listed_is_found_in_rules_and_normal_limits(document: Document) -> None:
    rule(document, "sttc")["source"] = ["hearsay"]
    document["settings"]["normal"][0]["source"] = ["rumour"]
    assert problems_of(document) == [
        "rule 'sttc': missing source: 'hearsay' is not in sources",
        "settings.normal heart_rate: missing source: 'rumour' is not in sources",
    ]


@pytest.mark.parametrize(
    ("when", "place"),
    [
        ({"diagnosis": "STTC", "probability": {"at_least": 0.7, "below": 0.3}}, "when.probability"),
        (
            {"diagnosis": "STTC", "probability": {"at_least": "mi_immediate_probability", "below": 0.7}},
            "when.probability",
        ),
        ({"diagnosis": "STTC", "age": {"above": 40, "below": 40}}, "when.age"),
        ({"measurements": {"qtc": {"above": 500, "at_most": 450}}}, "when.measurements.qtc"),
    ],
)
def test_an_inverted_band_is_found(document: Document, when: Document, place: str) -> None:
    rule(document, "sttc")["when"] = when
    problems = problems_of(document)
    assert len(problems) == 1
    assert problems[0].startswith(f"rule 'sttc' {place}: no value can be ")


def test_an_inverted_normal_limit_is_found(document: Document) -> None:
    document["settings"]["normal"][0]["limits"] = {"at_least": 100, "at_most": 50}
    assert problems_of(document) == ["settings.normal heart_rate: no value can be at least 100, at most 50"]


def test_a_rule_that_would_fire_on_every_ecg_is_found(document: Document) -> None:
    rule(document, "sttc")["when"] = {"age": {"at_least": 40}, "sex": "male"}
    assert problems_of(document) == ["rule 'sttc' when: needs one of diagnosis, measurements, quality, conclusion"]


def test_a_rule_that_can_never_fire_is_found(document: Document) -> None:
    rule(document, "sttc")["when"] = {"diagnosis": "STTC", "with_all": ["CD"], "without": ["STTC", "CD"]}
    rule(document, "hypertrophy")["when"] = {"diagnosis": "HYP", "with_any": ["CD"], "without": ["CD", "MI"]}
    assert problems_of(document) == [
        "rule 'sttc' when: CD is both wanted and excluded",
        "rule 'sttc' when: STTC is both wanted and excluded",
        "rule 'hypertrophy' when: everything in with_any is excluded",
    ]


@pytest.mark.parametrize("band", [{}, {"at_least": 0.69}, {"above": 0.5}, {"below": 0.9}])
def test_an_infarction_below_the_setting_cannot_be_made_immediate(document: Document, band: Document) -> None:
    rule(document, "mi-immediate")["when"] = {"diagnosis": "MI", "probability": band}
    assert problems_of(document) == [
        "rule 'mi-immediate': immediate for MI needs probability at_least mi_immediate_probability"
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"urgency": "routine"},
        {"when": {"quality": ["noise"]}},
        {"when": {"quality": ["lead-reversal"], "diagnosis": "MI"}},
    ],
)
def test_rules_without_a_repeat_on_lead_reversal_are_refused(document: Document, change: Document) -> None:
    rule(document, "lead-reversal").update(change)
    problems = problems_of(document)
    assert len(problems) == 1
    assert "must fire on quality lead-reversal alone" in problems[0]


def test_a_normal_ecg_needs_limits_for_the_four_measurements_and_both_sexes(document: Document) -> None:
    normal = document["settings"]["normal"]
    document["settings"]["normal"] = [n for n in normal if n["measurement"] != "pr" and n.get("sex") != "male"]
    assert problems_of(document) == [
        "settings.normal: pr has no limits for female",
        "settings.normal: pr has no limits for male",
        "settings.normal: qtc has no limits for male",
    ]


def test_a_mistyped_snomed_code_is_found(document: Document) -> None:
    rule(document, "lead-reversal")["code"]["code"] = "268400003"
    assert problems_of(document) == [
        "rule 'lead-reversal' code: 268400003 is no SNOMED CT concept identifier (check digit or partition)"
    ]


def test_one_code_with_two_displays_is_found(document: Document) -> None:
    rule(document, "poor-signal")["code"]["display"] = "Echocardiography"
    assert problems_of(document) == ["rule 'poor-signal' code: 268400002 is displayed as '12 lead ECG' by another rule"]

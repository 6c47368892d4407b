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


# --- orders


def order_rule(document: Document, rule_id: str) -> Document:
    found: Document = next(r for r in document["orders"]["rules"] if r["id"] == rule_id)
    return found


def test_rules_without_the_section_orders_are_sound(document: Document) -> None:
    del document["orders"]
    assert problems_of(document) == []


def test_an_id_is_used_once_among_the_rules_for_ecgs_and_orders_together(document: Document) -> None:
    order_rule(document, "stress-test-strain")["id"] = "sttc"
    assert problems_of(document) == ["rule 'sttc': the id is used 2 times"]


def test_sources_of_order_rules_and_groups_must_be_listed(document: Document) -> None:
    order_rule(document, "stress-test-strain")["source"] = ["hearsay"]
    document["orders"]["groups"]["exercise-tests"]["source"] = ["rumour"]
    assert problems_of(document) == [
        "order rule 'stress-test-strain': missing source: 'hearsay' is not in sources",
        "order group 'exercise-tests': missing source: 'rumour' is not in sources",
    ]


def test_a_group_that_is_not_there_is_found(document: Document) -> None:
    order_rule(document, "stress-test-strain")["orders"] = ["exercise-tests", "crystal-balls"]
    assert problems_of(document) == [
        "order rule 'stress-test-strain': unknown group: 'crystal-balls' is not in orders.groups"
    ]


def test_a_group_that_means_no_order_is_found(document: Document) -> None:
    group = document["orders"]["groups"]["exercise-tests"]
    del group["codes"], group["names"]
    document["orders"]["groups"]["beta-blockers"]["names"] += ["(-)"]
    assert problems_of(document) == [
        "order group 'beta-blockers' names: '(-)' has no word to look for",
        "order group 'exercise-tests': needs codes or names",
    ]


def test_a_group_with_codes_alone_or_names_alone_is_enough(document: Document) -> None:
    del document["orders"]["groups"]["exercise-tests"]["codes"]
    del document["orders"]["groups"]["beta-blockers"]["names"]
    assert problems_of(document) == []


def test_a_code_that_stands_twice_in_a_group_is_found(document: Document) -> None:
    codes = document["orders"]["groups"]["exercise-tests"]["codes"]
    codes.append(codes[0])
    assert problems_of(document) == ["order group 'exercise-tests' codes: 165079009 stands there 2 times"]


@pytest.mark.parametrize(
    ("system", "code", "what"),
    [
        ("http://snomed.info/sct", "165079008", "SNOMED CT concept identifier (check digit or partition)"),
        ("http://loinc.org", "18752-7", "LOINC code (check digit)"),
        ("http://www.whocc.no/atc", "C07AA", "ATC code of a substance (seven characters)"),
        ("http://www.nlm.nih.gov/research/umls/rxnorm", "sotalol", "RxNorm concept identifier (a number)"),
    ],
)
def test_a_mistyped_code_of_an_order_is_found(document: Document, system: str, code: str, what: str) -> None:
    group = document["orders"]["groups"]["exercise-tests"]
    group["codes"] = [{"system": system, "code": code, "display": "Mistyped", "verified": "nowhere"}]
    assert problems_of(document) == [f"order group 'exercise-tests' code: {code} is no {what}"]


def test_a_code_of_a_terminology_of_ones_own_is_accepted_as_it_is(document: Document) -> None:
    own = {"system": "urn:oid:1.2.3.4", "code": "ERGO-1", "display": "Ergometry", "verified": "order catalogue"}
    document["orders"]["groups"]["exercise-tests"]["codes"].append(own)
    assert problems_of(document) == []


def test_one_code_of_an_order_with_two_displays_is_found(document: Document) -> None:
    for group in ("qt-known-risk", "class-1c-antiarrhythmics"):
        code = next(c for c in document["orders"]["groups"][group]["codes"] if c["code"] == "C01BC04")
        code["display"] = f"flecainide ({group})"
    assert problems_of(document) == [
        "order group 'class-1c-antiarrhythmics' code: C01BC04 is displayed as 'flecainide (qt-known-risk)'"
        " by another rule"
    ]


@pytest.mark.parametrize(
    ("when", "problem"),
    [
        ({"sex": "female"}, "when: needs one of diagnosis, measurements"),
        (
            {"measurements": {"qtc": {"above": 500, "below": 400}}},
            "when.measurements.qtc: no value can be above 500, below 400",
        ),
        ({"diagnosis": "CD", "without": ["CD"]}, "when: CD is both wanted and excluded"),
        ({"diagnosis": "CD", "with_any": ["MI"], "without": ["MI", "HYP"]}, "when: everything in with_any is excluded"),
    ],
)
def test_an_order_rule_that_fires_always_or_never_is_found(document: Document, when: Document, problem: str) -> None:
    order_rule(document, "stress-test-strain")["when"] = when
    assert problems_of(document) == [f"order rule 'stress-test-strain' {problem}"]


def test_an_infarction_below_the_setting_makes_no_order_alert_immediate(document: Document) -> None:
    order_rule(document, "class-1c-drug-infarct")["urgency"] = "immediate"
    assert problems_of(document) == [
        "order rule 'class-1c-drug-infarct': immediate for MI needs probability at_least mi_immediate_probability"
    ]

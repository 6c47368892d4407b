from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actions.analysis import Recommendation, Urgency
from actions.conclusion import Evidence
from actions.mapping import fires, interpret, recommend, refuse
from actions.policy import load_policy
from actions.rules import ConclusionKind, Limits, Policy, Rule, When
from inference.labels import ECG_NORMAL, Superclass
from inference.measurements import Measurements
from inference.quality import QualityCode, QualityFinding, QualityReport, Severity
from inference.recording import Sex
from tests.actions.cases import NORMAL_MEASUREMENTS, evidence, flawed, recorded
from tests.fakes import CANDIDATE, CHAMPION, make_prediction

POLICY = load_policy()

REVERSED = flawed(QualityCode.LEAD_REVERSAL)


def recommended(**given: Any) -> tuple[Recommendation, ...]:
    return interpret(POLICY, evidence(**given)).recommendations


def measured(**given: float) -> Measurements:
    return replace(NORMAL_MEASUREMENTS, **given)


def by_rule(recommendations: tuple[Recommendation, ...], rule: str) -> Recommendation:
    return next(r for r in recommendations if r.rule == rule)


def policy_of(*rules: Rule) -> Policy:
    return replace(POLICY, rules=rules)


def make_rule(rule_id: str, when: When, urgency: Urgency = Urgency.ROUTINE, action: str | None = None) -> Rule:
    return Rule(
        id=rule_id, when=when, action=action or f"Action of {rule_id}", urgency=urgency, rationale="Why.", source="Who."
    )


# --- myocardial infarction


def test_mi_at_083_activates_the_cath_lab_immediately() -> None:
    first = recommended(prediction=make_prediction(MI=0.83))[0]
    assert (first.action, first.urgency, first.confidence) == ("Activate cath lab", Urgency.IMMEDIATE, 0.83)
    assert first.diagnosis is Superclass.MI
    assert first.rationale.startswith("If clinically acute; compare with the previous ECG.")


@pytest.mark.parametrize(
    ("probability", "rule", "urgency"),
    [
        (0.7, "mi-immediate", Urgency.IMMEDIATE),
        (0.6999999, "mi-urgent", Urgency.URGENT),
        (0.3, "mi-urgent", Urgency.URGENT),
        (1.0, "mi-immediate", Urgency.IMMEDIATE),
    ],
)
def test_the_edges_of_the_mi_bands_are_exact(probability: float, rule: str, urgency: Urgency) -> None:
    recommendations = recommended(prediction=make_prediction(MI=probability))
    assert [(r.rule, r.urgency) for r in recommendations] == [(rule, urgency)]


def test_mi_below_its_threshold_is_no_diagnosis() -> None:
    assert {r.diagnosis for r in recommended(prediction=make_prediction(MI=0.2999999))} == {None}


def test_probable_mi_asks_for_an_over_read_a_repeat_and_troponin() -> None:
    (only,) = recommended(prediction=make_prediction(MI=0.5))
    assert only.action == "Over-read now, repeat ECG, troponin"
    assert only.rationale.startswith("If clinically acute; compare with the previous ECG.")


def test_a_threshold_from_the_model_card_decides_instead_of_03() -> None:
    low = replace(make_prediction(MI=0.25), thresholds=dict.fromkeys(Superclass, 0.2))
    high = replace(make_prediction(MI=0.75), thresholds=dict.fromkeys(Superclass, 0.8))
    assert [r.rule for r in recommended(prediction=low)] == ["mi-urgent"]
    assert [r.rule for r in recommended(prediction=high)] == ["inconclusive"]


# --- the age of the recording


@pytest.mark.parametrize(
    ("ago", "text"),
    [
        (timedelta(hours=24), "Recorded 24 hours ago."),
        (timedelta(days=900), "Recorded 2 years ago."),
        (None, "undated"),
    ],
)
def test_an_older_or_undated_mi_is_routine_with_its_age_in_the_text(ago: timedelta | None, text: str) -> None:
    interpretation = interpret(POLICY, evidence(ago=ago, prediction=make_prediction(MI=0.99)))
    assert {r.urgency for r in interpretation.recommendations} == {Urgency.ROUTINE}
    assert all(text in r.rationale for r in interpretation.recommendations)
    assert text in interpretation.conclusion
    assert any(text in warning for warning in interpretation.warnings)
    assert "Activate cath lab" not in {r.action for r in interpretation.recommendations}


def test_just_inside_the_acute_window_mi_is_still_immediate() -> None:
    inside = timedelta(hours=24) - timedelta(seconds=1)
    assert recommended(ago=inside, prediction=make_prediction(MI=0.9))[0].urgency is Urgency.IMMEDIATE


def test_an_urgent_measurement_of_an_older_recording_is_downgraded_and_says_so() -> None:
    given = evidence(ago=timedelta(days=3), measurements=measured(heart_rate=35), prediction=make_prediction(CD=0.5))
    bradycardia = by_rule(interpret(POLICY, given).recommendations, "bradycardia")
    assert bradycardia.urgency is Urgency.ROUTINE
    assert "Recorded 3 days ago." in bradycardia.rationale
    assert "Downgraded from urgent to routine: not recent." in bradycardia.rationale


def test_a_recent_recording_says_nothing_of_its_age() -> None:
    assert all("Recorded" not in r.rationale for r in recommended(prediction=make_prediction(MI=0.9)))


# --- lead reversal


def test_a_suspected_lead_reversal_asks_for_a_new_ecg_first_and_makes_nothing_immediate() -> None:
    recommendations = recommended(quality=REVERSED, prediction=make_prediction(MI=0.95))
    assert recommendations[0].action.startswith("Repeat ECG")
    assert recommendations[0].urgency is Urgency.URGENT
    cath = by_rule(recommendations, "mi-immediate")
    assert cath.urgency is Urgency.URGENT
    assert "Downgraded from immediate to urgent: lead reversal is suspected." in cath.rationale


@pytest.mark.parametrize("rules", [POLICY.rules, POLICY.rules[::-1]], ids=["as shipped", "last in the file"])
def test_the_new_ecg_comes_first_even_beside_other_certain_urgent_actions(rules: tuple[Rule, ...]) -> None:
    given = evidence(
        quality=REVERSED, measurements=measured(heart_rate=35, qtc=600), prediction=make_prediction(MI=1.0)
    )
    recommendations = interpret(policy_of(*rules), given).recommendations
    assert {r.confidence for r in recommendations[:4]} == {1.0}
    assert recommendations[0].rule == "lead-reversal"


def test_an_old_recording_with_lead_reversal_is_routine_and_the_new_ecg_is_still_first() -> None:
    recommendations = recommended(ago=None, quality=REVERSED, prediction=make_prediction(MI=1.0))
    assert recommendations[0].rule == "lead-reversal"
    assert {r.urgency for r in recommendations} == {Urgency.ROUTINE}


# --- normal, inconclusive, outside


def test_a_normal_ecg_needs_no_action_of_any_urgency() -> None:
    interpretation = interpret(POLICY, evidence())
    assert [(r.rule, r.urgency) for r in interpretation.recommendations] == [("normal", Urgency.NONE)]
    assert interpretation.conclusion_codes == (ECG_NORMAL,)


def test_norm_that_cannot_be_confirmed_is_over_read() -> None:
    assert [r.rule for r in recommended(measurements=Measurements())] == ["normal-unconfirmed"]


def test_an_inconclusive_ecg_is_over_read_and_has_no_code() -> None:
    interpretation = interpret(POLICY, evidence(prediction=make_prediction()))
    assert [(r.rule, r.urgency) for r in interpretation.recommendations] == [("inconclusive", Urgency.ROUTINE)]
    assert interpretation.conclusion_codes == ()


def test_outside_the_intended_use_nothing_is_recommended_and_the_reason_is_given() -> None:
    reasons = ("the patient is 12 years old, under 18",)
    interpretation = interpret(POLICY, evidence(outside_intended_use=reasons, prediction=make_prediction(MI=0.99)))
    assert interpretation.recommendations == ()
    assert interpretation.conclusion_codes == ()
    assert reasons[0] in interpretation.conclusion


def test_a_refused_signal_has_no_recommendations_and_no_codes() -> None:
    flat = QualityFinding(QualityCode.FLAT_LEAD, Severity.REFUSED, ("II",), "Lead II is flat.")
    interpretation = refuse(QualityReport((flat,)))
    assert (interpretation.recommendations, interpretation.conclusion_codes) == ((), ())
    assert "Lead II is flat" in interpretation.conclusion


# --- warnings


def test_an_unknown_age_is_judged_as_adult_with_a_warning() -> None:
    interpretation = interpret(POLICY, evidence(age=None, prediction=make_prediction(MI=0.9)))
    assert interpretation.recommendations[0].action == "Activate cath lab"
    assert interpretation.warnings == ("The patient's age is unknown: judged as an adult.",)


def test_a_candidate_model_is_a_warning() -> None:
    warnings = interpret(POLICY, evidence(prediction=make_prediction(CANDIDATE, NORM=0.9))).warnings
    assert warnings == ("Model fake-resnet 1.3.0 is a candidate: it has not passed the promotion gate.",)


def test_norm_beside_findings_is_a_warning() -> None:
    warnings = interpret(POLICY, evidence(prediction=make_prediction(NORM=0.4, CD=0.6))).warnings
    assert warnings == ("NORM was decided too (probability 0.40), which contradicts the findings.",)


def test_a_champion_and_a_known_age_and_a_recent_recording_need_no_warning() -> None:
    assert interpret(POLICY, evidence()).warnings == ()


# --- what the shipped rules say of each class and measurement


@pytest.mark.parametrize(
    ("probabilities", "measurements", "rules"),
    [
        ({"MI": 0.9, "CD": 0.5}, {}, {"mi-immediate", "mi-with-conduction-disturbance", "conduction-disturbance"}),
        ({"MI": 0.4, "HYP": 0.5}, {}, {"mi-urgent", "mi-with-hypertrophy", "hypertrophy"}),
        ({"HYP": 0.5, "STTC": 0.5}, {}, {"hypertrophy-with-strain", "hypertrophy", "sttc"}),
        (
            {"HYP": 0.5, "CD": 0.5},
            {},
            {"hypertrophy", "hypertrophy-with-conduction-disturbance", "conduction-disturbance"},
        ),
        ({"STTC": 0.7}, {}, {"sttc-probable", "sttc"}),
        ({"STTC": 0.69}, {}, {"sttc"}),
        ({"CD": 0.5}, {"qrs": 119.9}, {"conduction-disturbance"}),
        ({"CD": 0.5}, {"qrs": 120}, {"conduction-disturbance", "conduction-disturbance-wide-qrs"}),
        (
            {"CD": 0.5},
            {"qrs": 150},
            {"conduction-disturbance", "conduction-disturbance-wide-qrs", "conduction-disturbance-resynchronisation"},
        ),
        (
            {"CD": 0.5},
            {"heart_rate": 39},
            {"conduction-disturbance", "conduction-disturbance-bradycardia", "bradycardia"},
        ),
        ({"NORM": 0.9}, {"heart_rate": 39.9}, {"bradycardia", "normal-unconfirmed"}),
        ({"NORM": 0.9}, {"heart_rate": 40}, {"normal-unconfirmed"}),
        ({"NORM": 0.9}, {"heart_rate": 150}, {"tachycardia", "normal-unconfirmed"}),
        ({"NORM": 0.9}, {"heart_rate": 149.9}, {"normal-unconfirmed"}),
        ({"NORM": 0.9}, {"qtc": 500.1}, {"qtc-over-500", "normal-unconfirmed"}),
        ({"NORM": 0.9}, {"qtc": 500}, {"qtc-prolonged-female", "normal-unconfirmed"}),
        ({"NORM": 0.9}, {"pr": 301}, {"pr-over-300", "normal-unconfirmed"}),
    ],
)
def test_the_shipped_rules_fire_where_they_should(
    probabilities: dict[str, float], measurements: dict[str, float], rules: set[str]
) -> None:
    fired = recommended(prediction=make_prediction(**probabilities), measurements=measured(**measurements))
    assert {r.rule for r in fired} == rules


@pytest.mark.parametrize(("age", "fired"), [(39.0, True), (40.0, False), (None, False)])
def test_an_age_condition_needs_a_known_age(age: float | None, fired: bool) -> None:
    rules = {r.rule for r in recommended(age=age, prediction=make_prediction(HYP=0.6))}
    assert ("hypertrophy-young" in rules) is fired


@pytest.mark.parametrize(
    ("sex", "rule"),
    [(Sex.FEMALE, None), (Sex.MALE, "qtc-prolonged-male"), (Sex.UNKNOWN, None), (Sex.OTHER, None)],
)
def test_a_sex_condition_needs_that_sex(sex: Sex, rule: str | None) -> None:
    rules = {r.rule for r in recommended(sex=sex, measurements=measured(qtc=455), prediction=make_prediction(CD=0.5))}
    assert rules - {"conduction-disturbance"} == ({rule} if rule else set())


def test_a_measurement_alone_has_full_confidence_and_no_diagnosis() -> None:
    qtc = by_rule(recommended(measurements=measured(qtc=520)), "qtc-over-500")
    assert (qtc.confidence, qtc.diagnosis, qtc.urgency) == (1.0, None, Urgency.URGENT)


def test_a_procedure_code_reaches_the_recommendation() -> None:
    repeat = recommended(quality=REVERSED)[0]
    assert repeat.code is not None
    assert (repeat.code.system, repeat.code.code, repeat.code.display) == (
        "http://snomed.info/sct",
        "268400002",
        "12 lead ECG",
    )


# --- conditions, order, duplicates


@pytest.mark.parametrize(
    ("when", "decided", "expected"),
    [
        (When(diagnosis=Superclass.MI), {"MI"}, True),
        (When(diagnosis=Superclass.MI), {"CD"}, False),
        (When(with_all=frozenset({Superclass.CD, Superclass.HYP})), {"CD"}, False),
        (When(with_all=frozenset({Superclass.CD, Superclass.HYP})), {"CD", "HYP"}, True),
        (When(with_any=frozenset({Superclass.CD, Superclass.HYP})), {"HYP"}, True),
        (When(with_any=frozenset({Superclass.CD, Superclass.HYP})), {"MI"}, False),
        (When(without=frozenset({Superclass.HYP})), {"MI"}, True),
        (When(without=frozenset({Superclass.HYP})), {"MI", "HYP"}, False),
        (When(conclusion=ConclusionKind.FINDINGS), {"MI"}, True),
        (When(conclusion=ConclusionKind.NORMAL), {"MI"}, False),
        (When(acute=False), {"MI"}, False),
        (When(quality=frozenset({QualityCode.NOISE, QualityCode.EINTHOVEN})), {"MI"}, False),
    ],
)
def test_each_condition_is_required(when: When, decided: set[str], expected: bool) -> None:
    given = evidence(prediction=make_prediction(**dict.fromkeys(decided, 0.5)))
    assert fires(when, given, ConclusionKind.FINDINGS) is expected


def test_any_of_the_quality_codes_is_enough() -> None:
    when = When(quality=frozenset({QualityCode.NOISE, QualityCode.EINTHOVEN}))
    assert fires(when, evidence(quality=flawed(QualityCode.EINTHOVEN)), ConclusionKind.NORMAL)


def test_recommendations_are_ordered_by_urgency_then_confidence() -> None:
    rules = (
        make_rule("a", When(diagnosis=Superclass.CD), Urgency.ROUTINE),
        make_rule("b", When(diagnosis=Superclass.MI), Urgency.NONE),
        make_rule("c", When(diagnosis=Superclass.HYP), Urgency.ROUTINE),
        make_rule("d", When(diagnosis=Superclass.STTC), Urgency.URGENT),
        make_rule("e", When(diagnosis=Superclass.MI), Urgency.IMMEDIATE),
    )
    given = evidence(prediction=make_prediction(MI=0.99, STTC=0.4, CD=0.5, HYP=0.6))
    found = recommend(policy_of(*rules), given, ConclusionKind.FINDINGS)
    assert [r.rule for r in found] == ["e", "d", "c", "a", "b"]


def test_of_equal_actions_the_most_urgent_and_then_the_most_confident_is_kept() -> None:
    rules = (
        make_rule("weak", When(diagnosis=Superclass.CD), Urgency.URGENT, "Echocardiography"),
        make_rule("later", When(diagnosis=Superclass.MI), Urgency.ROUTINE, "Echocardiography"),
        make_rule("strong", When(diagnosis=Superclass.HYP), Urgency.URGENT, "echocardiography"),
    )
    given = evidence(prediction=make_prediction(MI=0.9, CD=0.4, HYP=0.5))
    assert [r.rule for r in recommend(policy_of(*rules), given, ConclusionKind.FINDINGS)] == ["strong"]


# --- for anything at all

PROBABILITIES = st.fixed_dictionaries({c.value: st.floats(0, 1) for c in Superclass})
MEASUREMENTS = st.builds(
    Measurements,
    heart_rate=st.none() | st.floats(20, 300),
    pr=st.none() | st.floats(50, 500),
    qrs=st.none() | st.floats(40, 250),
    qtc=st.none() | st.floats(250, 800),
)
QUALITIES = st.lists(st.sampled_from(QualityCode), unique=True, max_size=3).map(lambda codes: flawed(*codes))
AGOS = st.none() | st.timedeltas(timedelta(minutes=-30), timedelta(days=4000))
EVIDENCE = st.builds(
    Evidence,
    prediction=PROBABILITIES.map(lambda p: make_prediction(**p)),
    quality=QUALITIES,
    measurements=MEASUREMENTS,
    age=st.none() | st.floats(18, 110),
    sex=st.sampled_from(Sex),
    recency=AGOS.map(recorded),
    outside_intended_use=st.just(()) | st.just(("a reason",)),
)
WHENS = st.builds(
    When,
    diagnosis=st.none() | st.sampled_from(Superclass),
    probability=st.builds(Limits, at_least=st.none() | st.floats(0, 1)),
    quality=st.frozensets(st.sampled_from([QualityCode.NOISE, QualityCode.LEAD_REVERSAL]), max_size=1),
    acute=st.none() | st.booleans(),
)
RULES = st.builds(
    Rule,
    id=st.just("any"),
    when=WHENS,
    action=st.sampled_from(["A", "B", "a", "C"]),
    urgency=st.sampled_from(Urgency),
    rationale=st.just("Why."),
    source=st.just("Who."),
)
POLICIES = st.just(POLICY) | st.lists(RULES, max_size=8).map(lambda rules: policy_of(*rules))


@settings(max_examples=300, deadline=None)
@given(policy=POLICIES, given=EVIDENCE)
def test_whatever_the_rules_and_the_evidence_the_limits_hold(policy: Policy, given: Evidence) -> None:
    interpretation = interpret(policy, given)
    found = interpretation.recommendations
    order = [(r.urgency.rank, -r.confidence) for r in found]
    assert order == sorted(order)
    assert len({r.action.casefold() for r in found}) == len(found)
    assert all(0.0 <= r.confidence <= 1.0 for r in found)
    if not given.recency.acute:
        assert all(r.urgency in (Urgency.ROUTINE, Urgency.NONE) for r in found)
        assert all(given.recency.text in r.rationale for r in found)
    if given.quality.has(QualityCode.LEAD_REVERSAL):
        assert all(r.urgency is not Urgency.IMMEDIATE for r in found)
    if given.outside_intended_use:
        assert (found, interpretation.conclusion_codes) == ((), ())
    if ECG_NORMAL in interpretation.conclusion_codes:
        assert given.prediction.decided == (Superclass.NORM,)
        assert given.quality.clean


@settings(max_examples=200, deadline=None)
@given(given=EVIDENCE)
def test_with_the_shipped_rules_something_is_always_said_of_an_ecg_inside_the_intended_use(given: Evidence) -> None:
    inside = replace(given, outside_intended_use=())
    found = interpret(POLICY, inside).recommendations
    assert found
    if given.quality.has(QualityCode.LEAD_REVERSAL):
        assert found[0].rule == "lead-reversal"
    if Superclass.MI in given.prediction.decided:
        assert any(r.diagnosis is Superclass.MI for r in found)


def test_a_model_that_was_promoted_by_waiver_warns_of_what_was_waived() -> None:
    waived = make_prediction(replace(CHAMPION, waived="fairness not assessed"), NORM=0.9)
    found = interpret(POLICY, evidence(prediction=waived))
    assert "Model fake-resnet 1.2.3 was promoted by waiver: fairness not assessed." in found.warnings
    assert "model fake-resnet 1.2.3 (fairness not assessed)" in found.conclusion

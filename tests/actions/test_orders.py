from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actions.analysis import Analysis, Door, Mode, Urgency
from actions.code_forms import ATC, RXNORM
from actions.conclusion import MEASUREMENT_NAMES
from actions.orders import ACUTE_WINDOW, Order, OrderAlert, matches, order_alerts
from actions.policy import load_policy
from actions.rules import Limits, OrderGroup, OrderKind, OrderRule, Policy, When
from inference.labels import Coding, Superclass
from inference.measurements import Measurements
from inference.quality import QualityCode, QualityFinding, QualityReport, Severity
from inference.recording import Sex
from tests.actions.cases import NORMAL_MEASUREMENTS, flawed
from tests.fakes import NOW, make_prediction

POLICY = load_policy()

HALOPERIDOL = Order(texts=("Haloperidol 5 MG Oral Tablet",), kind=OrderKind.MEDICATION)
SOTALOL = Order(texts=("sotalol hydrochloride",), kind=OrderKind.MEDICATION)
METOPROLOL = Order(texts=("Metoprolol succinate 47.5 mg",), kind=OrderKind.MEDICATION)
VERAPAMIL = Order(texts=("verapamil",), kind=OrderKind.MEDICATION)
IVABRADINE = Order(texts=("ivabradine",), kind=OrderKind.MEDICATION)
FLECAINIDE = Order(texts=("flecainide acetate 100 mg",), kind=OrderKind.MEDICATION)
TREADMILL = Order(texts=("Exercise stress test",), kind=OrderKind.SERVICE)
REGADENOSON = Order(texts=("regadenoson 0.4 mg",), kind=OrderKind.MEDICATION)


def make_ecg(*, ago: timedelta | None = timedelta(hours=3), **given: Any) -> Analysis:
    """The analysis of an ECG recorded `ago` before NOW (None: undated); recent, clean and normal unless said."""
    measured = {name: given.pop(name) for name in Measurements.__slots__ if name in given}
    fields: dict[str, Any] = {
        "id": UUID(int=1),
        "door": Door.MLLP,
        "analyzed_at": NOW,
        "recorded_at": None if ago is None else NOW - ago,
        "age": 60.0,
        "sex": Sex.FEMALE,
        "sampling_rate": 500.0,
        "duration": 10.0,
        "quality": QualityReport(),
        "measurements": replace(NORMAL_MEASUREMENTS, **measured),
        "prediction": make_prediction(NORM=0.95),
        "recommendations": (),
        "conclusion": "",
        "conclusion_codes": (),
        "outside_intended_use": (),
        "archived": False,
        "warnings": (),
        "mode": Mode.LIVE,
        "policy": POLICY.info,
        "timings": {},
    }
    return Analysis(**fields | given)


Ecg = Analysis | None


def alerts(order: Order, ecg: Ecg, previous: Ecg = None, **given: Any) -> tuple[OrderAlert, ...]:
    return order_alerts(given.pop("policy", POLICY), order, ecg, previous, NOW, **given)


def rules_of(order: Order, ecg: Ecg, previous: Ecg = None, **given: Any) -> list[str]:
    return [alert.rule for alert in alerts(order, ecg, previous, **given)]


def only(order: Order, ecg: Ecg, previous: Ecg = None, **given: Any) -> OrderAlert:
    (alert,) = alerts(order, ecg, previous, **given)
    return alert


# --- which orders belong to a group

GROUP = OrderGroup(
    id="class-3",
    name="Class III antiarrhythmics",
    source="Who.",
    codes=(Coding(ATC, "C07AA07", "sotalol"), Coding(RXNORM, "9947", "sotalol")),
    names=("sotalol", "beta-blocker", "Digoxin Immune Fab"),
    kind=OrderKind.MEDICATION,
)


@pytest.mark.parametrize(
    "text",
    [
        "sotalol",
        "SOTALOL HYDROCHLORIDE",
        "Sotalol hydrochloride 80 MG Oral Tablet [Betapace]",
        "d,l-sotalol",
        "sotalol/hydrochlorothiazide",
        "tab.sotalol,80mg",
        "sótálöl",
        "so-talol",
        "sota\u00adlol",
        "Beta blocker",
        "betablocker",
        "BETA\u2011BLOCKER",
        "digoxin  immune\nFab (ovine)",
    ],
)
def test_a_name_is_found_as_whole_words_whatever_the_case_accents_and_hyphens(text: str) -> None:
    assert matches(GROUP, Order(texts=("another text", text)))


@pytest.mark.parametrize(
    "text", ["sotalolx", "xsotalol", "sotalol2", "sotal ol", "beta", "blocker beta", "digoxin fab", "digoxin", "", "-"]
)
def test_a_part_of_a_word_or_of_a_name_is_not_the_name(text: str) -> None:
    assert not matches(GROUP, Order(texts=(text,)))


def test_the_words_of_a_name_must_stand_in_one_text() -> None:
    assert not matches(GROUP, Order(texts=("beta", "blocker")))


@pytest.mark.parametrize(
    ("coding", "belongs"),
    [
        ((ATC, "C07AA07"), True),
        ((RXNORM, "9947"), True),
        ((RXNORM, "C07AA07"), False),
        ((None, "9947"), False),
        (("http://example.org/formulary", "9947"), False),
        ((ATC, "C07AA"), False),
    ],
)
def test_a_code_counts_in_its_own_system_only(coding: tuple[str | None, str], belongs: bool) -> None:
    assert matches(GROUP, Order(codings=(("http://snomed.info/sct", "372911006"), coding))) is belongs


def test_a_name_in_an_order_of_another_kind_says_nothing() -> None:
    level = Order(texts=("Sotalol level, serum",))
    assert matches(GROUP, level)
    assert matches(GROUP, replace(level, kind=OrderKind.MEDICATION))
    assert not matches(GROUP, replace(level, kind=OrderKind.SERVICE))
    assert matches(replace(GROUP, kind=None), replace(level, kind=OrderKind.SERVICE))
    assert matches(GROUP, Order(codings=((RXNORM, "9947"),), kind=OrderKind.SERVICE))


def test_a_name_without_a_word_is_found_nowhere() -> None:
    assert not matches(replace(GROUP, codes=(), names=("-", "()")), Order(texts=("-", "", "( )")))


WORDLESS = st.text(alphabet=" \t\n.,;:/()[]+-_'\u2019", max_size=4)


@given(before=WORDLESS, after=WORDLESS)
def test_a_name_between_any_separators_is_found(before: str, after: str) -> None:
    assert matches(GROUP, Order(texts=(f"Give {before} sotalol {after} daily", f"{before}sotalol{after}")))


@given(letters=st.text(st.characters(codec="latin-1", categories=["Lu", "Ll", "Nd"]), min_size=1, max_size=3))
def test_a_name_with_further_letters_is_another_word(letters: str) -> None:
    assert not matches(replace(GROUP, names=("sotalol",)), Order(texts=(f"sotalol{letters}", f"{letters}sotalol")))


# --- the shipped rules

MI = make_prediction(MI=0.9)
CD = make_prediction(CD=0.8)


@pytest.mark.parametrize(
    ("order", "ecg", "expected"),
    [
        (HALOPERIDOL, {"qtc": 501.0}, ["qt-drug-qtc-over-500"]),
        (HALOPERIDOL, {"qtc": 500.0}, ["qt-drug-qtc-prolonged"]),
        (HALOPERIDOL, {"qtc": 460.0}, ["qt-drug-qtc-prolonged"]),
        (HALOPERIDOL, {"qtc": 459.9}, []),
        (HALOPERIDOL, {"qtc": 455.0, "sex": Sex.MALE}, ["qt-drug-qtc-prolonged-male"]),
        (HALOPERIDOL, {"qtc": 480.0, "sex": Sex.MALE}, ["qt-drug-qtc-prolonged"]),
        (HALOPERIDOL, {"qtc": 480.0, "sex": Sex.UNKNOWN}, ["qt-drug-qtc-prolonged"]),
        (HALOPERIDOL, {"qtc": 455.0, "sex": Sex.UNKNOWN}, []),
        (HALOPERIDOL, {"qtc": None}, []),
        (SOTALOL, {"qtc": 470.0}, ["qt-antiarrhythmic-qtc-over-450"]),
        (SOTALOL, {"qtc": 470.0, "qrs": 130.0}, []),
        (SOTALOL, {"qtc": 520.0}, ["qt-drug-qtc-over-500"]),
        (SOTALOL, {"heart_rate": 38.0}, ["slowing-drug-bradycardia"]),
        (METOPROLOL, {"heart_rate": 39.9}, ["slowing-drug-bradycardia"]),
        (IVABRADINE, {"heart_rate": 39.9}, ["slowing-drug-bradycardia"]),
        (METOPROLOL, {"heart_rate": 40.0}, []),
        (METOPROLOL, {"heart_rate": 45.0, "prediction": CD}, ["slowing-drug-conduction-disturbance"]),
        (METOPROLOL, {"heart_rate": 50.0, "prediction": CD}, []),
        (METOPROLOL, {"pr": 301.0}, ["av-slowing-drug-pr-over-300"]),
        (METOPROLOL, {"pr": 300.0}, ["beta-blocker-pr-over-240"]),
        (VERAPAMIL, {"pr": 301.0}, ["av-slowing-drug-pr-over-300"]),
        (VERAPAMIL, {"pr": 300.0}, []),
        (IVABRADINE, {"pr": 340.0}, []),
        (FLECAINIDE, {"prediction": MI}, ["class-1c-drug-infarct-probable"]),
        (FLECAINIDE, {"prediction": make_prediction(MI=0.5)}, ["class-1c-drug-infarct"]),
        (FLECAINIDE, {"qrs": 120.0}, ["class-1c-drug-wide-qrs"]),
        (FLECAINIDE, {"qrs": 119.0}, []),
        (TREADMILL, {"prediction": MI}, ["stress-test-new-infarct"]),
        (TREADMILL, {"prediction": make_prediction(STTC=0.75)}, ["stress-test-new-st-t-change"]),
        (TREADMILL, {"prediction": make_prediction(STTC=0.65)}, []),
        (TREADMILL, {"qtc": 510.0}, ["stress-test-qtc-over-500"]),
        (TREADMILL, {"heart_rate": 38.0, "prediction": CD}, ["stress-test-slow-conduction"]),
        (TREADMILL, {"qrs": 140.0, "prediction": CD}, ["stress-test-wide-qrs"]),
        (TREADMILL, {"prediction": make_prediction(HYP=0.6, STTC=0.4)}, ["stress-test-strain"]),
        (REGADENOSON, {"heart_rate": 44.0}, ["vasodilator-stress-bradycardia"]),
        (REGADENOSON, {"heart_rate": 45.0}, []),
        (REGADENOSON, {"prediction": MI}, ["stress-test-new-infarct"]),
        (Order(texts=("paracetamol 1 g",)), {"qtc": 560.0, "heart_rate": 30.0, "prediction": MI}, []),
    ],
)
def test_the_shipped_rules_say_what_their_sources_say(order: Order, ecg: dict[str, Any], expected: list[str]) -> None:
    assert rules_of(order, make_ecg(**ecg)) == expected


def test_an_ecg_without_findings_raises_nothing_for_any_shipped_name() -> None:
    everything = Order(texts=tuple(name for group in POLICY.order_groups.values() for name in group.names))
    assert alerts(everything, make_ecg()) == ()


@pytest.mark.parametrize("text", ["Digoxin level", "Adenosine deaminase in pleural fluid"])
def test_a_laboratory_test_named_after_a_drug_gives_no_drug(text: str) -> None:
    order = Order(texts=(text,), kind=OrderKind.SERVICE)
    assert alerts(order, make_ecg(heart_rate=35.0, pr=320.0)) == ()


@pytest.mark.parametrize("text", ["Fetal non-stress test", "Breath test", "Cosyntropin stimulation test"])
def test_other_tests_are_no_stress_tests(text: str) -> None:
    assert alerts(Order(texts=(text,), kind=OrderKind.SERVICE), make_ecg(prediction=MI, qtc=540.0)) == ()


@pytest.mark.parametrize("rule", POLICY.order_rules, ids=lambda rule: rule.id)
def test_a_shipped_action_fits_a_card_with_a_drugs_name(rule: OrderRule) -> None:
    assert len(rule.action) < 100
    assert rule.action[0].isupper()
    assert not rule.action.endswith(".")


# --- what an ECG must be to count


def test_without_an_ecg_there_is_nothing_to_say() -> None:
    assert alerts(HALOPERIDOL, None) == ()


LONG_QT_AND_INFARCT: dict[str, Any] = {"qtc": 520.0, "prediction": make_prediction(MI=0.9)}


@pytest.mark.parametrize(
    "given",
    [
        {"ago": None},
        {"ago": timedelta(minutes=-10)},
        {"ago": timedelta(days=366)},
        {"prediction": None},
        {"outside_intended_use": ("the patient is 12 years old, under 18",)},
    ],
    ids=["undated", "from the future", "old", "uninterpretable", "outside intended use"],
)
def test_an_ecg_that_cannot_be_relied_on_fulfils_no_rule(given: dict[str, Any]) -> None:
    ecg = make_ecg(**LONG_QT_AND_INFARCT | given)
    refused = replace(ecg, quality=ecg.quality if ecg.prediction else REFUSED)
    assert [a for order in (HALOPERIDOL, FLECAINIDE, TREADMILL) for a in alerts(order, refused)] == []


REFUSED = QualityReport((QualityFinding(QualityCode.NO_ECG, Severity.REFUSED, (), "No ECG."),))


def make_rule(when: When, urgency: Urgency = Urgency.URGENT, rule_id: str = "mine", **given: Any) -> OrderRule:
    fields: dict[str, Any] = {
        "id": rule_id,
        "orders": (GROUP,),
        "when": when,
        "within": timedelta(hours=48),
        "action": "Wait",
        "urgency": urgency,
        "rationale": "Why.",
        "source": "Who.",
    }
    return OrderRule(**fields | given)


def policy_of(*rules: OrderRule) -> Policy:
    return replace(POLICY, order_groups={GROUP.id: GROUP}, order_rules=rules)


def test_with_suspected_lead_reversal_measurements_hold_and_neither_findings_nor_the_axis_do() -> None:
    policy = policy_of(
        make_rule(When(measurements={"qtc": Limits(above=500)}), rule_id="qtc"),
        make_rule(When(measurements={"axis": Limits(above=90)}), rule_id="axis"),
        make_rule(When(diagnosis=Superclass.MI), rule_id="class"),
        make_rule(When(measurements={"qtc": Limits(above=500)}, without=frozenset({Superclass.CD})), rule_id="without"),
    )
    clean = make_ecg(**LONG_QT_AND_INFARCT, axis=120.0)
    doubted = replace(clean, quality=flawed(QualityCode.LEAD_REVERSAL))
    assert rules_of(SOTALOL, clean, policy=policy) == ["qtc", "axis", "class", "without"]
    assert rules_of(SOTALOL, doubted, policy=policy) == ["qtc"]


def test_with_suspected_lead_reversal_nothing_is_immediate() -> None:
    policy = policy_of(make_rule(When(measurements={"qtc": Limits(above=500)}), Urgency.IMMEDIATE))
    alert = only(SOTALOL, make_ecg(qtc=520.0, quality=flawed(QualityCode.LEAD_REVERSAL)), policy=policy)
    assert alert.urgency is Urgency.URGENT
    assert alert.rationale == "Why. Downgraded from immediate to urgent: lead reversal is suspected."


@pytest.mark.parametrize(
    ("ago", "urgency"),
    [
        (timedelta(hours=24) - timedelta(seconds=1), Urgency.URGENT),
        (timedelta(hours=24), Urgency.ROUTINE),
        (timedelta(hours=48) - timedelta(seconds=1), Urgency.ROUTINE),
        (timedelta(hours=48), None),
    ],
)
def test_an_older_ecg_makes_an_alert_routine_and_one_older_than_the_rule_allows_makes_none(
    ago: timedelta, urgency: Urgency | None
) -> None:
    policy = policy_of(make_rule(When(measurements={"qtc": Limits(above=500)})))
    found = alerts(SOTALOL, make_ecg(ago=ago, qtc=520.0), policy=policy)
    assert [alert.urgency for alert in found] == ([] if urgency is None else [urgency])
    downgraded = [alert for alert in found if "Downgraded from urgent to routine: not recent." in alert.rationale]
    assert bool(downgraded) is (urgency is Urgency.ROUTINE)


def test_the_acute_window_is_an_argument() -> None:
    ecg = make_ecg(ago=timedelta(hours=3), qtc=520.0)
    assert only(HALOPERIDOL, ecg, acute_window=timedelta(hours=2)).urgency is Urgency.ROUTINE
    assert only(HALOPERIDOL, ecg, acute_window=ACUTE_WINDOW).urgency is Urgency.URGENT


def test_age_and_sex_are_conditions_too_and_unknown_ones_fulfil_none() -> None:
    when = When(measurements={"qtc": Limits(above=450)}, age=Limits(at_least=65), sex=Sex.FEMALE)
    policy = policy_of(make_rule(when))
    assert only(SOTALOL, make_ecg(qtc=470.0, age=70.5), policy=policy).evidence[-1] == "Age 70 years."
    others: list[dict[str, Any]] = [
        {"age": 60.0},
        {"age": None},
        {"age": 70.0, "sex": Sex.MALE},
        {"age": 70.0, "sex": Sex.UNKNOWN},
    ]
    assert [alert for other in others for alert in alerts(SOTALOL, make_ecg(qtc=470.0, **other), policy=policy)] == []


# --- new findings


def test_a_finding_without_a_previous_ecg_counts_as_new_and_says_so() -> None:
    alert = only(TREADMILL, make_ecg(prediction=MI))
    assert alert.rationale.endswith("There is no previous ECG to compare with.")
    assert alert.evidence == ("Myocardial infarction pattern, recent or old (probability 0.90), recorded 3 hours ago.",)


def test_a_finding_that_the_previous_ecg_lacks_is_new() -> None:
    alert = only(TREADMILL, make_ecg(prediction=MI), make_ecg(ago=timedelta(days=30)))
    assert "compare" not in alert.rationale
    assert alert.evidence[-1] == "Not found in the previous ECG, recorded 30 days ago."


def test_an_undated_previous_ecg_still_tells_what_it_lacks() -> None:
    alert = only(TREADMILL, make_ecg(prediction=MI), make_ecg(ago=None))
    assert alert.evidence[-1] == "Not found in the previous ECG, undated."


def test_a_finding_of_the_previous_ecg_is_not_new() -> None:
    assert alerts(TREADMILL, make_ecg(prediction=MI), make_ecg(ago=timedelta(days=30), prediction=MI)) == ()


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"prediction": None, "quality": REFUSED}, "it could not be interpreted"),
        ({"outside_intended_use": ("the source states a paced rhythm",)}, "it lies outside the intended use"),
        ({"quality": flawed(QualityCode.LEAD_REVERSAL)}, "a lead reversal is suspected in it"),
    ],
)
def test_a_previous_ecg_that_cannot_be_read_is_none_to_compare_with(given: dict[str, Any], why: str) -> None:
    before = make_ecg(ago=timedelta(days=30), **{"prediction": MI} | given)
    alert = only(TREADMILL, make_ecg(prediction=MI), before)
    assert f"The previous ECG cannot be compared with ({why}), so the finding counts as new." in alert.rationale
    assert len(alert.evidence) == 1


def test_a_rule_that_does_not_ask_for_new_findings_says_nothing_of_the_previous_ecg() -> None:
    alert = only(FLECAINIDE, make_ecg(prediction=MI))
    assert "compare" not in alert.rationale


# --- what an alert says


def test_an_alert_carries_rule_group_action_citations_and_the_numbers() -> None:
    alert = only(HALOPERIDOL, make_ecg(qtc=520.4))
    assert (alert.rule, alert.group.id, alert.urgency) == ("qt-drug-qtc-over-500", "qt-known-risk", Urgency.URGENT)
    assert alert.group.name == "QT-prolonging drugs (known risk of torsade de pointes)"
    assert alert.evidence == ("QTc 520 ms (Fridericia), recorded 3 hours ago.",)
    assert "doi:10.1161/CIRCULATIONAHA.109.192704" in alert.source


def test_every_measurement_is_told_with_its_name_and_unit() -> None:
    policy = policy_of(make_rule(When(measurements={name: Limits(above=0) for name in MEASUREMENT_NAMES})))
    told = only(SOTALOL, make_ecg(), policy=policy).evidence
    assert [sentence.split(",")[0] for sentence in told] == [
        "Heart rate 70/min", "PR 160 ms", "QRS 90 ms", "QT 390 ms", "QTc 410 ms (Fridericia)", "Axis 45°",
    ]  # fmt: skip


def test_a_number_that_rounding_would_take_out_of_the_limits_keeps_a_decimal() -> None:
    assert only(HALOPERIDOL, make_ecg(qtc=500.3)).evidence[0].startswith("QTc 500.3 ms")
    assert only(METOPROLOL, make_ecg(heart_rate=39.8)).evidence[0].startswith("Heart rate 39.8/min")


def test_all_decided_classes_that_the_rule_asks_for_are_told() -> None:
    alert = only(TREADMILL, make_ecg(prediction=make_prediction(HYP=0.6, STTC=0.4, NORM=0.5)))
    assert [sentence.split(" (")[0] for sentence in alert.evidence] == ["Hypertrophy", "ST/T change"]


@pytest.mark.parametrize(("qrs", "told"), [(120.0, True), (150.0, True), (119.9, False), (None, False)])
def test_a_qtc_from_a_wide_qrs_is_said_to_overstate(qrs: float | None, told: bool) -> None:
    alert = only(HALOPERIDOL, make_ecg(qtc=520.0, qrs=qrs))
    assert ("a wide QRS overstates QTc" in alert.rationale.split("ms:")[-1]) is told


def test_the_first_group_of_the_rule_that_the_order_belongs_to_is_named() -> None:
    assert only(SOTALOL, make_ecg(qtc=520.0)).group.id == "qt-antiarrhythmics"
    assert only(METOPROLOL, make_ecg(heart_rate=38.0)).group.id == "beta-blockers"


# --- properties

RANGES = {"heart_rate": (20.0, 300.0), "pr": (80.0, 360.0), "qrs": (50.0, 220.0), "qt": (200.0, 700.0)}
RANGES |= {"qtc": (200.0, 800.0), "axis": (-180.0, 180.0)}
MEASURED = st.fixed_dictionaries({name: st.none() | st.floats(*edges) for name, edges in RANGES.items()})
PREDICTIONS = st.fixed_dictionaries({str(c): st.floats(0, 1) for c in Superclass}).map(lambda p: make_prediction(**p))
ECGS = st.builds(
    lambda measured, prediction, ago, sex: make_ecg(**measured, prediction=prediction, ago=ago, sex=sex),
    MEASURED,
    PREDICTIONS,
    st.none() | st.timedeltas(timedelta(hours=-1), timedelta(days=400)),
    st.sampled_from(Sex),
)
ORDERS = st.sampled_from([HALOPERIDOL, SOTALOL, METOPROLOL, VERAPAMIL, IVABRADINE, FLECAINIDE, TREADMILL, REGADENOSON])
BY_ID = {rule.id: rule for rule in POLICY.order_rules}


@settings(max_examples=300, deadline=None)
@given(order=ORDERS, ecg=ECGS, previous=st.none() | ECGS)
def test_alerts_are_ranked_and_rest_on_measured_values_and_decided_classes(
    order: Order, ecg: Analysis, previous: Analysis | None
) -> None:
    found = alerts(order, ecg, previous)
    places = [(alert.urgency.rank, list(BY_ID).index(alert.rule)) for alert in found]
    assert places == sorted(places)
    for alert in found:
        rule = BY_ID[alert.rule]
        assert all(getattr(ecg.measurements, name) is not None for name in rule.when.measurements)
        assert ecg.prediction is not None
        assert rule.when.diagnosis is None or rule.when.diagnosis in ecg.prediction.decided
        assert alert.evidence
        assert alert.group in rule.orders
        assert matches(alert.group, order)
        assert ecg.recorded_at is not None
        assert alert.urgency is Urgency.ROUTINE or NOW - ecg.recorded_at < ACUTE_WINDOW


@settings(max_examples=200, deadline=None)
@given(
    order=st.sampled_from([HALOPERIDOL, SOTALOL]),
    sex=st.sampled_from(Sex),
    shorter=st.floats(300, 700),
    longer=st.floats(300, 700),
)
def test_a_longer_qtc_is_never_less_urgent(order: Order, sex: Sex, shorter: float, longer: float) -> None:
    def urgency(qtc: float) -> Urgency:
        found = alerts(order, make_ecg(qtc=qtc, sex=sex))
        return found[0].urgency if found else Urgency.NONE

    shorter, longer = sorted((shorter, longer))
    assert urgency(longer).rank <= urgency(shorter).rank


@settings(max_examples=100, deadline=None)
@given(order=ORDERS, ecg=ECGS, missing=st.sampled_from(Measurements.__slots__))
def test_what_is_no_longer_measured_raises_no_further_alert(order: Order, ecg: Analysis, missing: str) -> None:
    without = replace(ecg, measurements=replace(ecg.measurements, **{missing: None}))
    left = [rule for rule in rules_of(order, ecg) if missing not in BY_ID[rule].when.measurements]
    assert rules_of(order, without) == left


@settings(max_examples=100, deadline=None)
@given(urgencies=st.lists(st.sampled_from([u for u in Urgency if u is not Urgency.NONE]), max_size=6))
def test_equally_urgent_alerts_keep_the_order_of_the_file(urgencies: list[Urgency]) -> None:
    when = When(measurements={"qtc": Limits(above=500)})
    policy = policy_of(*(make_rule(when, urgency, f"rule-{place}") for place, urgency in enumerate(urgencies)))
    found = alerts(SOTALOL, make_ecg(qtc=520.0), policy=policy)
    expected = sorted(range(len(urgencies)), key=lambda place: urgencies[place].rank)
    assert [alert.rule for alert in found] == [f"rule-{place}" for place in expected]

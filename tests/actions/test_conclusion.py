from dataclasses import replace
from datetime import timedelta

import pytest

from actions.conclusion import MEASUREMENT_NAMES, conclude, uninterpretable
from actions.policy import load_policy
from actions.rules import ConclusionKind
from inference.labels import ECG_NORMAL
from inference.measurements import Measurements
from inference.quality import QualityCode, QualityFinding, QualityReport, Severity
from inference.recording import Sex
from tests.actions.cases import NORMAL_MEASUREMENTS, evidence, flawed
from tests.fakes import CANDIDATE, make_prediction

POLICY = load_policy()


def test_norm_alone_measured_normal_and_clean_is_normal_with_its_code() -> None:
    conclusion = conclude(POLICY, evidence())
    assert conclusion.kind is ConclusionKind.NORMAL
    assert conclusion.codes == (ECG_NORMAL,)
    assert conclusion.text.startswith("No abnormality in the assessed groups.")


@pytest.mark.parametrize("name", ["heart_rate", "pr", "qrs", "qtc"])
def test_norm_without_one_of_the_four_measurements_is_not_called_normal(name: str) -> None:
    conclusion = conclude(POLICY, evidence(measurements=replace(NORMAL_MEASUREMENTS, **{name: None})))
    assert conclusion.kind is ConclusionKind.NORMAL_UNCONFIRMED
    assert conclusion.codes == ()
    assert "No abnormality" not in conclusion.text
    assert f"{MEASUREMENT_NAMES[name][0]} is not measured" in conclusion.text


@pytest.mark.parametrize(
    ("name", "normal", "abnormal"),
    [
        ("heart_rate", 50, 49.9),
        ("heart_rate", 100, 100.1),
        ("pr", 120, 119),
        ("pr", 200, 201),
        ("qrs", 110, 111),
        ("qtc", 459.9, 460),
        ("qtc", 360.1, 360),
    ],
)
def test_norm_with_a_measurement_outside_its_limits_is_not_called_normal(
    name: str, normal: float, abnormal: float
) -> None:
    inside = conclude(POLICY, evidence(measurements=replace(NORMAL_MEASUREMENTS, **{name: normal})))
    outside = conclude(POLICY, evidence(measurements=replace(NORMAL_MEASUREMENTS, **{name: abnormal})))
    assert inside.codes == (ECG_NORMAL,)
    assert outside.codes == ()
    assert f"{MEASUREMENT_NAMES[name][0]} is " in outside.text


@pytest.mark.parametrize("code", list(QualityCode))
def test_norm_with_any_quality_finding_is_not_called_normal(code: QualityCode) -> None:
    conclusion = conclude(POLICY, evidence(quality=flawed(code)))
    assert conclusion.codes == ()
    assert "the signal quality is not clean" in conclusion.text


@pytest.mark.parametrize(
    ("sex", "normal"), [(Sex.FEMALE, True), (Sex.MALE, False), (Sex.UNKNOWN, False), (Sex.OTHER, False)]
)
def test_qtc_limits_are_those_of_the_sex_and_the_stricter_ones_when_it_is_not_known(sex: Sex, normal: bool) -> None:
    conclusion = conclude(POLICY, evidence(sex=sex, measurements=replace(NORMAL_MEASUREMENTS, qtc=455)))
    assert (conclusion.codes == (ECG_NORMAL,)) is normal


def test_one_missing_measurement_is_told_once_for_an_unknown_sex() -> None:
    conclusion = conclude(POLICY, evidence(sex=Sex.UNKNOWN, measurements=replace(NORMAL_MEASUREMENTS, qtc=None)))
    assert conclusion.text.count("QTc is not measured") == 1


@pytest.mark.parametrize("other", ["MI", "STTC", "CD", "HYP"])
def test_norm_beside_another_class_is_never_normal(other: str) -> None:
    conclusion = conclude(POLICY, evidence(prediction=make_prediction(**{"NORM": 0.9, other: 0.31})))
    assert conclusion.kind is ConclusionKind.FINDINGS
    assert ECG_NORMAL not in conclusion.codes
    assert "No abnormality" not in conclusion.text


def test_no_class_decided_is_inconclusive_without_a_code() -> None:
    conclusion = conclude(POLICY, evidence(prediction=make_prediction(NORM=0.29, MI=0.29)))
    assert conclusion.kind is ConclusionKind.INCONCLUSIVE
    assert conclusion.codes == ()
    assert conclusion.text.startswith("Inconclusive")


def test_infarction_is_coded_as_an_ecg_finding_and_never_called_acute() -> None:
    conclusion = conclude(POLICY, evidence(prediction=make_prediction(MI=0.99)))
    assert [coding.code for coding in conclusion.codes] == ["164865005"]
    assert "recent or old" in conclusion.text
    assert "acute" not in conclusion.text.lower()


def test_findings_are_listed_and_coded_most_probable_first() -> None:
    conclusion = conclude(POLICY, evidence(prediction=make_prediction(MI=0.4, CD=0.8, HYP=0.6, STTC=0.5)))
    assert [coding.code for coding in conclusion.codes] == ["44808001", "266249003", "428750005", "164865005"]
    assert conclusion.text.startswith(
        "Findings: conduction disturbance (probability 0.80); hypertrophy (probability 0.60); "
        "ST/T change (probability 0.50); myocardial infarction pattern, recent or old (probability 0.40)."
    )


@pytest.mark.parametrize("probabilities", [{"NORM": 0.9}, {"MI": 0.9}, {"NORM": 0.1}, {"NORM": 0.5, "CD": 0.5}])
@pytest.mark.parametrize("outside", [(), ("the source states a paced rhythm",)])
def test_every_conclusion_says_what_is_not_assessed_and_that_it_is_preliminary_and_whose(
    probabilities: dict[str, float], outside: tuple[str, ...]
) -> None:
    given = evidence(prediction=make_prediction(**probabilities), outside_intended_use=outside)
    text = conclude(POLICY, given).text
    assert "Rhythm and pacing are not assessed." in text
    assert "Preliminary result of model fake-resnet 1.2.3; to be confirmed by a clinician." in text


def test_a_candidate_model_is_named_as_such() -> None:
    text = conclude(POLICY, evidence(prediction=make_prediction(CANDIDATE, MI=0.9))).text
    assert "model fake-resnet 1.3.0 (a candidate, not released)" in text


def test_outside_the_intended_use_no_finding_is_stated_or_coded() -> None:
    given = evidence(prediction=make_prediction(MI=0.9), outside_intended_use=("the source states a paced rhythm",))
    conclusion = conclude(POLICY, given)
    assert conclusion.codes == ()
    assert conclusion.text.startswith("Outside the intended use: the source states a paced rhythm.")
    assert "infarction" not in conclusion.text


def test_the_age_of_an_older_recording_is_told_and_that_of_a_recent_one_is_not() -> None:
    assert "Recorded 3 days ago." in conclude(POLICY, evidence(ago=timedelta(days=3))).text
    assert "The recording is undated." in conclude(POLICY, evidence(ago=None)).text
    assert "Recorded" not in conclude(POLICY, evidence(ago=timedelta(hours=3))).text


def test_an_uninterpretable_signal_is_told_with_the_reasons_of_refusal_only() -> None:
    refused = QualityFinding(QualityCode.FLAT_LEAD, Severity.REFUSED, ("V1",), "Lead V1 is flat.")
    warned = QualityFinding(QualityCode.NOISE, Severity.WARNING, (), "Some noise.")
    text = uninterpretable(QualityReport((refused, warned)))
    assert text.startswith("The ECG could not be interpreted: Lead V1 is flat. No model was run.")
    assert "noise" not in text
    assert "Rhythm and pacing are not assessed." in text


def test_every_measurement_has_a_name_and_a_unit() -> None:
    assert tuple(MEASUREMENT_NAMES) == Measurements.__slots__

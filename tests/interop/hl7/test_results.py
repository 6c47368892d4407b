from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hl7apy.parser import parse_message

from actions.analysis import Analysis, Door, Mode, PolicyInfo, Recommendation, Urgency
from inference.labels import CONCLUSION_CODES, Superclass
from inference.measurements import Measurements
from inference.quality import QualityReport
from inference.recording import Sex
from interop.hl7.message import parse
from interop.hl7.oru import DecodedEcg, decode
from interop.hl7.results import result_message
from interop.hl7.senders import load_senders
from tests.fakes import NOW, make_prediction
from tests.vectors.hl7 import oru

ACTIVATE = Recommendation(
    action="Activate cath lab",
    urgency=Urgency.IMMEDIATE,
    confidence=0.83,
    diagnosis=Superclass.MI,
    rule="mi-immediate",
    rationale="If clinically acute | compare with the previous ECG",
    source="a guideline",
)

ANALYSIS = Analysis(
    id=UUID("0195e000-0000-7000-8000-000000000001"),
    door=Door.MLLP,
    analyzed_at=NOW,
    recorded_at=NOW - timedelta(minutes=5),
    age=74.0,
    sex=Sex.FEMALE,
    sampling_rate=500.0,
    duration=10.0,
    quality=QualityReport(),
    measurements=Measurements(heart_rate=71.6, pr=160.0, qrs=92.0, qt=None, qtc=None, axis=30.0),
    prediction=make_prediction(MI=0.83),
    recommendations=(ACTIVATE,),
    conclusion="Signs of myocardial infarction.\nRhythm is not assessed.",
    conclusion_codes=(CONCLUSION_CODES[Superclass.MI],),
    outside_intended_use=(),
    archived=False,
    warnings=("Preliminary: to be confirmed by a clinician.",),
    mode=Mode.LIVE,
    policy=PolicyInfo(name="default", version="1.0", sha256="0" * 64),
    timings={},
)

UNREADABLE = replace(
    ANALYSIS, prediction=None, recommendations=(), conclusion_codes=(), measurements=Measurements(),
    conclusion="The ECG cannot be interpreted: all leads are flat.",
)  # fmt: skip


def ecg(content: bytes = oru.ECG) -> DecodedEcg:
    message = parse(content)
    return decode(message, load_senders(None, "UTC").of(message.header.sender))


def result(analysis: Analysis = ANALYSIS, *, content: bytes = oru.ECG, echo_filler: bool = False) -> bytes:
    return result_message(analysis, ecg(content), control_id="R-1", created_at=NOW, echo_filler=echo_filler)


def segments(wire: bytes, name: str) -> list[list[str]]:
    rows = [row.split("|") for row in wire.decode("utf-8").split("\r")]
    return [row for row in rows if row[0] == name]


def observations(wire: bytes, code: str) -> list[list[str]]:
    return [row for row in segments(wire, "OBX") if row[3].startswith(f"{code}^")]


def test_the_patient_the_visit_and_the_order_are_echoed() -> None:
    wire = result()
    ((pid,), (pv1,), (obr,)) = segments(wire, "PID"), segments(wire, "PV1"), segments(wire, "OBR")
    assert pid[3] == "A77^^^GENERAL^AN~4711^^^GENERAL&2.16.840.1.113883.3.9&ISO^MR"
    assert pid[5] == "Müller^Zoë"
    assert pv1[19] == "V-99^^^GENERAL"
    assert obr[2] == "PL-5^EHR"


def test_the_result_has_its_own_filler_number_and_names_the_sources_order() -> None:
    ((obr,),) = (segments(result(), "OBR"),)
    assert obr[3] == "0195e000-0000-7000-8000-000000000001^ECG-ACTIONS"
    assert obr[29] == "PL-5&EHR^FI-7&CARDIO"
    assert obr[4].startswith("ecg-ai^")
    assert obr[24] == "EC"


def test_the_sources_filler_number_comes_back_only_where_that_is_set() -> None:
    ((obr,),) = (segments(result(echo_filler=True), "OBR"),)
    assert obr[3] == "FI-7^CARDIO"


def test_a_source_without_filler_number_gets_ours_even_then() -> None:
    content = oru.ECG.replace(b"FI-7^CARDIO", b"")
    ((obr,),) = (segments(result(content=content, echo_filler=True), "OBR"),)
    assert obr[3].endswith("^ECG-ACTIONS")


def test_everything_is_preliminary() -> None:
    wire = result()
    assert {row[11] for row in segments(wire, "OBX")} == {"P"}
    assert segments(wire, "OBR")[0][25] == "P"


def test_an_ecg_that_cannot_be_interpreted_is_x_with_the_reason() -> None:
    wire = result(UNREADABLE)
    assert {row[11] for row in segments(wire, "OBX")} == {"X"}
    assert segments(wire, "OBR")[0][25] == "X"
    assert observations(wire, "conclusion")[0][5] == "The ECG cannot be interpreted: all leads are flat."
    assert not observations(wire, "probability-mi")


def test_conclusion_and_code_are_told() -> None:
    wire = result()
    ((text,), (code,)) = observations(wire, "conclusion"), observations(wire, "conclusion-code")
    assert (text[2], text[5]) == ("TX", "Signs of myocardial infarction.\\.br\\Rhythm is not assessed.")
    assert (code[2], code[5]) == ("CWE", "164865005^Electrocardiographic myocardial infarction^SCT")


def test_probabilities_are_numbers_between_0_and_1_of_unit_1() -> None:
    wire = result()
    for superclass in Superclass:
        ((row,),) = (observations(wire, f"probability-{superclass.lower()}"),)
        assert (row[2], row[6]) == ("NM", "1^1^UCUM")
        assert 0 <= float(row[5]) <= 1
    assert observations(wire, "probability-mi")[0][5] == "0.8300"


def test_measurements_have_loinc_codes_and_what_is_not_measured_is_absent() -> None:
    wire = result()
    ((rate,),) = (observations(wire, "8867-4"),)
    assert rate[3] == "8867-4^Heart rate^LN"
    assert (rate[5], rate[6]) == ("72", "/min^/min^UCUM")
    assert not observations(wire, "8634-8")


def test_a_recommendation_tells_priority_confidence_and_rationale_with_delimiters_escaped() -> None:
    ((row,),) = (observations(result(), "recommendation"),)
    assert row[5] == (
        "[S] Activate cath lab (immediate, confidence 0.83). If clinically acute \\F\\ compare with the previous ECG"
    )


@pytest.mark.parametrize(
    ("urgency", "priority"), [("immediate", "S"), ("urgent", "A"), ("routine", "R"), ("none", "R")]
)
def test_the_priority_of_the_whole_is_that_of_its_most_urgent_action(urgency: str, priority: str) -> None:
    action = replace(ACTIVATE, urgency=Urgency(urgency))
    assert segments(result(replace(ANALYSIS, recommendations=(action,))), "TQ1")[0][9] == priority


def test_model_and_rules_are_named() -> None:
    ((row,),) = (observations(result(), "model"),)
    assert row[5] == "fake-resnet 1.2.3 (champion), rules default 1.0"


def test_repeated_observations_have_sub_ids_of_their_own() -> None:
    wire = result(replace(ANALYSIS, warnings=("one", "two")))
    assert [row[4] for row in observations(wire, "remark")] == ["1", "2"]
    assert [row[1] for row in segments(wire, "OBX")] == [str(n + 1) for n in range(len(segments(wire, "OBX")))]


def test_the_result_goes_back_the_way_the_message_came() -> None:
    ((msh,),) = (segments(result(), "MSH"),)
    assert msh[2:6] == ["ECG-ACTIONS", "AI", "CARDIO^1.2.840.1^ISO", "GENERAL"]
    assert (msh[8], msh[9], msh[10], msh[11]) == ("ORU^R01^ORU_R01", "R-1", "P", "2.5.1")


def test_echoed_fields_keep_the_delimiters_of_their_message() -> None:
    content = oru.ECG.replace(b"|", b"#").replace(b"MSH#^~", b"MSH#^~")
    wire = result(content=content)
    assert wire.startswith(b"MSH#^~\\&#")
    assert parse(wire).header.control_id == "R-1"


def valid(analysis: Analysis, **options: Any) -> bool:
    message = parse_message(result(analysis, **options).decode("utf-8"), find_groups=True)
    checked: bool = message.validate()
    return checked


@pytest.mark.parametrize("analysis", [ANALYSIS, UNREADABLE, replace(ANALYSIS, recorded_at=None)])
def test_hl7apy_finds_the_result_valid(analysis: Analysis) -> None:
    assert valid(analysis)

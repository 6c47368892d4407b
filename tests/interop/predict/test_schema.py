import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.errors import EcgError, InvalidContent, Malformed, MissingElement, SignalMalformed
from inference.recording import INDEPENDENT_LEADS, LEADS, Recording, Sex
from interop.predict.openapi import ANSWER, REQUEST
from interop.predict.schema import answer, read
from tests.fakes import CHAMPION, make_prediction
from tests.interop.test_metrics import ANALYSIS

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
SIGNAL = np.round(np.random.default_rng(7).normal(0, 0.5, (12, 700)), 3)


def body(signal: Any = None, **members: Any) -> bytes:
    rows = SIGNAL.tolist() if signal is None else signal
    return orjson.dumps({"ecg_signal": rows, "sampling_rate": 500, **members}, option=orjson.OPT_SERIALIZE_NUMPY)


def reading(signal: Any = None, **members: Any) -> Recording:
    return read(body(signal, **members), NOW)


def refusal(content: bytes) -> EcgError:
    with pytest.raises(EcgError) as caught:
        read(content, NOW)
    return caught.value


def test_rows_of_leads_and_columns_of_leads_give_the_same_recording() -> None:
    assert np.array_equal(reading().signal, SIGNAL.astype(np.float32))
    assert np.array_equal(reading(SIGNAL.T.tolist()).signal, reading().signal)


def test_a_square_matrix_is_refused_because_the_leads_could_be_either_side() -> None:
    error = refusal(body(SIGNAL[:, :12].tolist()))
    assert (error.code, error.element) == ("signal-malformed", "ecg_signal")


@pytest.mark.parametrize(("unit", "factor"), [(None, 1), ("mV", 1), ("uV", 1e-3), ("V", 1e3)])
def test_amplitudes_become_millivolts(unit: str | None, factor: float) -> None:
    assert reading(unit=unit).signal == pytest.approx(SIGNAL * factor, rel=1e-6)


def test_named_leads_are_put_in_order() -> None:
    order = list(reversed(LEADS))
    assert np.array_equal(reading(SIGNAL[::-1].tolist(), leads=order).signal, reading().signal)


def test_eight_named_leads_are_completed_and_the_reader_is_told() -> None:
    rows = [SIGNAL[LEADS.index(lead)].tolist() for lead in INDEPENDENT_LEADS]
    found = reading(rows, leads=list(INDEPENDENT_LEADS))
    assert found.signal[2] == pytest.approx(SIGNAL[1] - SIGNAL[0], abs=1e-5)
    assert "calculated" in found.notes[0]


def test_a_null_sample_is_an_invalid_one() -> None:
    rows = SIGNAL.tolist()
    rows[4][10] = None
    signal = reading(rows).signal
    assert np.isnan(signal[4, 10])
    assert np.isnan(signal).sum() == 1


def test_five_thousand_samples_without_a_rate_are_five_hundred_hertz() -> None:
    content = orjson.dumps({"ecg_signal": np.zeros((12, 5000)).tolist()})
    assert read(content, NOW).sampling_rate == 500.0


def test_without_a_time_the_recording_was_just_made() -> None:
    assert reading().recorded_at == NOW


def test_a_time_with_an_offset_is_kept() -> None:
    expected = datetime(2026, 3, 1, 8, 0, tzinfo=timezone(timedelta(hours=1)))
    assert reading(recorded_at="2026-03-01T08:00:00+01:00").recorded_at == expected


@pytest.mark.parametrize(
    ("text", "sex"),
    [
        ("M", Sex.MALE),
        ("f", Sex.FEMALE),
        ("Female", Sex.FEMALE),
        ("other", Sex.OTHER),
        ("U", Sex.UNKNOWN),
        (None, Sex.UNKNOWN),
    ],
)
def test_sexes_are_read_as_they_are_written(text: str | None, sex: Sex) -> None:
    assert reading(patient_sex=text).sex is sex


def test_age_and_what_the_sender_states_reach_the_recording() -> None:
    found = reading(patient_age=74, paced=True, resting=False)
    assert (found.age, found.paced, found.resting) == (74.0, True, False)
    assert (reading().age, reading().paced, reading().resting) == (None, None, None)


@pytest.mark.parametrize(
    ("members", "code", "element"),
    [
        ({"sampling_rate": None}, "sampling-rate-invalid", "sampling_rate"),
        ({"sampling_rate": "500"}, "sampling-rate-invalid", "sampling_rate"),
        ({"sampling_rate": True}, "sampling-rate-invalid", "sampling_rate"),
        ({"sampling_rate": 2}, "sampling-rate-invalid", "sampling_rate"),
        ({"unit": "mmHg"}, "unit-unsupported", "unit"),
        ({"unit": ""}, "unit-missing", "unit"),
        ({"unit": 1}, "invalid", "unit"),
        ({"leads": ["I", "II"]}, "leads-missing", "leads"),
        ({"leads": [*LEADS[:11], "V7"]}, "invalid", "leads[11]"),
        ({"leads": [*LEADS[:11], "I"]}, "invalid", "leads[11]"),
        ({"leads": "I"}, "leads-missing", "leads"),
        ({"recorded_at": "yesterday"}, "invalid", "recorded_at"),
        ({"recorded_at": "2026-03-01T08:00:00"}, "invalid", "recorded_at"),
        ({"recorded_at": 5}, "invalid", "recorded_at"),
        ({"patient_age": -1}, "invalid", "patient_age"),
        ({"patient_age": 131}, "invalid", "patient_age"),
        ({"patient_age": "74"}, "invalid", "patient_age"),
        ({"patient_sex": "X-Y"}, "invalid", "patient_sex"),
        ({"patient_sex": 1}, "invalid", "patient_sex"),
        ({"paced": "no"}, "invalid", "paced"),
        ({"samplingrate": 500}, "invalid", "samplingrate"),
    ],
)
def test_a_wrong_member_is_refused_by_name(members: dict[str, Any], code: str, element: str) -> None:
    error = refusal(body(**members))
    assert (error.code, error.element) == (code, element)


@pytest.mark.parametrize(
    ("signal", "code", "element"),
    [
        ([[0.0] * 100] * 7, "leads-missing", "ecg_signal"),
        ([[0.0] * 100] * 11 + [[0.0] * 99], "signal-malformed", "ecg_signal"),
        ([[0.0] * 99 + ["1.0"]] * 12, "signal-malformed", "ecg_signal[0][99]"),
        ([[0.0] * 99 + [True]] * 12, "signal-malformed", "ecg_signal[0][99]"),
        ([[0.0] * 99 + [[1.0]]] * 12, "signal-malformed", "ecg_signal[0][99]"),
        ([[0.0] * 99 + [1e300]] * 12, "signal-malformed", "ecg_signal"),
        ([0.0] * 100, "signal-malformed", "ecg_signal"),
        ([[]] * 12, "signal-malformed", "ecg_signal"),
        ([], "signal-malformed", "ecg_signal"),
        ("0.0", "signal-malformed", "ecg_signal"),
    ],
)
def test_a_matrix_that_is_no_ecg_is_refused(signal: Any, code: str, element: str) -> None:
    error = refusal(body(signal))
    assert (error.code, error.element) == (code, element)


def test_an_absent_signal_is_a_missing_element() -> None:
    assert isinstance(refusal(b"{}"), MissingElement)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b'{"ecg_signal": [[NaN]]}'])
def test_what_is_no_json_object_is_malformed(content: bytes) -> None:
    assert isinstance(refusal(content), Malformed)


def test_every_unknown_member_is_named() -> None:
    error = refusal(body(age=1, sex="M"))
    assert isinstance(error, InvalidContent)
    assert [element for element, _ in error.problems] == ["age", "sex"]


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=13) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=30,
)


optional_members = {name: json_values for name in REQUEST["properties"] if name != "ecg_signal"}
REFUSALS = {
    "malformed",
    "invalid",
    "required",
    "signal-malformed",
    "leads-missing",
    "sampling-rate-invalid",
    "unit-missing",
    "unit-unsupported",
}


@given(st.fixed_dictionaries({"ecg_signal": json_values}, optional=optional_members))
def test_any_json_is_either_a_recording_or_refused(document: dict[str, Any]) -> None:
    code = None
    try:
        read(json.dumps(document).encode(), NOW)
    except EcgError as error:
        code = error.code
    assert code is None or code in REFUSALS


@given(st.binary(max_size=50))
def test_any_bytes_are_either_a_recording_or_refused(content: bytes) -> None:
    with pytest.raises(EcgError):
        read(content, NOW)


def test_a_model_that_was_promoted_by_waiver_says_so_beside_its_status() -> None:
    prediction = make_prediction(replace(CHAMPION, waived="fairness not assessed"), MI=0.83)
    found = json.loads(answer(replace(ANALYSIS, prediction=prediction), 9.876))
    assert found["model"] == {
        "name": "fake-resnet", "version": "1.2.3", "status": "champion", "waived": "fairness not assessed"
    }  # fmt: skip
    assert set(found["model"]) == set(ANSWER["properties"]["model"]["properties"])


def test_the_answer_has_exactly_the_documented_members() -> None:
    found = json.loads(answer(ANALYSIS, 9.876))
    assert set(found) == set(ANSWER["properties"])
    assert found["prediction_id"] == str(ANALYSIS.id)
    assert found["model"] == {"name": "fake-resnet", "version": "1.2.3", "status": "champion"}
    assert found["diagnoses"] == [{"code": "MI", "name": "Myocardial infarction", "probability": 0.83}]
    assert found["probabilities"] == {"NORM": 0.01, "MI": 0.83, "STTC": 0.01, "CD": 0.01, "HYP": 0.01}
    assert found["recommendations"] == [
        {"action": "Activate cath lab", "urgency": "immediate", "confidence": 0.83, "diagnosis": "MI",
         "rationale": "if clinically acute"}
    ]  # fmt: skip
    assert found["quality"]["findings"][0] == {"code": "noise", "severity": "warning", "leads": ["V1"], "text": "noise"}
    assert found["measurements"] == dict.fromkeys(("heart_rate", "pr", "qrs", "qt", "qtc", "axis"))
    assert found["latency_ms"] == 9.88


def test_an_uninterpretable_analysis_is_never_an_answer() -> None:
    with pytest.raises(ValueError, match="no prediction"):
        answer(replace(ANALYSIS, prediction=None), 1.0)


def test_rounding_never_contradicts_the_decision() -> None:
    """0.29996 is below the threshold of 0.3, so it must not read 0.3."""
    found = json.loads(answer(replace(ANALYSIS, prediction=make_prediction(MI=0.29996)), 1.0))
    assert found["diagnoses"] == []
    assert found["probabilities"]["MI"] < 0.3


def test_a_transposed_or_scaled_signal_is_contiguous_for_the_lane() -> None:
    assert reading(SIGNAL.T.tolist()).signal.flags["C_CONTIGUOUS"]


def test_a_short_list_among_long_ones_is_refused() -> None:
    assert isinstance(refusal(body([[0.0], *[[0.0, 1.0]] * 11])), SignalMalformed)

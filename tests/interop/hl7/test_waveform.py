from datetime import UTC, date, datetime

import numpy as np
import pytest

from inference.recording import Recording, Sex
from interop.hl7.message import parse
from interop.hl7.oru import DecodedEcg, decode
from interop.hl7.senders import load_senders
from interop.hl7.waveform import to_oru

RECORDED = datetime(2026, 3, 2, 8, 25, tzinfo=UTC)
SENDER = load_senders(None, "UTC").of("")


def recording(age: float | None = 74.0, recorded_at: datetime | None = RECORDED) -> Recording:
    signal = np.random.default_rng(1).normal(0, 0.3, (12, 500)).astype(np.float32)
    signal[0, 0], signal[1, 1], signal[2, 2] = np.nan, 1e-7, 0
    return Recording(signal, 400.0, recorded_at=recorded_at, age=age, sex=Sex.MALE)


def sent(original: Recording, **options: object) -> DecodedEcg:
    content = to_oru(original, control_id="1", sent_at=RECORDED, patient_id="47|11", **options)  # type: ignore[arg-type]
    return decode(parse(content), SENDER)


def test_the_signal_comes_back_to_the_last_bit() -> None:
    original = recording()
    np.testing.assert_array_equal(sent(original).recording.signal, original.signal)


def test_rate_time_sex_and_patient_come_back() -> None:
    ecg = sent(recording(), authority="WARD", placer_order_number="P^1", filler_order_number="F1")
    assert (ecg.recording.sampling_rate, ecg.recording.recorded_at) == (400, RECORDED)
    assert ecg.recording.sex is Sex.MALE
    assert (ecg.patient.value, ecg.patient.authority) == ("47|11", "WARD")
    assert ecg.placer_order_number is not None
    assert ecg.placer_order_number.value == "P^1"


@pytest.mark.parametrize("age", [0.5, 18.0, 74.0, 99.9])
def test_the_age_of_a_dated_recording_comes_back_within_a_day(age: float) -> None:
    back = sent(recording(age)).recording.age
    assert back is not None
    assert 0 <= back - age < 1.001 / 365


def test_a_date_of_birth_travels_as_it_is() -> None:
    content = to_oru(recording(), control_id="1", sent_at=RECORDED, patient_id="1", birth_date=date(1950, 2, 28))
    assert b"|19500228|M\r" in content


def test_an_undated_recording_stays_undated_and_its_age_unknown() -> None:
    back = sent(recording(recorded_at=None)).recording
    assert (back.recorded_at, back.age) == (None, None)


def test_no_number_has_an_exponent() -> None:
    content = to_oru(recording(), control_id="1", sent_at=RECORDED, patient_id="1")
    values = [line.split(b"|")[5] for line in content.split(b"\r") if line.startswith(b"OBX")]
    assert not any(b"e" in value for value in values)

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from fhir.resources.R4B.observation import Observation
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.packed import WithSeries, decompressed
from inference.digest import signal_digest
from inference.formats import wfdb
from inference.recording import Recording
from interop.resources.ecg_document import render_ecg
from interop.resources.identifiers import Identifier
from interop.resources.observation import parse, to_recording
from interop.resources.sampled_data import counted
from interop.resources.validation import problems
from tests.fakes import NOW
from tests.interop.resources.cases import make_recording

FIELDS: dict[str, Any] = {"id": "o-1", "subject": {"reference": "Patient/1"}, "identifiers": (), "issued": NOW}


def written(recording: Recording, **given: Any) -> bytes:
    _, body = render_ecg(recording, **FIELDS | given)
    return body.content


def test_a_real_recording_survives_the_way_out_and_in(examples: Path) -> None:
    recording = wfdb.read(examples / "00010_hr.hea")
    received = parse(written(recording))
    back = to_recording(received)
    np.testing.assert_array_equal(back.signal, recording.signal)
    assert received.raw["component"][0]["valueSampledData"]["factor"] == 0.001
    assert signal_digest(back) == signal_digest(recording)


@given(st.floats(0.00002, 0.005), st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_any_converter_step_survives_within_half_a_resolution_step(step: float, seed: int) -> None:
    counts = np.random.default_rng(seed).integers(-400, 400, (12, 50))
    recording = Recording((counts * step).astype(np.float32), 500.0)
    back = to_recording(parse(written(recording)))
    assert np.abs(back.signal - recording.signal).max() <= 0.00001 / 2 + 1e-6


def test_invalid_samples_go_out_as_e_and_come_back_as_nan() -> None:
    signal = make_recording(20).signal.copy()
    signal[3, 5:8] = np.nan
    recording = Recording(signal, 500.0)
    content = written(recording)
    assert " E E E " in orjson.loads(content)["component"][3]["valueSampledData"]["data"]
    np.testing.assert_array_equal(to_recording(parse(content)).signal, signal)


@given(st.sampled_from([100, 250, 256, 300, 360, 400, 500, 512, 977, 1000, 2000]))
@settings(deadline=None)
def test_the_sampling_rate_survives(rate: int) -> None:
    recording = Recording(make_recording(20).signal.copy(), float(rate))
    assert to_recording(parse(written(recording))).sampling_rate == pytest.approx(rate, rel=1e-12)


def test_what_goes_out_is_valid_by_the_model_classes_and_by_our_tables() -> None:
    content = written(make_recording(notes=("Leads III were calculated.",)), identifiers=[Identifier("7", "urn:oid:1")])
    document = orjson.loads(content)
    Observation.model_validate(document)
    assert problems(document) == []
    assert document["effectiveDateTime"] == "2026-03-02T09:20:00.000Z"
    assert document["note"] == [{"text": "Leads III were calculated."}]


@given(
    st.sampled_from([0.001, 0.00488, 3e5]),
    st.lists(st.integers(0, 11), max_size=2),
    st.integers(min_value=0, max_value=99),
)
@settings(deadline=None, max_examples=25)
def test_what_is_stored_reads_as_its_samples_are_written(step: float, invalid: list[int], seed: int) -> None:
    counts = np.random.default_rng(seed).integers(-3000, 3000, (12, 300))
    signal = (counts * step).astype(np.float32)
    signal[invalid, 7] = np.nan
    resource, body = render_ecg(Recording(signal=signal, sampling_rate=500.0), **FIELDS)
    assert body.content == decompressed(body.frame)
    document = orjson.loads(body.content)
    expected = counted(signal, 500.0)
    assert [c["valueSampledData"]["data"] for c in document["component"]] == [expected.text(n) for n in range(12)]
    assert document["id"] == resource["id"] == "o-1"
    assert isinstance(body, WithSeries) == (not invalid and step < 1)


def test_without_a_patient_the_subject_says_that_it_is_not_known() -> None:
    document = orjson.loads(written(make_recording(recorded_at=None), subject=None))
    assert document["subject"]["display"] == "not identified"
    assert "effectiveDateTime" not in document
    assert problems(document) == []

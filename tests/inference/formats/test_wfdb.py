from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference.errors import (
    InvalidContent,
    LeadsMissing,
    Malformed,
    SenderError,
    SignalMalformed,
    UnitMissing,
    UnitUnsupported,
)
from inference.formats.wfdb import read
from inference.recording import LEADS, Sex

SAMPLES = 20


def _record(folder: Path, *, record_line: str = "r 12 500 20", gain: str = "1000.0(0)/mV", end: str = "") -> Path:
    """A record in format 16, sample n of lead i being 10 i + n steps."""
    steps = np.arange(SAMPLES)[:, np.newaxis] + 10 * np.arange(12)
    (folder / "r.dat").write_bytes(steps.astype("<i2").tobytes())
    lines = [record_line, *(f"r.dat 16 {gain} 16 0 0 0 0 {lead}" for lead in LEADS)]
    (folder / "r.hea").write_text("\n".join(lines) + "\n" + end)
    return folder / "r.hea"


def test_a_ptb_xl_record_is_read_as_its_bytes_say(examples: Path) -> None:
    recording = read(examples / "00010_hr.hea")
    stored = np.frombuffer((examples / "00010_hr.dat").read_bytes(), "<i2").reshape(5000, 12).T / 1000
    np.testing.assert_allclose(recording.signal, stored, atol=1e-6)
    assert recording.sampling_rate == 500
    assert (recording.age, recording.sex, recording.recorded_at, recording.notes) == (None, Sex.UNKNOWN, None, ())


def test_a_chapman_record_brings_age_and_sex(shared_data: Path) -> None:
    path = next((shared_data / "chapman/WFDBRecords").rglob("JS20000.hea"))
    recording = read(path.with_suffix(".mat"))
    assert (recording.age, recording.sex) == (84, Sex.FEMALE)
    assert recording.signal.shape == (12, 5000)
    assert recording.signal[0, 0] == pytest.approx(-0.034)


@pytest.mark.parametrize(
    ("gain", "step"), [("1000.0(0)/mV", 1e-3), ("1(0)/uV", 1e-3), ("1000000/V", 1e-3), ("200/mV", 5e-3)]
)
def test_values_are_in_millivolts_whatever_the_headers_unit(tmp_path: Path, gain: str, step: float) -> None:
    recording = read(_record(tmp_path, gain=gain))
    np.testing.assert_allclose(recording.signal[3], step * (30 + np.arange(SAMPLES)), rtol=1e-5)


@pytest.mark.parametrize("gain", ["", "1000", "0/mV", "1000(0)/"])
def test_a_header_without_gain_or_unit_is_refused_and_not_taken_for_millivolts(tmp_path: Path, gain: str) -> None:
    with pytest.raises(UnitMissing):
        read(_record(tmp_path, gain=gain))


def test_a_unit_that_is_no_voltage_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnitUnsupported, match="mmHg"):
        read(_record(tmp_path, gain="1000/mmHg"))


def test_a_date_with_a_time_is_the_moment_of_recording_in_the_zone_asked_for(tmp_path: Path) -> None:
    path = _record(tmp_path, record_line="r 12 500 20 08:30:00 17/06/2015")
    assert read(path).recorded_at == datetime(2015, 6, 17, 8, 30, tzinfo=UTC)
    in_berlin = read(path, zone=ZoneInfo("Europe/Berlin"))
    assert in_berlin.recorded_at == datetime(2015, 6, 17, 6, 30, tzinfo=UTC)
    assert "Europe/Berlin" in in_berlin.notes[0]


def test_a_time_without_a_date_is_no_moment(tmp_path: Path) -> None:
    assert read(_record(tmp_path, record_line="r 12 500 20 08:30:00")).recorded_at is None


def test_comments_are_read_for_the_patient(tmp_path: Path) -> None:
    recording = read(_record(tmp_path, end="# Age: 300\n# Sex: Male\n"))
    assert (recording.age, recording.sex) == (None, Sex.MALE)
    assert "300" in recording.notes[0]


def test_other_channels_are_left_out_and_missing_limb_leads_completed(tmp_path: Path) -> None:
    path = _record(tmp_path)
    path.write_text(path.read_text().replace(" III\n", " resp\n"))
    recording = read(path)
    np.testing.assert_allclose(recording.signal[2], recording.signal[1] - recording.signal[0], atol=1e-6)
    assert "III" in recording.notes[0]


def test_a_missing_chest_lead_is_named(tmp_path: Path) -> None:
    path = _record(tmp_path)
    path.write_text(path.read_text().replace(" V4\n", " X\n"))
    with pytest.raises(LeadsMissing, match="V4"):
        read(path)


def test_a_lead_twice_is_refused(tmp_path: Path) -> None:
    path = _record(tmp_path)
    path.write_text(path.read_text().replace(" V4\n", " v5\n"))
    with pytest.raises(InvalidContent, match="V5"):
        read(path)


@pytest.mark.parametrize("name", ["r.hea", "r.dat"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    path = _record(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(Malformed, match=name.replace(".dat", "")):
        read(path)


@pytest.mark.parametrize("samples", ["600001", "99999999999", "9" * 5000])
def test_a_header_that_claims_too_many_samples_is_refused_before_memory_is_taken(tmp_path: Path, samples: str) -> None:
    with pytest.raises(SignalMalformed, match="600000"):
        read(_record(tmp_path, record_line=f"r 12 500 {samples}"))


def test_samples_that_end_too_early_are_refused(tmp_path: Path) -> None:
    path = _record(tmp_path)
    (tmp_path / "r.dat").write_bytes(b"\0" * 100)
    with pytest.raises(Malformed):
        read(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_header_is_read_or_refused_and_nothing_else(tmp_path: Path, data: st.DataObject) -> None:
    path = _record(tmp_path)
    text = path.read_text()
    start = data.draw(st.integers(0, len(text)))
    length = data.draw(st.integers(0, 30))
    damage = data.draw(
        st.text(st.characters(codec="utf-8"), max_size=10) | st.sampled_from(["0", "-1", "/", "\n", "16x2"])
    )
    path.write_text(text[:start] + damage + text[start + length :], "utf-8")
    try:
        recording = read(path)
    except SenderError:
        return
    assert recording.signal.shape[0] == 12

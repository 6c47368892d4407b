from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import wfdb
from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from inference.errors import (
    InvalidContent,
    LeadsMissing,
    Malformed,
    SenderError,
    SignalMalformed,
    TooLarge,
    UnsupportedMediaType,
)
from inference.formats import read
from inference.recording import LEADS, Recording, Sex
from interop.client import observation_to_send
from interop.files import read_file, write_wfdb
from interop.hl7.waveform import to_oru
from interop.settings import Settings
from tests.inference import ecg_files
from tests.interop.resources.cases import make_recording

RECORDED = datetime(2026, 3, 2, 8, 15, 30, tzinfo=UTC)
FORMATS = pytest.mark.parametrize("suffix", [".json", ".hl7", ".hea"])
SETTINGS = Settings(_env_file=None)


def write(recording: Recording, path: Path) -> Path:
    if path.suffix == ".json":
        path.write_bytes(observation_to_send(recording, "4711"))
    elif path.suffix == ".hl7":
        path.write_bytes(to_oru(recording, control_id="M-1", sent_at=RECORDED, patient_id="4711"))
    else:
        write_wfdb(recording, path, UTC)
    return path


def largest_loss(recording: Recording, path: Path) -> float:
    """mV; a NaN on one side alone counts as a loss without end."""
    back = read_file(write(recording, path), SETTINGS).signal
    if not np.array_equal(np.isnan(back), np.isnan(recording.signal)):
        return float("inf")
    return float(np.nanmax(np.abs(back.astype(np.float64) - recording.signal), initial=0))


@FORMATS
@example_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    step=st.sampled_from([0.001, 0.0025, 0.00125, 0.00488, 0.005]) | st.floats(0.0001, 0.01),
    amplitude=st.integers(1, 6000),
    rate=st.sampled_from([100, 250, 500, 977, 1000, 1000 / 3]),
    missing=st.lists(st.tuples(st.integers(0, 11), st.integers(0, 59)), max_size=4),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_signal_survives_within_half_a_resolution_step(
    tmp_path: Path,
    suffix: str,
    step: float,
    amplitude: int,
    rate: float,
    missing: list[tuple[int, int]],
    seed: int,
) -> None:
    counts = np.random.default_rng(seed).integers(-amplitude, amplitude, (12, 60), endpoint=True)
    signal = (counts * step).astype(np.float32)
    for place in missing:
        signal[place] = np.nan
    path = tmp_path / f"ecg{suffix}"
    assert largest_loss(Recording(signal, rate), path) <= step / 2
    assert read_file(path, SETTINGS).sampling_rate == pytest.approx(rate, rel=1e-9)


@FORMATS
def test_real_recordings_survive_within_half_a_resolution_step(shared_data: Path, tmp_path: Path, suffix: str) -> None:
    stems = ecg_files.stems(shared_data, "filename_hr")
    assert len(stems) > 10
    for stem in stems[:: len(stems) // 10]:
        assert largest_loss(read(stem.with_suffix(".hea")), tmp_path / f"ecg{suffix}") <= 0.0005


@FORMATS
def test_age_sex_and_time_survive(tmp_path: Path, suffix: str) -> None:
    recording = make_recording(age=63.0, sex=Sex.FEMALE, recorded_at=RECORDED)
    back = read_file(write(recording, tmp_path / f"ecg{suffix}"), SETTINGS)
    assert back.age == pytest.approx(63, abs=0.01)
    assert (back.sex, back.recorded_at) == (Sex.FEMALE, RECORDED)


@FORMATS
def test_what_is_not_known_stays_unknown(tmp_path: Path, suffix: str) -> None:
    back = read_file(write(make_recording(recorded_at=None), tmp_path / f"ecg{suffix}"), SETTINGS)
    assert (back.age, back.sex, back.recorded_at) == (None, Sex.UNKNOWN, None)


def test_a_message_with_its_mllp_frame_is_read(tmp_path: Path) -> None:
    path = write(make_recording(), tmp_path / "ecg.hl7")
    path.write_bytes(b"\x0b" + path.read_bytes() + b"\x1c\r")
    assert read_file(path, SETTINGS).duration == 2


def test_a_time_without_zone_is_in_the_configured_one_and_noted(tmp_path: Path) -> None:
    message = write(make_recording(recorded_at=RECORDED), tmp_path / "ecg.hl7")
    message.write_bytes(message.read_bytes().replace(b"+0000", b""))
    berlin = Settings(_env_file=None, time_zone="Europe/Berlin")
    expected = RECORDED.replace(tzinfo=ZoneInfo("Europe/Berlin"))
    for path in (message, write(make_recording(recorded_at=RECORDED), tmp_path / "ecg.hea")):
        recording = read_file(path, berlin)
        assert recording.recorded_at == expected
        assert any("Europe/Berlin" in note for note in recording.notes)


def test_a_senders_own_zone_counts(tmp_path: Path) -> None:
    senders = tmp_path / "senders.json"
    senders.write_text('{"ECG-INTEROP|LOCAL": {"time_zone": "Europe/Berlin"}}')
    path = write(make_recording(recorded_at=RECORDED), tmp_path / "ecg.hl7")
    path.write_bytes(path.read_bytes().replace(b"+0000", b""))
    recording = read_file(path, Settings(_env_file=None, senders=senders))
    assert recording.recorded_at == RECORDED.replace(tzinfo=ZoneInfo("Europe/Berlin"))


def test_every_other_format_is_read_too(examples: Path) -> None:
    assert read_file(examples / "00010_hr.hea", SETTINGS).duration == 10


def test_an_unknown_suffix_is_refused_with_all_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedMediaType, match=r"\.hea.*\.dcm.*\.json, \.hl7"):
        read_file(tmp_path / "ecg.pdf", SETTINGS)


@pytest.mark.parametrize("suffix", [".json", ".hl7"])
def test_a_unit_cannot_be_given_for_a_file_that_states_it(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(InvalidContent, match="unit"):
        read_file(write(make_recording(), tmp_path / f"ecg{suffix}"), SETTINGS, unit="mV")


@pytest.mark.parametrize("name", ["none.json", "none.hl7"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(Malformed, match=name):
        read_file(tmp_path / name, SETTINGS)


@pytest.mark.parametrize("suffix", [".json", ".hl7"])
def test_a_file_that_no_door_would_take_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"ecg{suffix}"
    path.write_bytes(b" " * 5000)
    with pytest.raises(TooLarge):
        read_file(path, Settings(_env_file=None, http_max_bytes=4096))


def test_a_message_without_an_ecg_is_refused(tmp_path: Path) -> None:
    path = write(make_recording(), tmp_path / "ecg.hl7")
    path.write_bytes(b"\r".join(line for line in path.read_bytes().split(b"\r") if not line.startswith(b"OBX")))
    with pytest.raises(LeadsMissing, match="no ECG"):
        read_file(path, SETTINGS)


def test_a_withdrawn_observation_is_refused(tmp_path: Path) -> None:
    path = write(make_recording(), tmp_path / "ecg.json")
    path.write_bytes(path.read_bytes().replace(b'"status":"final"', b'"status":"entered-in-error"'))
    with pytest.raises(InvalidContent, match="entered-in-error"):
        read_file(path, SETTINGS)


@pytest.mark.parametrize("suffix", [".json", ".hl7"])
@example_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_and_nothing_else(tmp_path: Path, suffix: str, data: st.DataObject) -> None:
    path = write(make_recording(20), tmp_path / f"ecg{suffix}")
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)) | st.just(len(content)))])
    try:
        recording = read_file(path, SETTINGS)
    except SenderError:
        return
    assert recording.signal.shape[0] == 12


def test_a_wfdb_record_says_what_the_recording_is(tmp_path: Path) -> None:
    recording = make_recording(age=63.0, sex=Sex.FEMALE, recorded_at=RECORDED)
    header, samples = write_wfdb(recording, tmp_path / "ecg.hea", ZoneInfo("Europe/Berlin"))
    assert (header.name, samples.name) == ("ecg.hea", "ecg.dat")
    written = wfdb.rdrecord(str(tmp_path / "ecg"))
    assert written.sig_name == list(LEADS)
    assert (written.fs, written.fmt, written.units) == (500, ["16"] * 12, ["mV"] * 12)
    assert written.base_datetime == datetime(2026, 3, 2, 9, 15, 30)  # noqa: DTZ001 - WFDB has no zones
    assert written.comments == ["Age: 63", "Sex: Female"]
    np.testing.assert_allclose(written.p_signal.T, recording.signal, atol=1e-6)


def test_a_large_offset_is_written_in_32_bits(tmp_path: Path) -> None:
    recording = make_recording(100)
    high = replace(recording, signal=recording.signal + np.float32(300))
    assert largest_loss(high, tmp_path / "ecg.hea") < 0.0001
    assert wfdb.rdheader(str(tmp_path / "ecg")).fmt == ["32"] * 12


def test_what_wfdb_cannot_hold_is_refused(tmp_path: Path) -> None:
    recording = make_recording(100)
    with pytest.raises(SignalMalformed, match="WFDB"):
        write_wfdb(replace(recording, signal=recording.signal * np.float32(1e9)), tmp_path / "ecg.hea", UTC)
    with pytest.raises(InvalidContent, match="letters"):
        write_wfdb(recording, tmp_path / "Jane Doe.hea", UTC)

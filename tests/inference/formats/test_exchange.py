import binascii
import stat
import struct
import tempfile
from datetime import UTC, datetime
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pydicom
import pytest
from ecgdatakit import FileParser
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file

from inference.errors import (
    InvalidContent,
    LeadsMissing,
    Malformed,
    SenderError,
    SignalMalformed,
    StorageUnavailable,
    TooLarge,
    UnitMissing,
    UnitUnsupported,
    UnsupportedMediaType,
)
from inference.formats import exchange, read, wfdb
from inference.formats.exchange import FORMATS, MAX_FILE_BYTES, read_content
from inference.recording import LEADS, Recording, Sex
from tests.inference.formats.exchange_files import (
    MICROVOLTS,
    RECORDED,
    WRITERS,
    Counts,
    aecg,
    dicom,
    muse_xml,
    philips_xml,
    scp,
)

ALL = pytest.mark.parametrize("name", WRITERS)
SMALL = np.arange(12 * 200, dtype=np.int16).reshape(12, 200) % 331 - 120


@pytest.fixture(scope="module")
def real(examples: Path) -> Counts:
    """A PTB-XL recording in steps of 2.5 uV, limb leads consistent with I and II to a step."""
    signal = wfdb.read(examples / "00184_hr.hea").signal
    return np.rint(signal.astype(np.float64) * 1000 / MICROVOLTS).astype(np.int16)


def _read(folder: Path, name: str, content: bytes) -> Recording:
    path = folder / name
    path.write_bytes(content)
    return read(path)


@ALL
def test_a_real_recording_comes_back_as_it_was_written(tmp_path: Path, real: Counts, name: str) -> None:
    file, write = WRITERS[name]
    recording = _read(tmp_path, file, write(real))
    written = real.astype(np.float64) * MICROVOLTS / 1000
    tolerance = np.full((12, 1), 1e-5)
    if name == "MUSE":  # stores eight leads; the others follow from rounded ones
        tolerance[2:6] = 2 * MICROVOLTS / 1000
    assert (np.abs(recording.signal - written) <= tolerance).all()
    assert recording.sampling_rate == 500


@ALL
def test_age_sex_and_time_come_from_the_file_and_an_assumed_zone_is_noted(tmp_path: Path, name: str) -> None:
    file, write = WRITERS[name]
    (tmp_path / file).write_bytes(write(SMALL))
    recording = read(tmp_path / file, zone=ZoneInfo("Europe/Berlin"))
    assert (recording.age, recording.sex) == (63, Sex.FEMALE)
    assert recording.recorded_at == RECORDED.replace(tzinfo=ZoneInfo("Europe/Berlin"))
    assert any("Europe/Berlin" in note for note in recording.notes)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("zoned.dcm", dicom(SMALL, TimezoneOffsetFromUTC="+0100")),
        ("zoned.scp", scp(SMALL, zone_minutes=60)),
        ("zoned.xml", aecg(SMALL, zone="+0100")),
    ],
)
def test_a_zone_that_the_file_states_wins(tmp_path: Path, file: str, content: bytes) -> None:
    recording = _read(tmp_path, file, content)
    assert recording.recorded_at == datetime(2026, 3, 2, 8, 15, 30, tzinfo=UTC)
    assert not any("zone" in note for note in recording.notes)


def test_the_file_of_a_real_cart_is_read_as_pydicom_decodes_it() -> None:
    path = Path(str(get_testdata_file("waveform_ecg.dcm")))
    recording = read(path)
    decoded = pydicom.dcmread(path).waveform_array(0).T / 1000  # the file states microvolts
    np.testing.assert_allclose(recording.signal, decoded, atol=1e-5)
    assert (recording.sampling_rate, recording.duration, recording.age) == (1000, 10, 42)


def test_uncompressed_philips_samples_are_read_like_compressed_ones(tmp_path: Path, real: Counts) -> None:
    compressed = _read(tmp_path, "xli.xml", philips_xml(real))
    plain = _read(tmp_path, "plain.xml", philips_xml(real, compression="Uncompressed"))
    np.testing.assert_array_equal(compressed.signal, plain.signal)


def test_compressed_scp_samples_are_read_like_plain_ones(tmp_path: Path, real: Counts) -> None:
    compressed = _read(tmp_path, "huffman.scp", scp(real, huffman=True))
    plain = _read(tmp_path, "plain.scp", scp(real))
    assert (tmp_path / "huffman.scp").stat().st_size < (tmp_path / "plain.scp").stat().st_size / 1.5
    np.testing.assert_array_equal(compressed.signal, plain.signal)


def test_an_unknown_compression_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedMediaType, match="ZIP"):
        _read(tmp_path, "ecg.xml", philips_xml(SMALL, compression="ZIP"))


def test_eight_leads_are_completed_and_it_is_noted(tmp_path: Path, real: Counts) -> None:
    recording = _read(tmp_path, "muse.xml", muse_xml(real))
    np.testing.assert_allclose(recording.signal[2], recording.signal[1] - recording.signal[0], atol=1e-6)
    assert recording.notes[0].startswith("Leads III, aVR, aVL, aVF")


@pytest.mark.parametrize(
    ("file", "content", "error"),
    [
        ("unit.dcm", dicom(SMALL, unit=None), UnitMissing),
        ("unit.dcm", dicom(SMALL, unit="mm[Hg]"), UnitUnsupported),
        ("unit.scp", scp(SMALL, nanovolts=0), UnitMissing),
        ("unit.xml", aecg(SMALL, unit=""), UnitMissing),
        ("unit.xml", aecg(SMALL, unit="adu"), UnitUnsupported),
        ("unit.xml", muse_xml(SMALL, unit=""), UnitMissing),
        ("unit.xml", muse_xml(SMALL, unit="STEPS"), UnitUnsupported),
        ("unit.xml", philips_xml(SMALL, resolution=""), UnitMissing),
    ],
)
def test_a_scale_that_is_not_stated_is_refused_and_not_guessed(
    tmp_path: Path, file: str, content: bytes, error: type[SenderError]
) -> None:
    with pytest.raises(error):
        _read(tmp_path, file, content)


@pytest.mark.parametrize("unit", ["mV", "V", "nV"])
def test_values_are_in_millivolts_whatever_the_files_unit(tmp_path: Path, unit: str) -> None:
    recording = _read(tmp_path, "ecg.dcm", dicom(SMALL, unit=unit))
    factor = {"mV": 1.0, "V": 1e3, "nV": 1e-6}[unit]
    np.testing.assert_allclose(recording.signal, SMALL * MICROVOLTS * factor, rtol=1e-6)


@ALL
def test_the_converters_mark_for_no_sample_becomes_nan(tmp_path: Path, name: str) -> None:
    file, write = WRITERS[name]
    if name == "Philips":  # its compression has no room for such a step
        write = partial(philips_xml, compression="Uncompressed")
    counts = SMALL.copy()
    counts[0, 3], counts[7, 5] = 32767, -32768
    signal = _read(tmp_path, file, write(counts)).signal
    assert np.isnan(signal[0, 3])
    assert np.isnan(signal[7, 5])
    assert np.isfinite(signal[8]).all()


def test_a_padding_value_becomes_nan(tmp_path: Path) -> None:
    signal = _read(tmp_path, "ecg.dcm", dicom(SMALL, padding=int(SMALL[4, 9]))).signal
    assert np.isnan(signal[4, 9])


@pytest.mark.parametrize(
    ("file", "content"),
    [("x.scp", scp(SMALL, first_samples={"V1": 101})), ("x.xml", muse_xml(SMALL, time_offsets={"V1": 2500}))],
)
def test_leads_recorded_one_after_the_other_are_refused(tmp_path: Path, file: str, content: bytes) -> None:
    with pytest.raises(SignalMalformed, match="different times"):
        _read(tmp_path, file, content)


def test_leads_in_several_multiplex_groups_are_refused(tmp_path: Path) -> None:
    limb, chest = (pydicom.dcmread(BytesIO(dicom(SMALL[rows], LEADS[rows]))) for rows in (slice(6), slice(6, 12)))
    limb.WaveformSequence.append(chest.WaveformSequence[0])
    limb.save_as(tmp_path / "ecg.dcm")
    with pytest.raises(LeadsMissing, match="V1"):
        read(tmp_path / "ecg.dcm")


def test_a_sampling_rate_that_is_no_whole_number_is_kept(tmp_path: Path) -> None:
    recording = _read(tmp_path, "ecg.xml", aecg(SMALL, increment='"3" unit="ms"'))
    assert recording.sampling_rate == pytest.approx(1000 / 3, rel=1e-9)
    assert _read(tmp_path, "ecg.dcm", dicom(SMALL)).sampling_rate == 500


def test_missing_leads_are_named(tmp_path: Path) -> None:
    with pytest.raises(LeadsMissing, match="V6"):
        _read(tmp_path, "ecg.scp", scp(SMALL[:11], LEADS[:11]))


def test_a_lead_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidContent, match="V5 appears twice"):
        _read(tmp_path, "ecg.scp", scp(SMALL, (*LEADS[:11], "V5")))


def test_a_holter_recording_is_said_to_be_no_resting_ecg(tmp_path: Path) -> None:
    holter = _read(tmp_path, "ecg.dcm", dicom(SMALL, sop_class="1.2.840.10008.5.1.4.1.1.9.1.3"))
    assert holter.resting is False
    assert _read(tmp_path, "ecg.dcm", dicom(SMALL)).resting is None


def test_a_pacemaker_that_the_file_states_is_noted(tmp_path: Path) -> None:
    recording = _read(tmp_path, "ecg.xml", philips_xml(SMALL, pacemaker="Yes"))
    assert any("pacemaker" in note for note in recording.notes)


def test_an_impossible_age_is_not_used_and_noted(tmp_path: Path) -> None:
    recording = _read(tmp_path, "ecg.dcm", dicom(SMALL, PatientAge="300Y"))
    assert recording.age is None
    assert any("300" in note for note in recording.notes)


def test_an_undated_file_stays_undated(tmp_path: Path) -> None:
    recording = _read(tmp_path, "ecg.dcm", dicom(SMALL, AcquisitionDateTime=""))
    assert recording.recorded_at is None


def test_a_wrong_checksum_refuses_an_scp_file(tmp_path: Path) -> None:
    content = bytearray(scp(SMALL))
    content[-100] ^= 1
    with pytest.raises(Malformed, match="checksum"):
        _read(tmp_path, "ecg.scp", bytes(content))


def test_a_wrong_checksum_in_muse_xml_is_noted_without_the_files_name(tmp_path: Path) -> None:
    recording = _read(tmp_path, "DOE_JANE.xml", muse_xml(SMALL, checksum=0))
    assert any("CRC32" in note for note in recording.notes)
    assert not any("DOE" in note for note in recording.notes)


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 200, b"<html><body/></html>", b"ISHNE1.0" + b"\0" * 600, b"%PDF-1.7", SMALL.tobytes()]
)
@pytest.mark.parametrize("suffix", [".dcm", ".scp", ".xml"])
def test_another_kind_of_file_is_refused_whatever_its_suffix(tmp_path: Path, content: bytes, suffix: str) -> None:
    with pytest.raises(UnsupportedMediaType, match="none of"):
        _read(tmp_path, f"ecg{suffix}", content)


def test_entities_are_refused(tmp_path: Path) -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
    for content in (
        aecg(SMALL),
        philips_xml(SMALL),
        muse_xml(SMALL).replace(b'<!DOCTYPE RestingECG SYSTEM "restecg.dtd">', b""),
    ):
        with pytest.raises(Malformed, match="entit"):
            _read(tmp_path, "ecg.xml", content.replace(b"?>", b"?>" + bomb, 1))


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "ecg.dcm"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(TooLarge):
        read(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Malformed, match=r"none\.dcm"):
        read(tmp_path / "none.dcm")


@ALL
def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path, name: str) -> None:
    file, write = WRITERS[name]
    content = write(SMALL).rstrip()
    for length in range(0, len(content), max(1, len(content) // 60)):
        with pytest.raises(SenderError):
            _read(tmp_path, file, content[:length])


@ALL
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_and_nothing_else(tmp_path: Path, name: str, data: st.DataObject) -> None:
    file, write = WRITERS[name]
    content = bytearray(write(SMALL[:, :40]))
    for _ in range(data.draw(st.integers(1, 6))):
        # Half of the damage in the first part, where the structure is.
        end = data.draw(st.sampled_from([len(content), 1500])) - 1
        content[data.draw(st.integers(0, min(end, len(content) - 1)))] = data.draw(st.integers(0, 255))
    try:
        signal, message = _read(tmp_path, file, bytes(content)).signal, ""
    except SenderError as error:
        signal, message = None, error.message
    assert signal is None or signal.shape[0] == 12
    assert "\n" not in message


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_with_a_right_checksum_does_not_break_the_scp_reader(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(scp(SMALL[:, :40]))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(6, 420))] = data.draw(st.integers(0, 255))
    content[0:2] = struct.pack("<H", binascii.crc_hqx(bytes(content[2:]), 0xFFFF))
    try:
        _read(tmp_path, "ecg.scp", bytes(content))
    except SenderError:
        return


@ALL
def test_bytes_are_read_like_a_file_and_leave_none_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    file, write = WRITERS[name]
    expected = _read(tmp_path, file, write(SMALL))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    found = read_content(write(SMALL))
    np.testing.assert_array_equal(found.recording.signal, expected.signal)
    assert found.recording.notes == expected.notes
    assert (found.kind in FORMATS, found.patient_id) == (True, "4711")
    assert list(scratch.iterdir()) == []


def test_the_temporary_file_is_private_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    detect, modes = FileParser.detect_format, []

    def look(path: Path) -> Any:
        modes.append(stat.S_IMODE(path.stat().st_mode))
        return detect(path)

    monkeypatch.setattr(FileParser, "detect_format", staticmethod(look))
    read_content(dicom(SMALL))
    assert modes == [0o600]


@pytest.mark.parametrize(
    "content",
    [b"%PDF-1.7", scp(SMALL)[:-50], dicom(SMALL)[:2000], aecg(SMALL)[:-30], philips_xml(SMALL, compression="ZIP")],
)
def test_bytes_that_are_refused_leave_no_file_and_no_path_in_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(SenderError) as refused:
        read_content(content)
    assert str(tmp_path) not in refused.value.message
    assert "ecg-" not in refused.value.message
    assert list(tmp_path.iterdir()) == []


def test_too_many_bytes_are_refused_before_they_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(TooLarge):
        read_content(bytes(MAX_FILE_BYTES + 1))


def test_no_room_for_a_temporary_file_is_our_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(StorageUnavailable):
        read_content(dicom(SMALL))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_our_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "NamedTemporaryFile", lambda **_: Path("/dev/full").open("wb"))  # noqa: SIM115
    with pytest.raises(StorageUnavailable, match="No space"):
        read_content(dicom(SMALL))

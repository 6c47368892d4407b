from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference.errors import (
    InvalidContent,
    LeadsMissing,
    Malformed,
    SamplingRateInvalid,
    SenderError,
    SignalMalformed,
    UnitMissing,
    UnitUnsupported,
)
from inference.formats.csv import read
from inference.recording import LEADS, Sex

STATED = "# unit: uV\n# sampling_rate: 250\n"


def _table(delimiter: str = ",", header: tuple[str, ...] = LEADS, rows: int = 4) -> str:
    """Cell of row n and column i is 100 i + n."""
    cells = [[str(100 * i + n) for i in range(len(header))] for n in range(rows)]
    return "\n".join(delimiter.join(row) for row in [list(header), *cells]) + "\n"


def _file(folder: Path, text: str) -> Path:
    path = folder / "ecg.csv"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_with_stated_unit_and_rate_is_read(tmp_path: Path, delimiter: str) -> None:
    recording = read(_file(tmp_path, STATED + _table(delimiter)))
    assert recording.sampling_rate == 250
    np.testing.assert_allclose(recording.signal[3], [0.3, 0.301, 0.302, 0.303], rtol=1e-6)


def test_arguments_win_over_comment_lines(tmp_path: Path) -> None:
    recording = read(_file(tmp_path, STATED + _table()), unit="mV", sampling_rate=500)
    assert recording.sampling_rate == 500
    assert recording.signal[3, 0] == 300


def test_a_missing_unit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnitMissing):
        read(_file(tmp_path, "# sampling_rate: 250\n" + _table()))


def test_an_unknown_unit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnitUnsupported):
        read(_file(tmp_path, _table()), unit="adu", sampling_rate=500)


@pytest.mark.parametrize(
    "stated", ["", "# sampling_rate: fast\n", "# sampling_rate: 0.002\n", "# sampling_rate: nan\n"]
)
def test_a_missing_or_senseless_rate_is_refused(tmp_path: Path, stated: str) -> None:
    with pytest.raises(SamplingRateInvalid):
        read(_file(tmp_path, "# unit: mV\n" + stated + _table()))


def test_age_and_sex_may_stand_in_comments(tmp_path: Path) -> None:
    recording = read(_file(tmp_path, STATED + "# age: 60\n# sex: female\n" + _table()))
    assert (recording.age, recording.sex) == (60, Sex.FEMALE)


def test_header_names_are_taken_as_leads_in_any_case_and_order_and_others_left_out(tmp_path: Path) -> None:
    header = ("time", *(lead.upper() for lead in reversed(LEADS)))
    recording = read(_file(tmp_path, STATED + _table(header=header)))
    np.testing.assert_allclose(recording.signal[:, 0], np.arange(12, 0, -1) / 10, rtol=1e-6)


def test_what_stands_in_other_columns_does_not_matter(tmp_path: Path) -> None:
    text = _table(header=("time", *LEADS)).replace("\n0,", "\n00:00:00.000,")
    assert read(_file(tmp_path, STATED + text)).signal.shape == (12, 4)


def test_an_empty_cell_is_an_invalid_sample(tmp_path: Path) -> None:
    recording = read(_file(tmp_path, STATED + _table().replace(",302,", ",,")))
    assert np.isnan(recording.signal[3, 2])
    assert np.isfinite(recording.signal).sum() == 47


def test_missing_leads_are_named(tmp_path: Path) -> None:
    with pytest.raises(LeadsMissing, match="V6"):
        read(_file(tmp_path, STATED + _table(header=LEADS[:11])))


def test_a_lead_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidContent, match="twice"):
        read(_file(tmp_path, STATED + _table(header=(*LEADS, "Lead I"))))


@pytest.mark.parametrize(("old", "new"), [("302", "abc"), ("302", "0x1"), (",302,", ",302,1,")])
def test_a_bad_line_is_named_by_its_number(tmp_path: Path, old: str, new: str) -> None:
    with pytest.raises(SignalMalformed, match="line 6"):
        read(_file(tmp_path, STATED + _table().replace(old, new)))


@pytest.mark.parametrize("text", ["", STATED, STATED + ",".join(LEADS) + "\n"])
def test_a_table_without_rows_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(Malformed):
        read(_file(tmp_path, text), unit="mV", sampling_rate=500)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "ecg.csv"
    path.write_bytes(b"\xff\xfe\x00I,II")
    with pytest.raises(Malformed):
        read(path, unit="mV", sampling_rate=500)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Malformed, match=r"none\.csv"):
        read(tmp_path / "none.csv", unit="mV", sampling_rate=500)


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    assert read(_file(tmp_path, "\ufeff" + STATED + _table())).sampling_rate == 250


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.integers(0, 400), length=st.integers(0, 40), damage=st.text(st.characters(codec="utf-8"), max_size=10))
def test_a_damaged_table_is_read_or_refused_and_nothing_else(
    tmp_path: Path, start: int, length: int, damage: str
) -> None:
    text = STATED + _table()
    try:
        recording = read(_file(tmp_path, text[:start] + damage + text[start + length :]))
    except SenderError:
        return
    assert recording.signal.shape[0] == 12

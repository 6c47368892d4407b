import csv
from pathlib import Path

import pytest

from actions.sctid import is_concept_id
from inference.labels import CONCLUSION_CODES, ECG_NORMAL


@pytest.mark.parametrize("code", [coding.code for coding in (ECG_NORMAL, *CONCLUSION_CODES.values())])
def test_the_codes_we_send_are_concept_identifiers(code: str) -> None:
    assert is_concept_id(code)


@pytest.mark.parametrize("table", ["dx_mapping_scored.csv", "dx_mapping_unscored.csv"])
def test_every_code_of_the_published_ecg_tables_is_accepted(shared_data: Path, table: str) -> None:
    with (shared_data / "chapman" / table).open() as lines:
        codes = [row["SNOMEDCTCode"] for row in csv.DictReader(lines)]
    assert codes
    assert [code for code in codes if not is_concept_id(code)] == []


def test_any_single_wrong_digit_is_found() -> None:
    code = "164865005"
    wrong = [code[:i] + digit + code[i + 1 :] for i in range(len(code)) for digit in "0123456789" if digit != code[i]]
    assert [w for w in wrong if is_concept_id(w)] == []


def test_two_neighbouring_digits_swapped_are_found() -> None:
    code = "268400002"
    swapped = [code[:i] + code[i + 1] + code[i] + code[i + 2 :] for i in range(len(code) - 1) if code[i] != code[i + 1]]
    assert swapped
    assert [s for s in swapped if is_concept_id(s)] == []


@pytest.mark.parametrize("code", ["", "12345", "1" * 19, "2684 0002", "²68400002", "26840000x"])
def test_what_has_not_the_form_of_an_identifier_is_refused(code: str) -> None:
    assert not is_concept_id(code)


def test_a_description_identifier_is_no_concept() -> None:
    # 751689013 is a description (partition 01), check digit right: SNOMED CT Release File Specifications, SCTID.
    assert not is_concept_id("751689013")

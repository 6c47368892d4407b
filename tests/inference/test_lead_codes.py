import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.lead_codes import LEAD_CODES, lead_of, mdc_code
from inference.recording import LEADS


@pytest.mark.parametrize(
    ("code", "text", "lead"),
    [
        ("131329", None, "I"),
        ("131073", None, "I"),
        ("131389", None, "III"),
        ("131136", None, "aVF"),
        ("131336", None, "V6"),
        ("131080", None, "V6"),
        ("MDC_ECG_LEAD_I", None, "I"),
        ("MDC_ECG_ELEC_POTL_aVR", None, "aVR"),
        ("MDC_ECG_ELEC_POTL_AVR", None, "aVR"),
        (None, "MDC_ECG_LEAD_V3", "V3"),
        (None, "AVR", "aVR"),
        (None, "Lead I", "I"),
        (None, "lead II", "II"),
        (None, "DI", "I"),
        (None, "DIII", "III"),
        ("local-7", "aVL", "aVL"),
        ("V2", None, "V2"),
    ],
)
def test_codes_and_texts_name_their_lead(code: str | None, text: str | None, lead: str) -> None:
    assert lead_of(code, text) == lead


def test_the_code_wins_over_a_display_that_public_examples_get_wrong() -> None:
    assert lead_of("131389", "MDC_ECG_ELEC_POTL_AVR") == "III"
    assert lead_of("131392", "aVR") == "aVF"


@pytest.mark.parametrize("code", ["131328", "131395", "131072", "131137", "MDC_ECG_LEAD_V7", "MDC_ECG_ELEC_POTL_V3R"])
def test_an_mdc_code_of_another_lead_is_none_whatever_the_text_says(code: str) -> None:
    assert lead_of(code, "V1") is None


@pytest.mark.parametrize("text", ["-aVR", "aVRneg", "IV", "V7", "X", "", "time", "Leader I", "V1 V2"])
def test_a_text_that_is_no_lead_of_the_twelve_is_none(text: str) -> None:
    assert lead_of(None, text) is None


def test_both_families_hold_all_leads_and_are_256_apart() -> None:
    assert sorted(LEAD_CODES.values()) == sorted(LEADS * 2)
    for lead in LEADS:
        assert lead_of(mdc_code(lead)) == lead
        assert lead_of(str(int(mdc_code(lead)) - 256)) == lead


@given(st.none() | st.text(), st.none() | st.text())
def test_anything_is_a_lead_or_none(code: str | None, text: str | None) -> None:
    assert lead_of(code, text) in {*LEADS, None}

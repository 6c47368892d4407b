import pytest
from hypothesis import given
from hypothesis import strategies as st

from actions.code_forms import CODE_FORMS, is_atc_substance, is_loinc, is_rxcui

# In use elsewhere in this project, or in public tables: 18752-6 exercise stress test, C07AA07 and 9947 sotalol.
LOINC_CODES = ["11524-6", "8867-4", "8625-6", "8633-0", "8634-8", "76634-5", "18752-6"]


@pytest.mark.parametrize("code", LOINC_CODES)
def test_a_loinc_code_is_recognised(code: str) -> None:
    assert is_loinc(code)


@given(code=st.sampled_from(LOINC_CODES), place=st.integers(0, 7), digit=st.sampled_from("0123456789"))
def test_any_single_wrong_digit_of_a_loinc_code_is_found(code: str, place: int, digit: str) -> None:
    if place < len(code) and code[place] not in ("-", digit):
        assert not is_loinc(code[:place] + digit + code[place + 1 :])


@pytest.mark.parametrize("code", ["", "11524", "11524-", "-6", "11524-66", "1152 4-6", "11524-6\n", "1152\u0664-6"])
def test_what_is_formed_otherwise_is_no_loinc_code(code: str) -> None:
    assert not is_loinc(code)


def test_an_atc_code_is_that_of_a_substance() -> None:
    assert is_atc_substance("C07AA07")
    assert [c for c in ("C07AA", "c07aa07", "C07AA007", "C07AA7", "C07AA07 ", "C07A407") if is_atc_substance(c)] == []


def test_an_rxnorm_identifier_is_a_number() -> None:
    assert is_rxcui("9947")
    assert [c for c in ("", "0", "09947", "C0037707", "9947 ", "123456789") if is_rxcui(c)] == []


def test_every_terminology_with_a_known_form_says_what_a_code_of_it_is() -> None:
    assert all(name and callable(recognise) for name, recognise in CODE_FORMS.values())

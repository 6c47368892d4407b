import pytest
from hypothesis import given
from hypothesis import strategies as st

from interop.media import media_type, preferred, ranges

OFFERED = {"application/json": "application/json", "*/*": "application/json"}


def test_names_are_lower_case_and_quotes_are_taken_off() -> None:
    assert media_type('Application/FHIR+JSON; Charset="UTF-8"') == ("application/fhir+json", {"charset": "UTF-8"})


def test_the_most_wanted_range_comes_first_and_a_forbidden_one_not_at_all() -> None:
    assert ranges("text/html;q=0.5, application/json, image/png;q=0") == ["application/json", "text/html;q=0.5"]


def test_without_an_accept_header_anything_goes() -> None:
    assert ranges(None) == ["*/*"]


@pytest.mark.parametrize("accept", ["application/json", "text/html, */*;q=0.1", None])
def test_an_offered_type_is_found(accept: str | None) -> None:
    assert preferred(accept, OFFERED) == "application/json"


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "application/json;q=nonsense"])
def test_nothing_is_preferred_when_nothing_offered_is_wanted(accept: str) -> None:
    assert preferred(accept, OFFERED) is None


@given(st.text())
def test_any_header_is_read_without_an_error(text: str) -> None:
    preferred(text, OFFERED)

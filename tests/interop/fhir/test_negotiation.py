import pytest

from inference.errors import NotAcceptable, UnsupportedMediaType
from interop.fhir.negotiation import Return, answer_type, check_content_type, preferences


@pytest.mark.parametrize(
    "header",
    [
        "application/fhir+json",
        "application/json",
        "application/fhir+json; charset=utf-8",
        "application/fhir+json; fhirVersion=4.0",
        "Application/FHIR+JSON",
    ],
)
def test_fhir_json_and_plain_json_are_taken(header: str) -> None:
    check_content_type(header)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "text/plain",
        "application/fhir+xml",
        "application/fhir+json; charset=iso-8859-1",
        "application/fhir+json; fhirVersion=5.0",
    ],
)
def test_anything_else_is_an_unsupported_media_type(header: str | None) -> None:
    with pytest.raises(UnsupportedMediaType):
        check_content_type(header)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "application/fhir+json"),
        ("*/*", "application/fhir+json"),
        ("application/json", "application/json"),
        ("application/fhir+xml, application/fhir+json;q=0.8", "application/fhir+json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "application/fhir+json"),
        ("application/json;q=0.2, application/fhir+json;q=0.9", "application/fhir+json"),
        ("application/fhir+json;fhirVersion=4.0", "application/fhir+json"),
    ],
)
def test_the_answer_is_in_what_the_client_wants_most_of_what_we_have(accept: str | None, expected: str) -> None:
    assert answer_type(accept, None) == expected


@pytest.mark.parametrize("accept", ["application/fhir+xml", "text/html", "application/fhir+json;fhirVersion=5.0"])
def test_a_format_that_we_do_not_have_is_not_acceptable(accept: str) -> None:
    with pytest.raises(NotAcceptable):
        answer_type(accept, None)


@pytest.mark.parametrize("text", ["json", "application/fhir+json", "application/fhir json", "application/json"])
def test_the_format_parameter_overrides_accept(text: str) -> None:
    assert answer_type("application/fhir+xml", text).endswith("json")


def test_the_format_parameter_can_ask_for_what_we_do_not_have() -> None:
    with pytest.raises(NotAcceptable, match="xml"):
        answer_type("application/fhir+json", "xml")


@pytest.mark.parametrize(
    ("header", "returned", "strict"),
    [
        (None, Return.REPRESENTATION, False),
        ("return=minimal", Return.MINIMAL, False),
        ("return=OperationOutcome; handling=strict", Return.OPERATION_OUTCOME, True),
        ("respond-async, return=minimal, handling=lenient", Return.MINIMAL, False),
        ("return=nonsense", Return.REPRESENTATION, False),
    ],
)
def test_preferences_are_read_and_unknown_ones_ignored(header: str | None, returned: Return, strict: bool) -> None:
    found = preferences(header)
    assert (found.returned, found.strict) == (returned, strict)

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interop.hl7.fields import Separators, component, escape, separators_of, unescape, without_control

USUAL = Separators()


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        ("a\\F\\b\\S\\c\\R\\d\\E\\e\\T\\f", "a|b^c~d\\e&f"),
        ("one\\.br\\two", "one\ntwo"),
        ("\\H\\bold\\N\\", "bold"),
        ("\\X0D\\", "\r"),
        ("\\XC3BC\\", "ü"),
        ("\\Zunknown\\x", "x"),
        ("5\\ remains", "5\\ remains"),
        ("\\\\", "\\\\"),
        ("\\.sp+3\\", "\n"),
    ],
)
def test_escape_sequences_are_resolved(escaped: str, text: str) -> None:
    assert unescape(escaped, USUAL) == text


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])))
def test_escaped_text_reads_back_and_holds_no_delimiter(text: str) -> None:
    escaped = escape(text, USUAL)
    assert unescape(escaped, USUAL) == text
    assert not set(escaped) & set("|^~&\r\n\x0b\x1c")


@given(st.text())
def test_no_text_can_break_the_framing(text: str) -> None:
    assert not set(escape(text, USUAL)) & set("\r\n\x0b\x1c")
    assert not set(without_control(text)) & set("\r\n\x0b\x1c")


def test_components_and_subcomponents_are_counted_from_one() -> None:
    assert component("4711^^^GENERAL&2.16&ISO^MR", USUAL, 4, 2) == "2.16"
    assert component("4711^^^GENERAL", USUAL, 4) == "GENERAL"
    assert component("4711", USUAL, 5) == ""


def test_an_explicit_null_reads_as_absent() -> None:
    assert component('""', USUAL, 1) == ""


@pytest.mark.parametrize("msh", ["MSH||", "MSH|^~\\&#x|", "MSH|\x0b~\\&|", "MSH\r^~\\&\r"])
def test_delimiters_that_cannot_be_told_apart_are_none(msh: str) -> None:
    assert separators_of(msh) is None

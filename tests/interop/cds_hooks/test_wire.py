from hypothesis import given
from hypothesis import strategies as st

from actions.analysis import Urgency
from interop.cds_hooks.wire import MAX_LABEL, MAX_SUMMARY, Card, Suggestion, shortened
from tests.interop.cds_hooks.hooks import check

UUID = "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea"
TEXT = st.text(min_size=1, max_size=400)


@given(TEXT, TEXT, st.booleans())
def test_a_card_is_valid_whatever_its_texts(summary: str, label: str, has_suggestion: bool) -> None:
    action = {"type": "delete", "description": "d", "resourceId": "MedicationRequest/1"}
    suggestion = Suggestion(uuid=UUID, label=label, actions=(action,), recommended=True)
    card = Card(
        uuid=UUID,
        indicator="info",
        summary=summary,
        detail="d",
        source_label="s",
        topic={"code": "c"},
        analysis_id="a",
        findings=(("rule", Urgency.ROUTINE, ()),),
        suggestions=(suggestion,) if has_suggestion else (),
    )
    check({"cards": [card.as_json()]})


@given(st.text(), st.integers(2, 200))
def test_a_text_is_shortened_only_where_it_must_be_and_says_so(text: str, most: int) -> None:
    short = shortened(text, most)
    assert len(short) <= most
    assert short == text if len(text) <= most else short.endswith("…")


def test_the_limits_are_those_of_the_specification() -> None:
    assert MAX_SUMMARY < 140
    assert shortened("one two three", 9) == "one two…"
    assert MAX_LABEL == 80

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from interop.cds_hooks.markdown import items, plain, table

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1)


@given(TEXT)
def test_plain_text_is_one_paragraph_of_text_and_nothing_else(text: str) -> None:
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(f"a {plain(text)} z")
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    children = tokens[1].children or []
    assert {child.type for child in children} <= {"text", "text_special"}
    assert "".join(child.content for child in children).split() == ["a", *text.split(), "z"]


def test_a_table_and_a_list() -> None:
    assert table(("A", "B"), [("1|2", "x")]) == "| A | B |\n| --- | --- |\n| 1\\|2 | x |"
    assert items(["a", "**b**"]) == "- a\n- **b**"

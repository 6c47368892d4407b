"""GitHub-flavoured Markdown for the detail of a card."""

from collections.abc import Iterable, Sequence

_SPECIAL = str.maketrans({character: f"\\{character}" for character in "\\`*_[]<>#+|~&"})


def plain(text: str) -> str:
    """Text that is shown as it is: no character of it is markup, and it stays one line."""
    return " ".join(text.split()).translate(_SPECIAL)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; every cell is plain text."""
    lines = [head, ["---"] * len(head), *([plain(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def items(texts: Iterable[str]) -> str:
    """A list; the texts are Markdown."""
    return "\n".join(f"- {text}" for text in texts)

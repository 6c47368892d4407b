"""The pages of the site that are made of the code: by their place below docs/, where no such files are."""

import re
from collections.abc import Iterator
from pathlib import Path

from scripts.docs_capability import capability_files
from scripts.docs_cli import cli_page
from scripts.docs_rest import rest_files
from scripts.docs_tables import table

ROOT = Path(__file__).resolve().parents[1]
PURE = {
    "inference": "The ECG engine: a recording in, findings out. It knows no framework, no SQL and no sockets.",
    "actions": "Rules and the two use cases, `analyze` and `overread`. Pure like the engine, which it stands on.",
}
DECISION = re.compile(r"\A# (\d+):? (.+)\n")
CHOICE = re.compile(r"\*\*Choice\.\*\* (.+?[.:])(?:\s|$)", re.DOTALL)


def pages(docs: Path) -> dict[str, str | bytes]:
    """Every page and file that is made. docs: where the written ones are."""
    return {
        "reference/cli.md": cli_page(),
        **rest_files(),
        **capability_files(),
        **{f"reference/python/{package}.md": python_page(package) for package in PURE},
        "decisions/index.md": decisions_page(docs / "decisions"),
    }


def python_page(package: str) -> str:
    """Every public module of a pure package, which mkdocstrings fills."""
    parts = [f"# Python: {package}", PURE[package] + " Made from the code."]
    return "\n\n".join([*parts, *(f"::: {module}" for module in modules(package))]) + "\n"


def modules(package: str) -> Iterator[str]:
    """Their dotted names, the package itself left out."""
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        if len(parts) > 1:
            yield ".".join(parts)


def decisions_page(folder: Path) -> str:
    """The index of the decisions: number, title and the first sentence of the choice."""
    rows = []
    for path in sorted(folder.glob("[0-9]*.md")):
        text = path.read_text()
        title, choice = DECISION.match(text), CHOICE.search(text)
        assert title, path
        rows.append((title[1], f"[{title[2]}]({path.name})", choice[1].rstrip(":") if choice else ""))
    return (
        "# Decisions\n\nWhat could have been done otherwise, one page each: context, choice, alternatives, "
        "consequence. A decision that no longer holds is changed by a later one, which names it.\n\n"
        + table(("", "decision", "choice"), rows)
        + "\n"
    )

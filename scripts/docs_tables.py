"""Markdown tables, and the one diagram of docs/ as such a table: Mermaid's script would come from another host."""

import re
from collections.abc import Iterable, Sequence

MERMAID = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def cell(text: object) -> str:
    """A text that stays in its cell."""
    return " ".join(str(text).split()).replace("|", "\\|")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell(part) for part in line)} |" for line in lines)


def without_diagrams(markdown: str) -> str:
    """Each Mermaid graph as a table: what, in which group, made from what."""
    return MERMAID.sub(lambda found: graph_table(found[1]), markdown)


def graph_table(graph: str) -> str:
    """The table of one graph of `scripts/asset_graph.py`."""
    groups: dict[str, str] = {}
    made_from: dict[str, list[str]] = {}
    group = ""
    for line in map(str.strip, graph.splitlines()):
        if line.startswith("subgraph "):
            group = line.removeprefix("subgraph ")
        elif " --> " in line:
            source, _, name = line.partition(" --> ")
            made_from.setdefault(name, []).append(source)
        elif line and line != "end" and not line.startswith("graph "):
            groups[line] = group
    rows = [
        (group, f"`{name}`", ", ".join(f"`{one}`" for one in made_from.get(name, ()))) for name, group in groups.items()
    ]
    return table(("group", "asset", "made from"), rows)

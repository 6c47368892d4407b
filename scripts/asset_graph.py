"""The asset graph as a Mermaid diagram, for docs/orchestration.md: `python -m scripts.asset_graph`."""

import sys
from collections import defaultdict

from orchestration.definitions import ASSETS


def diagram() -> str:
    """Groups as boxes, dependencies as arrows."""
    specs = [spec for asset in ASSETS for spec in asset.specs]
    groups = defaultdict(list)
    for spec in specs:
        groups[spec.group_name].append(spec.key.to_user_string())
    lines = ["graph LR"]
    for group, names in groups.items():
        lines += [f"  subgraph {group}", *(f"    {name}" for name in names), "  end"]
    for spec in specs:
        name = spec.key.to_user_string()
        lines += [f"  {dep} --> {name}" for dep in sorted(d.asset_key.to_user_string() for d in spec.deps)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(diagram())

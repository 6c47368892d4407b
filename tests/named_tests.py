"""Tests that documents name as proof: `tests/x/test_y.py::test_z`."""

import ast
from functools import cache
from pathlib import Path

from tests.conftest import ROOT


def exists(test: str) -> bool:
    """Whether there is a function of that name in that file."""
    file, _, name = test.partition("::")
    return (ROOT / file).is_file() and name.startswith("test_") and name in _functions(ROOT / file)


@cache
def _functions(file: Path) -> frozenset[str]:
    tree = ast.parse(file.read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))

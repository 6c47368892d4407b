"""The documents of the shipped release are those that its card and the shipped rules give."""

import json
from pathlib import Path
from typing import Any

import pytest

from inference.artifact import CARD_FILE
from tests.conftest import ROOT
from training.documents import DOCUMENTS, documents, write_documents

RELEASES = [path.parent for path in sorted((ROOT / "models").glob(f"*/*/{CARD_FILE}"))]
ANEW = "`ecg-interop model documents NAME VERSION` writes them anew"


def card_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / CARD_FILE).read_text())
    return found


@pytest.mark.parametrize("folder", RELEASES, ids=lambda path: f"{path.parent.name}-{path.name}")
@pytest.mark.parametrize("name", DOCUMENTS)
def test_no_shipped_document_is_older_than_its_card_and_the_rules(folder: Path, name: str) -> None:
    assert (folder / name).read_text() == documents(card_of(folder))[name], ANEW


def test_a_figure_that_changes_changes_them(tmp_path: Path) -> None:
    card = card_of(RELEASES[-1])
    before = documents(card)
    card["metrics"]["test"]["macro_auc"]["value"] = 0.1234
    card["data"]["composition"]["splits"]["train"]["patients"] = 98765
    write_documents(tmp_path, card)
    changed = {name for name in DOCUMENTS if (tmp_path / name).read_text() != before[name]}
    assert changed == set(DOCUMENTS)
    assert "0.123" in (tmp_path / "README.md").read_text()
    assert "98,765" in (tmp_path / "DATASHEET.md").read_text()


def test_the_model_card_has_the_sections_of_mitchell_et_al() -> None:
    text = documents(card_of(RELEASES[-1]))["README.md"]
    assert [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")] == [
        "Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data",
        "Quantitative analyses", "Ethical considerations", "Caveats and recommendations",
    ]  # fmt: skip


def test_links_between_them_lead_somewhere() -> None:
    names = {*DOCUMENTS, CARD_FILE}
    for text in documents(card_of(RELEASES[-1])).values():
        links = {part.partition(")")[0] for part in text.split("](")[1:]}
        assert {link for link in links if not link.startswith("figures/")} <= names

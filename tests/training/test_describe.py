"""A release is described anew, on the real data that it learned from."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from inference.artifact import read_card
from tests.conftest import ROOT
from training.describe import describe
from training.documents import DOCUMENTS

SHIPPED = ROOT / "models/resnet18-ptbxl/0.3.0"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The card of the shipped release, alone."""
    shutil.copy(SHIPPED / "card.json", tmp_path)
    return tmp_path


def change(folder: Path, **data: Any) -> None:
    card = json.loads((folder / "card.json").read_text())
    card["data"] = {name: value for name, value in {**card["data"], **data}.items() if value is not None}
    (folder / "card.json").write_text(json.dumps(card))


def test_who_is_in_the_data_comes_onto_the_card_and_into_every_document(folder: Path, ptbxl: Path) -> None:
    change(folder, composition=None)
    describe(folder, ptbxl)
    assert read_card(folder) == read_card(SHIPPED)
    assert {name: (folder / name).read_text() for name in DOCUMENTS} == {
        name: (SHIPPED / name).read_text() for name in DOCUMENTS
    }


def test_data_that_the_model_did_not_learn_from_are_refused(folder: Path, small_ptbxl: Path) -> None:
    before = (folder / "card.json").read_bytes()
    with pytest.raises(ValueError, match="the model learned from"):
        describe(folder, small_ptbxl)
    assert (folder / "card.json").read_bytes() == before


def test_without_data_the_card_stays_and_the_documents_are_written(folder: Path) -> None:
    before = read_card(folder)
    describe(folder)
    assert read_card(folder) == before
    assert all((folder / name).is_file() for name in DOCUMENTS)

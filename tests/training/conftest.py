"""A PTB-XL folder that is small enough to train on in a test: real recordings, official layout."""

import csv
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch

from training.config import TrainingConfig
from training.export import Exported, export
from training.train import train

TINY = TrainingConfig(
    name="tiny",
    version="0.1.0",
    epochs=2,
    batch_size=8,
    threads=1,
    folds=2,
    members=2,
    member_epochs=2,
    trees=4,
    tree_depth=2,
    tree_leaves=4,
    tree_smallest_leaf=2,
)

SIZES = {"train": 12, "val": 8, "test": 6}


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Steps on a few recordings take longer when two threads wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def ptbxl(shared_data: Path) -> Path:
    """The real part of PTB-XL."""
    return shared_data / "ptbxl"


@pytest.fixture(scope="session")
def small_ptbxl(ptbxl: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`SIZES` recordings of each split at 100 Hz, without the 500 Hz files."""
    return write_small(ptbxl, tmp_path_factory.mktemp("ptbxl"))


def write_small(ptbxl: Path, folder: Path) -> Path:
    """`SIZES` recordings of each split into an empty folder."""
    (folder / "records100").symlink_to(ptbxl / "records100")
    (folder / "ptbxl_database.csv").symlink_to(ptbxl / "ptbxl_database.csv")
    with (ptbxl / "superclass_labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with (folder / "superclass_labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for split, size in SIZES.items():
            writer.writerows(_varied((row for row in rows if row["split"] == split), size))
    return folder


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared arrays, shared by all tests."""
    return tmp_path_factory.mktemp("cache")


def _varied(rows: Iterable[dict[str, str]], size: int) -> list[dict[str, str]]:
    """The first recordings that are not both normal: every class turns up among a few."""
    found: list[dict[str, str]] = []
    for row in rows:
        normal = sum(r["NORM"] == "1" for r in found)
        if row["NORM"] != "1" or normal < size // 3:
            found.append(row)
        if len(found) == size:
            break
    return found


@pytest.fixture(scope="session")
def finished_run(small_ptbxl: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of two short epochs."""
    out = tmp_path_factory.mktemp("run")
    train(TINY, small_ptbxl, out, cache=cache)
    return out


@pytest.fixture(scope="session")
def exported(finished_run: Path, small_ptbxl: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """That run, released."""
    return export(finished_run, small_ptbxl, tmp_path_factory.mktemp("models"), cache=cache)

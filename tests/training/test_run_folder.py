from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training.conftest import TINY
from training.config import TrainingConfig
from training.datasets.prepared import Prepared
from training.run_folder import CONFIG_FILE, claim

DATA = Prepared(
    signals=np.zeros((2, 12, 5000), np.float32),
    features=np.ones((2, 3), np.float32),
    labels=np.zeros((2, 5), np.float32),
    recording_ids=np.array(["a", "b"]),
)


def test_a_folder_remembers_the_recipe_and_takes_the_same_run_again(tmp_path: Path) -> None:
    claim(tmp_path / "run", TINY, DATA)
    claim(tmp_path / "run", TINY, DATA)
    assert TrainingConfig.load(tmp_path / "run" / CONFIG_FILE) == TINY


def test_another_recipe_is_refused(tmp_path: Path) -> None:
    claim(tmp_path, TINY, DATA)
    with pytest.raises(ValueError, match="another config"):
        claim(tmp_path, replace(TINY, seed=8), DATA)


@pytest.mark.parametrize(
    "other",
    [
        replace(DATA, features=DATA.features * 2),
        replace(DATA, labels=DATA.labels + 1),
        replace(DATA, recording_ids=np.array(["a", "c"])),
    ],
    ids=["features", "labels", "recordings"],
)
def test_other_data_is_refused(other: Prepared, tmp_path: Path) -> None:
    claim(tmp_path, TINY, DATA)
    with pytest.raises(ValueError, match="other recordings or features"):
        claim(tmp_path, TINY, other)

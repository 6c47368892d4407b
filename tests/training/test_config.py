from pathlib import Path

import pytest

from training.config import TrainingConfig


def test_a_config_survives_being_written_and_read(tmp_path: Path) -> None:
    config = TrainingConfig(seed=11, noise=0.25, name="other")
    path = tmp_path / "config.json"
    path.write_text(config.to_json())
    assert TrainingConfig.load(path) == config


def test_an_unknown_field_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"learning_rat": 1}')
    with pytest.raises(ValueError, match="learning_rat"):
        TrainingConfig.load(path)


@pytest.mark.parametrize(
    "values", [{"shortest_crop": 6.0}, {"longest_crop": 11.0}, {"epochs": 0}, {"batch_size": 0}, {"ema": 1.0}]
)
def test_a_recipe_that_cannot_run_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"crops|at least|ema"):
        TrainingConfig(**values)  # type: ignore[arg-type]

from dataclasses import asdict, fields, replace
from datetime import UTC, datetime

import pytest

from orchestration.config import GateConfig, Plan, RecipeConfig, ValidationConfig, changed
from training.config import TrainingConfig
from training.promotion import Limits, Waivable
from training.tracking import Fingerprint
from training.validation.limits import Limits as ValidationLimits

DATA = Fingerprint(dataset="ptbxl", version="1.0.3", recordings=2, sha256="0" * 64)
NOW = datetime(2026, 1, 5, tzinfo=UTC)


def test_every_field_of_the_recipe_can_be_set_and_has_its_default() -> None:
    assert RecipeConfig().recipe() == TrainingConfig()
    assert set(RecipeConfig.model_fields) == {f.name for f in fields(TrainingConfig)}
    assert RecipeConfig(epochs=3).recipe().epochs == 3


def test_a_recipe_without_folds_is_refused_because_fairness_could_not_be_judged() -> None:
    with pytest.raises(ValueError, match="0 folds"):
        RecipeConfig(folds=0).recipe()


def test_another_recipe_or_other_recordings_get_another_folder() -> None:
    plan = Plan(config=TrainingConfig(), data=DATA)
    other_recipe = replace(plan, config=TrainingConfig(seed=8))
    other_data = replace(plan, data=replace(DATA, sha256="1" * 64))
    assert len({plan.run, other_recipe.run, other_data.run}) == 3
    assert plan.run == Plan(config=TrainingConfig(), data=DATA).run


def test_the_gate_is_that_of_training_unless_told_otherwise() -> None:
    assert GateConfig().limits() == Limits()
    assert GateConfig().waiver(NOW) is None
    assert asdict(GateConfig(macro_auc=0.5).limits())["macro_auc"] == 0.5


def test_a_waiver_names_a_person_and_a_reason() -> None:
    with pytest.raises(ValueError, match="names a person"):
        GateConfig(waives=[Waivable.FAIRNESS]).waiver(NOW)


def test_limits_of_validation_keep_their_types() -> None:
    limits = ValidationConfig(limits={"min_group": 5, "max_minors": 0.5}).as_limits()
    assert limits == replace(ValidationLimits(), min_group=5, max_minors=0.5)
    assert isinstance(limits.min_group, int)


def test_only_what_differs_is_told() -> None:
    assert changed(TrainingConfig(epochs=3)) == {"epochs": 3}

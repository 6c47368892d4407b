import shutil
from pathlib import Path
from typing import Any

import pytest

from inference.artifact import load_artifact
from inference.labels import Superclass
from training.assessment import ReleaseAssessment, assess_release
from training.bootstrap import Interval
from training.export import Exported
from training.learning_curve import LearningPoint, curve_json

FIGURES_LIMIT = 1e6  # bytes of all figures beside a model
EVALUATION = ("roc", "precision-recall", "reliability", "confusion")


@pytest.fixture(scope="module")
def release(exported: Exported, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tiny release."""
    return shutil.copytree(exported.folder, tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def stages() -> list[str]:
    return []


@pytest.fixture(scope="module")
def assessed(
    release: Path,
    finished_run: Path,
    small_ptbxl: Path,
    shared_data: Path,
    cache: Path,
    stages: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> ReleaseAssessment:
    scratch = tmp_path_factory.mktemp("assessed")
    curve = scratch / "curve.json"
    curve.write_text(curve_json([LearningPoint(1, 12, {"trees": Interval(0.8, 0.7, 0.9)})]))
    return assess_release(
        release,
        finished_run,
        small_ptbxl,
        external={"chapman": shared_data / "chapman"},
        curve=curve,
        plots=scratch / "plots",
        cache=cache,
        on_stage=stages.append,
    )


@pytest.fixture(scope="module")
def card(assessed: ReleaseAssessment) -> dict[str, Any]:
    """As the service accepts it: with schema and checksums."""
    return dict(load_artifact(assessed.folder).card)


def test_the_card_tells_all_that_is_known_and_nothing_of_the_test_split(card: dict[str, Any]) -> None:
    assert set(card["metrics"]) == {"val", "out-of-fold", "external-chapman"}
    assert set(card["groups"]) == {"sex", "age"}
    assert set(card["calibration"]) == {c.value for c in Superclass}
    assert "test_looks" not in card


def test_fairness_is_judged_on_the_predictions_of_cross_validation(
    card: dict[str, Any], assessed: ReleaseAssessment
) -> None:
    assert assessed.fairness is not None
    assert card["fairness"]["recordings"] == assessed.fairness.recordings == 11
    assert card["fairness"]["left_out"] == {"sex or age unknown": 0, "under 18, outside of the intended use": 1}
    assert not card["fairness"]["passes"], "twelve recordings are too few to judge"
    assert card["fairness"]["remedies"][0]["remedy"] == assessed.prices[0].remedy == "as it is"


def test_every_figure_is_drawn_and_those_of_its_own_data_are_on_the_card(
    card: dict[str, Any], assessed: ReleaseAssessment
) -> None:
    own = {"training", "learning-curve", *(f"{name}-{of}" for name in EVALUATION for of in ("val", "out-of-fold"))}
    elsewhere = {f"{name}-external-chapman" for name in EVALUATION}
    drawn = {f"{name}.{kind}" for name in own | elsewhere for kind in ("png", "svg")}
    assert {path.name for path in assessed.plots.iterdir()} == drawn
    assert set(card["figures"]) == {f"figures/{name}.png" for name in own}
    files = list((assessed.folder / "figures").iterdir())
    assert {f"figures/{path.name}" for path in files} == set(card["figures"])
    assert sum(path.stat().st_size for path in files) < FIGURES_LIMIT


def test_the_readme_shows_it(card: dict[str, Any], assessed: ReleaseAssessment) -> None:
    text = (assessed.folder / "README.md").read_text()
    assert "**external-chapman**" in text
    assert "## Fairness" in text
    assert "### What a remedy would cost" in text
    assert "(figures/learning-curve.png)" in text
    assert f"| NORM | {card['calibration']['NORM']['temperature']:.3f} |" in text


def test_the_figures_for_tracking_are_those_of_the_card(card: dict[str, Any], assessed: ReleaseAssessment) -> None:
    expected = {f"{name}.macro_auc": found["macro_auc"]["value"] for name, found in card["metrics"].items()}
    assert dict(assessed.figures) == expected
    assert set(assessed.evaluations) == {"val", "external-chapman"}


def test_the_stages_are_told_in_their_order(assessed: ReleaseAssessment, stages: list[str]) -> None:
    assert stages == ["validation", "external check on chapman", "fairness", "figures"]


def test_what_cannot_be_judged_is_left_out(
    exported: Exported, finished_run: Path, small_ptbxl: Path, cache: Path, tmp_path: Path
) -> None:
    """A run without cross-validation has no honest predictions of the training recordings."""
    release = shutil.copytree(exported.folder, tmp_path / "model")
    run = tmp_path / "run"
    run.mkdir()
    shutil.copyfile(finished_run / "log.jsonl", run / "log.jsonl")
    found = assess_release(release, run, small_ptbxl, cache=cache)
    assert (found.fairness, found.prices) == (None, ())
    assert found.plots == run / "plots"
    assert not {"fairness", "calibration"} & set(load_artifact(release).card)


def test_without_ages_fairness_is_not_judged(
    exported: Exported, finished_run: Path, small_ptbxl: Path, cache: Path, tmp_path: Path
) -> None:
    data = tmp_path / "ageless"
    data.mkdir()
    (data / "records100").symlink_to(small_ptbxl / "records100")
    shutil.copyfile(small_ptbxl / "superclass_labels.csv", data / "superclass_labels.csv")
    release = shutil.copytree(exported.folder, tmp_path / "model")
    found = assess_release(release, finished_run, data, cache=tmp_path / "cache", plots=tmp_path / "plots")
    assert found.fairness is None
    assert "calibration" in load_artifact(release).card


def test_data_that_models_are_trained_on_are_no_external_check(
    release: Path, finished_run: Path, small_ptbxl: Path, cache: Path
) -> None:
    with pytest.raises(PermissionError, match="no external data"):
        assess_release(release, finished_run, small_ptbxl, external={"ptbxl": small_ptbxl}, cache=cache)

"""Training: a recipe, cross-validation, the model, and how good and how fair it is."""

from collections.abc import Iterator

import dagster as dg

from inference.artifact import CARD_FILE
from orchestration import metadata
from orchestration.assets.datasets import recordings
from orchestration.assets.features import prepared_signals
from orchestration.config import CurveConfig, Plan, RecipeConfig, changed
from orchestration.partitions import CHECKED_AGAINST, TRAINED_ON, of
from orchestration.pools import CORES
from orchestration.progress import to_log
from orchestration.resources import DataFolders, Mlflow, Workspace
from training import cross_validate, learning_curve, train
from training.assessment import assess_release
from training.datasets.entry import Split
from training.datasets.prepared import load_prepared
from training.epochs import Epoch
from training.release import Named
from training.scores import macro_auc
from training.tracking import Fingerprint
from training.validation.report import ValidationReport, require_valid

GROUP = "training"
CURVE_FILE = "learning_curve.json"

TRAINED = dg.AssetIn(partition_mapping=of(TRAINED_ON))
PREPARED = dg.AssetDep(prepared_signals, partition_mapping=of(TRAINED_ON))


@dg.asset(group_name=GROUP, pool=CORES, ins={"recordings": TRAINED, "validation_report": TRAINED}, kinds={"python"})
def recipe(
    config: RecipeConfig, recordings: Fingerprint, validation_report: ValidationReport
) -> dg.MaterializeResult[Plan]:
    """What the next training does, on which recordings. Everything after it follows the last one that was made."""
    require_valid(validation_report)
    plan = Plan(config=config.recipe(), data=recordings)
    return dg.MaterializeResult(
        value=plan, metadata={"run": plan.run, "differs from the defaults": changed(plan.config)}
    )


@dg.asset(group_name=GROUP, pool=CORES, deps=[PREPARED], kinds={"pytorch"})
def cross_validation(
    context: dg.AssetExecutionContext, recipe: Plan, data_folders: DataFolders, workspace: Workspace
) -> dg.MaterializeResult[None]:
    """Predictions for every training recording by networks that saw none of the patient's: they decide on the blend,
    and fairness is judged on them."""
    found = data_folders.open(TRAINED_ON)
    result = cross_validate.cross_validate(
        recipe.config,
        found.training_entries(),
        workspace.run(recipe),
        cache=workspace.cache,
        workers=workspace.workers,
        drop_unusable=not found.curated,
        on_prepared=to_log(context, "prepared"),
        on_fold=lambda fold: context.log.info("fold %s of %s", fold + 1, recipe.config.folds),
    )
    score = macro_auc(result.labels, result.probabilities)
    return dg.MaterializeResult(metadata={"macro-AUC out of fold": score, "recordings": len(result.labels)})


@dg.asset(group_name=GROUP, pool=CORES, deps=[cross_validation], kinds={"pytorch"})
def trained_model(
    context: dg.AssetExecutionContext, recipe: Plan, data_folders: DataFolders, workspace: Workspace, mlflow: Mlflow
) -> dg.MaterializeResult[None]:
    """The weights, by the function that `ecg-interop train` calls; its folds are those of the cross-validation."""
    folder = workspace.run(recipe)
    with mlflow.training_run(recipe, folder) as run:

        def on_epoch(epoch: Epoch) -> None:
            run.epoch(epoch)
            context.log.info("epoch %s: loss %.3f, val %.3f", epoch.number + 1, epoch.loss, epoch.macro_auc)

        result = train.train(
            recipe.config,
            data_folders.open(TRAINED_ON).folder,
            folder,
            kind=TRAINED_ON,
            workers=workspace.workers,
            cache=workspace.cache,
            on_prepared=to_log(context, "prepared"),
            on_stage=lambda stage: context.log.info("%s", stage),
            on_epoch=on_epoch,
        )
    return dg.MaterializeResult(
        metadata={
            "macro-AUC val": result.macro_auc,
            "best epoch of the signal": result.best.number + 1,
            "weights": result.weights,
            "MLflow run": run.id,
        }
    )


@dg.asset(group_name=GROUP, pool=CORES, deps=[PREPARED], name="learning_curve", kinds={"pytorch"})
def curve(
    context: dg.AssetExecutionContext,
    config: CurveConfig,
    recipe: Plan,
    data_folders: DataFolders,
    workspace: Workspace,
) -> dg.MaterializeResult[None]:
    """How the score grows with the number of training recordings."""
    found, folder = data_folders.open(TRAINED_ON), workspace.run(recipe)
    data, val = (
        load_prepared(entries, workspace.cache, workers=workspace.workers, drop_unusable=not found.curated)
        for entries in (found.training_entries(), found.entries(Split.VAL))
    )
    points = learning_curve.learning_curve(
        recipe.config,
        data,
        val,
        folder / "learning_curve",
        shares=config.shares,
        signal=config.signal,
        on_point=lambda point: context.log.info("%s recordings done", point.recordings),
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CURVE_FILE).write_text(learning_curve.curve_json(points))
    return dg.MaterializeResult(metadata={"points": metadata.curve(points), "file": folder / CURVE_FILE})


@dg.multi_asset(
    group_name=GROUP,
    pool=CORES,
    specs=[
        dg.AssetSpec(
            "evaluation",
            deps=["recipe", "release"],
            description="Scores, calibration and plots on the validation fold.",
        ),
        dg.AssetSpec(
            "external_evaluation",
            deps=["recipe", "release", dg.AssetDep(recordings, partition_mapping=of(CHECKED_AGAINST))],
            description="The release on another source, none of which it has seen; left out where that is not there.",
        ),
        dg.AssetSpec(
            "fairness",
            deps=["recipe", "release"],
            description="Urgent results by sex and age, judged out of fold, and remedies.",
        ),
    ],
)
def assessment(
    context: dg.AssetExecutionContext,
    recipe: Plan,
    release: Named,
    data_folders: DataFolders,
    workspace: Workspace,
    mlflow: Mlflow,
) -> Iterator[dg.MaterializeResult[None]]:
    """Everything that can be said of a release without the test fold, into its card and to MLflow."""
    folder = workspace.release(release)
    run = workspace.run(recipe)
    external = data_folders.find(CHECKED_AGAINST)
    curve_file = run / CURVE_FILE
    found = assess_release(
        folder,
        run,
        data_folders.open(TRAINED_ON).folder,
        external={CHECKED_AGAINST: external.folder} if external else None,
        curve=curve_file if curve_file.is_file() else None,
        cache=workspace.cache,
        workers=workspace.workers,
        on_stage=lambda stage: context.log.info("%s", stage),
        on_prepared=to_log(context, "prepared"),
    )
    with mlflow.training_run(recipe, run) as tracked:
        tracked.figures(**found.figures)
        tracked.plots(found.plots)
        tracked.file(folder / CARD_FILE)
    yield dg.MaterializeResult(asset_key="evaluation", metadata=metadata.evaluation(found))
    absent = data_folders.absent(CHECKED_AGAINST)
    yield dg.MaterializeResult(asset_key="external_evaluation", metadata=metadata.external(found, absent))
    yield dg.MaterializeResult(asset_key="fairness", metadata=metadata.fairness(found))


ASSETS = [recipe, cross_validation, trained_model, curve, assessment]

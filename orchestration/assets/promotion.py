"""Promotion: a release, the gate, and the champion."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from orchestration import metadata
from orchestration.assets.training import trained_model
from orchestration.checks import gate_results, gate_specs
from orchestration.config import EvaluationConfig, GateConfig, Plan
from orchestration.partitions import TRAINED_ON
from orchestration.pools import CORES
from orchestration.progress import to_log
from orchestration.resources import DataFolders, Mlflow, Workspace
from training import evaluate
from training import release as releases
from training.datasets.entry import Split
from training.export import export
from training.promotion import Verdict, judge
from training.registry import Registry
from training.release import Named
from training.tracking import run_id

GROUP = "promotion"


@dg.asset(group_name=GROUP, pool=CORES, deps=[trained_model], kinds={"onnx"})
def release(
    recipe: Plan, data_folders: DataFolders, workspace: Workspace, mlflow: Mlflow
) -> dg.MaterializeResult[Named]:
    """The model as files that the service runs: ONNX held against torch, int8 if it is good enough, and the card. A
    candidate in the registry."""
    value = Named(recipe.config.name, recipe.config.version)
    workspace.may_be_released(value)
    run = workspace.run(recipe)
    made = export(run, data_folders.open(TRAINED_ON).folder, workspace.models_folder, cache=workspace.cache)
    registered = Registry(mlflow.tracking).register(made.folder, run_id(run))
    return dg.MaterializeResult(
        value=value,
        metadata={
            "folder": made.folder,
            "largest difference of ONNX and torch": made.parity,
            "int8 released": made.int8.released,
            "int8 loses in macro-AUC": made.int8.comparison.auc_loss,
            "registry": f"{registered.name} version {registered.number}",
            "card": metadata.readme(made.folder),
        },
    )


@dg.asset(group_name=GROUP, pool=CORES, deps=["evaluation"], kinds={"onnx"})
def test_evaluation(
    context: dg.AssetExecutionContext,
    config: EvaluationConfig,
    release: Named,
    data_folders: DataFolders,
    workspace: Workspace,
) -> dg.MaterializeResult[None]:
    """The one look at the test fold that a model has, if the run asks for it; it is recorded."""
    if not config.look_at_test:
        return dg.MaterializeResult(metadata={"status": "not looked at: look_at_test is false"})
    found = evaluate.evaluate(
        workspace.release(release),
        data_folders.open(TRAINED_ON).folder,
        Split.TEST,
        looks=workspace.models_folder / evaluate.LOOKS_FILE,
        cache=workspace.cache,
        on_prepared=to_log(context, "prepared"),
    )
    return dg.MaterializeResult(
        metadata={
            "status": "looked at",
            "macro-AUC": found.assessment.macro_auc.value,
            "scores": metadata.scores(found.assessment),
        }
    )


@dg.asset(
    group_name=GROUP,
    pool=CORES,
    deps=["evaluation", "external_evaluation", "fairness", test_evaluation],
    check_specs=gate_specs("promotion_verdict"),
    kinds={"python"},
)
def promotion_verdict(
    config: GateConfig, release: Named, workspace: Workspace
) -> Iterator[dg.MaterializeResult[Verdict]]:
    """What the gate says of a release: each condition is a check. One that fails and is not waived stops it."""
    evidence = releases.gather(workspace.release(release))
    verdict = judge(evidence, config.waiver(datetime.now(UTC)), config.limits())
    yield dg.MaterializeResult(
        value=verdict,
        check_results=gate_results(verdict),
        metadata={
            "promoted": verdict.promoted,
            "conditions": metadata.gate(verdict),
            "in the way": [finding.text for finding in verdict.failures],
            "waived": verdict.says or "nothing",
        },
    )


@dg.asset(group_name=GROUP, pool=CORES, kinds={"python"})
def champion(
    context: dg.AssetExecutionContext,
    release: Named,
    promotion_verdict: Verdict,
    workspace: Workspace,
    mlflow: Mlflow,
) -> dg.MaterializeResult[None]:
    """The model that is served: card and registry say so, and the pointer that running services follow."""
    waiver, at = promotion_verdict.waiver, datetime.now(UTC)
    by, reason = (waiver.by, waiver.reason) if waiver else ("dagster", f"run {context.run_id}")
    folder = releases.apply_verdict(workspace.models_folder, release, promotion_verdict, by=by, reason=reason, at=at)
    registered = Registry(mlflow.tracking).register(folder)
    releases.point_to(workspace.models_folder, release, by=by, reason=reason, at=at)
    return dg.MaterializeResult(
        metadata={"model": f"{release.name} {release.version}", "by": by, "aliases": list(registered.aliases)}
    )


ASSETS = [release, test_evaluation, promotion_verdict, champion]

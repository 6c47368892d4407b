"""Features: the feature store in Parquet, and the arrays that the network learns from."""

import dagster as dg

from orchestration.partitions import DATA_SETS
from orchestration.pools import CORES
from orchestration.progress import to_log
from orchestration.resources import DataFolders, Workspace
from training.datasets.entry import Split
from training.datasets.prepared import load_prepared
from training.feature_store import FeatureStore
from training.validation.report import ValidationReport, require_valid

GROUP = "features"


@dg.asset(group_name=GROUP, pool=CORES, partitions_def=DATA_SETS, kinds={"parquet"})
def clinical_features(
    context: dg.AssetExecutionContext,
    validation_report: ValidationReport,
    data_folders: DataFolders,
    workspace: Workspace,
) -> dg.MaterializeResult[None]:
    """One row of clinical features for each recording, the same as the service extracts; no labels."""
    require_valid(validation_report)
    found = data_folders.open(context.partition_key)
    entries = [*found.training_entries(), *found.entries(Split.VAL), *found.sealed_entries()]
    store = FeatureStore(workspace.features)
    done = store.update(entries, workers=workspace.workers, progress=to_log(context, "features"))
    return dg.MaterializeResult(
        metadata={
            "added": done.added,
            "present": done.present,
            "dropped": len(done.dropped),
            "partition": store.partition(context.partition_key),
        }
    )


@dg.asset(group_name=GROUP, pool=CORES, partitions_def=DATA_SETS, deps=[clinical_features], kinds={"numpy"})
def prepared_signals(
    context: dg.AssetExecutionContext,
    validation_report: ValidationReport,
    data_folders: DataFolders,
    workspace: Workspace,
) -> dg.MaterializeResult[None]:
    """Signals and features of the training and the validation split as arrays, kept on disk."""
    require_valid(validation_report)
    found = data_folders.open(context.partition_key)
    sizes: dict[str, int] = {}
    for split, entries in ((Split.TRAIN, found.training_entries()), (Split.VAL, found.entries(Split.VAL))):
        prepared = load_prepared(
            entries,
            workspace.cache,
            to_log(context, f"{split} prepared"),
            workers=workspace.workers,
            drop_unusable=not found.curated,
            features=FeatureStore(workspace.features),
        )
        sizes |= {f"{split} rows": len(prepared), f"{split} dropped": len(prepared.dropped)}
    return dg.MaterializeResult(metadata=sizes)


ASSETS = [clinical_features, prepared_signals]

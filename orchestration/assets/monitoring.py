"""Monitoring: what live traffic is compared with, and what live results say of the model."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import dagster as dg

from orchestration import metadata
from orchestration.checks import flag_results, flag_specs
from orchestration.config import WindowConfig
from orchestration.partitions import TRAINED_ON
from orchestration.pools import CORES
from orchestration.progress import to_log
from orchestration.resources import DataFolders, ServiceStore, Workspace
from training.datasets.entry import Split
from training.monitoring.drift import DriftMonitor
from training.monitoring.run import MONITORS, Monitor, run
from training.reference import reference_of, release_reference
from training.release import Named

GROUP = "monitoring"


@dg.asset(group_name=GROUP, pool=CORES, deps=["evaluation"], kinds={"parquet"})
def reference_profile(
    context: dg.AssetExecutionContext, release: Named, data_folders: DataFolders, workspace: Workspace
) -> dg.MaterializeResult[None]:
    """Features, quality, probabilities and decisions of a release, beside it: what live traffic is compared with."""
    folder, data = workspace.release(release), data_folders.open(TRAINED_ON)
    reference = reference_of(
        folder,
        data.entries(Split.TRAIN),
        data.entries(Split.VAL),
        now=datetime.now(UTC),
        on_read=to_log(context, "reading recordings"),
    )
    file = release_reference(reference, folder)
    return dg.MaterializeResult(
        metadata={
            "file": file,
            "source": reference.source,
            "inputs": len(reference.inputs),
            "outputs": len(reference.outputs),
            "right": {name: round(right / of, 4) for name, (right, of) in reference.agreement.items()},
        }
    )


@dg.asset(group_name=GROUP, check_specs=flag_specs("drift_report"), kinds={"json"})
def drift_report(
    config: WindowConfig, service_store: dg.ResourceParam[ServiceStore]
) -> Iterator[dg.MaterializeResult[None]]:
    """The newest live ECGs and results against the reference of the model that serves; its page and alerts too."""
    monitors = {"drift": DriftMonitor(service_store.reference())}
    yield _report("drift", config, service_store, monitors)


@dg.asset(group_name=GROUP, check_specs=flag_specs("bias_report"), kinds={"json"})
def bias_report(
    config: WindowConfig, service_store: dg.ResourceParam[ServiceStore]
) -> Iterator[dg.MaterializeResult[None]]:
    """Urgent rates, errors and AUC of women and men, young and old, in the service's store; its alerts too."""
    yield _report("bias", config, service_store)


@dg.asset(group_name=GROUP, check_specs=flag_specs("performance_report"), kinds={"json"})
def performance_report(
    config: WindowConfig, service_store: dg.ResourceParam[ServiceStore]
) -> Iterator[dg.MaterializeResult[None]]:
    """AUC and calibration by over-reads, errors and latency of live results, in the service's store; its alerts too."""
    yield _report("performance", config, service_store)


@dg.asset(group_name=GROUP, check_specs=flag_specs("shadow_report"), kinds={"json"})
def shadow_report(
    config: WindowConfig, service_store: dg.ResourceParam[ServiceStore]
) -> Iterator[dg.MaterializeResult[None]]:
    """A model in shadow mode against the one that serves. Where none ran the report says so, and nothing is flagged."""
    yield _report("shadow", config, service_store)


def _report(
    kind: str, config: WindowConfig, service_store: ServiceStore, monitors: Mapping[str, Monitor] = MONITORS
) -> dg.MaterializeResult[None]:
    with service_store.opened() as store:
        report = run(kind, store, now=datetime.now(UTC), days=config.days, monitors=monitors)
    told = service_store.send_due()
    return dg.MaterializeResult(check_results=flag_results(report), metadata=metadata.monitoring(report, told))


ASSETS = [reference_profile, drift_report, bias_report, performance_report, shadow_report]

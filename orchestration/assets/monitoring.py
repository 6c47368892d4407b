"""Monitoring: what live traffic is compared with, and what live results say of the model."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from orchestration import metadata
from orchestration.checks import flag_results, flag_specs
from orchestration.config import WindowConfig
from orchestration.partitions import TRAINED_ON
from orchestration.progress import to_log
from orchestration.resources import DataFolders, ServiceStore, Workspace
from training.datasets.entry import Split
from training.monitoring.run import run
from training.reference import reference_profile as profile_of
from training.reference import write_profile
from training.release import Named

GROUP = "monitoring"


@dg.asset(group_name=GROUP, deps=["evaluation"], kinds={"json"})
def reference_profile(
    context: dg.AssetExecutionContext, release: Named, data_folders: DataFolders, workspace: Workspace
) -> dg.MaterializeResult[None]:
    """Features, quality, probabilities and decisions of a release on its validation fold, as distributions."""
    profile = profile_of(
        workspace.release(release),
        data_folders.open(TRAINED_ON).entries(Split.VAL),
        cache=workspace.cache,
        on_read=to_log(context, "quality of recordings"),
    )
    file = write_profile(profile, workspace.profiles / f"{release.name}-{release.version}.json")
    return dg.MaterializeResult(
        metadata={
            "file": file,
            "recordings": profile.recordings,
            "decided": {name: round(found.decided, 4) for name, found in profile.classes.items()},
            "quality": {name: round(share, 4) for name, share in profile.quality.items()},
        }
    )


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


def _report(kind: str, config: WindowConfig, service_store: ServiceStore) -> dg.MaterializeResult[None]:
    with service_store.opened() as store:
        report = run(kind, store, now=datetime.now(UTC), days=config.days)
    return dg.MaterializeResult(check_results=flag_results(report), metadata=metadata.monitoring(report))


ASSETS = [reference_profile, bias_report, performance_report]

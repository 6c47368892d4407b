"""Monitoring: what live traffic is compared with."""

import dagster as dg

from orchestration.partitions import TRAINED_ON
from orchestration.progress import to_log
from orchestration.resources import DataFolders, Workspace
from training.datasets.entry import Split
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


ASSETS = [reference_profile]

"""Data sets: what is there, and whether it is fit to be used."""

from collections.abc import Iterator

import dagster as dg

from orchestration import metadata
from orchestration.checks import suite_results, suite_specs
from orchestration.config import ValidationConfig
from orchestration.partitions import DATA_SETS
from orchestration.pools import CORES
from orchestration.progress import to_log
from orchestration.resources import DataFolders, Workspace
from training.datasets.download import download as fetch
from training.datasets.entry import Split
from training.tracking import Fingerprint, fingerprint
from training.validation.rendering import to_markdown, write_report
from training.validation.report import ValidationReport
from training.validation.validate import validate

GROUP = "datasets"


@dg.asset(group_name=GROUP, pool=CORES, partitions_def=DATA_SETS, kinds={"python"})
def download(context: dg.AssetExecutionContext, data_folders: DataFolders) -> dg.MaterializeResult[None]:
    """A public data set, brought here from PhysioNet or Zenodo and verified. Gigabytes: only on demand, in no job."""
    folder = data_folders.folder(context.partition_key)
    done = fetch(context.partition_key, folder, progress=to_log(context, "files"))
    return dg.MaterializeResult(metadata={"folder": folder, "fetched": done.fetched, "present": done.present})


@dg.asset(group_name=GROUP, pool=CORES, partitions_def=DATA_SETS, deps=[download], kinds={"python"})
def recordings(context: dg.AssetExecutionContext, data_folders: DataFolders) -> dg.MaterializeResult[Fingerprint]:
    """The index of a data set: its recordings by split and label, and the fingerprint of those that train. Labels of
    the test split are not looked at."""
    found = data_folders.open(context.partition_key)
    splits = {
        Split.TRAIN.value: found.entries(Split.TRAIN),
        Split.VAL.value: found.entries(Split.VAL),
        Split.TEST.value: found.sealed_entries(),
    }
    value = fingerprint(found.name, found.version, splits[Split.TRAIN.value])
    return dg.MaterializeResult(
        value=value,
        data_version=dg.DataVersion(value.sha256),
        metadata={
            "folder": found.folder,
            "version": found.version,
            "recordings": sum(map(len, splits.values())),
            "by split and label": metadata.counts(splits),
            "left out": len(found.dropped),
            "sha256 of ids and labels": value.sha256,
        },
    )


@dg.asset(
    group_name=GROUP,
    pool=CORES,
    partitions_def=DATA_SETS,
    deps=[recordings],
    check_specs=suite_specs("validation_report"),
    kinds={"python"},
)
def validation_report(
    context: dg.AssetExecutionContext, config: ValidationConfig, data_folders: DataFolders, workspace: Workspace
) -> Iterator[dg.MaterializeResult[ValidationReport]]:
    """A data set held against every expectation. A broken one that blocks stops everything that would be made of it."""
    found = data_folders.open(context.partition_key)
    report = validate(found, config.as_limits(), sample=config.sample, progress=to_log(context, "samples read"))
    _, page, _ = write_report(report, workspace.validation(context.partition_key))
    yield dg.MaterializeResult(
        value=report,
        check_results=suite_results(report),
        metadata={
            "verdict": "passed" if report.passed else "blocked",
            "blocking": [f.line for f in report.blocking],
            "warnings": [f.line for f in report.warnings],
            "report": dg.MetadataValue.md(to_markdown(report)),
            "page": page,
        },
    )


ASSETS = [download, recordings, validation_report]

"""One partition for each kind of data set, and how assets that concern one of them depend on it."""

import dagster as dg

from training.datasets import chapman, ptbxl
from training.datasets.catalog import KINDS

DATA_SETS = dg.StaticPartitionsDefinition(list(KINDS))

# What the models learn from, and what checks them.
TRAINED_ON = ptbxl.NAME
CHECKED_AGAINST = chapman.NAME


def of(kind: str) -> dg.SpecificPartitionsPartitionMapping:
    """The dependency on one data set."""
    return dg.SpecificPartitionsPartitionMapping([kind])

"""The code location: everything together. `dagster dev -m orchestration.definitions`."""

import dagster as dg

from orchestration.assets import datasets, features, monitoring, promotion, training
from orchestration.automation import JOBS, SENSORS, schedules
from orchestration.resources import resources
from orchestration.settings import Settings

ASSETS = [*datasets.ASSETS, *features.ASSETS, *training.ASSETS, *promotion.ASSETS, *monitoring.ASSETS]


def definitions(settings: Settings) -> dg.Definitions:
    """Everything, on these settings."""
    return dg.Definitions(
        assets=ASSETS,
        jobs=JOBS,
        schedules=schedules(settings.ops_monitoring),
        sensors=SENSORS,
        resources=resources(settings),
        # A training uses all cores; two steps at a time would only wait for each other.
        executor=dg.multiprocess_executor.configured({"max_concurrent": 1}),
    )


defs = definitions(Settings())

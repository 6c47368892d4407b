"""Jobs, and what starts them by itself: off until someone switches it on in the UI, but for monitoring where
`ECG_OPS_MONITORING` says so."""

from datetime import datetime

import dagster as dg

from orchestration.config import RecipeConfig
from orchestration.partitions import TRAINED_ON
from orchestration.resources import DataFolders, ServiceStore
from training.config import TrainingConfig
from training.datasets.catalog import KINDS
from training.datasets.entry import Split
from training.datasets.indexed import IndexedDataSet
from training.tracking import fingerprint

WEEKLY = "0 2 * * 1"  # Monday at 2 in the morning, UTC
HOURLY = "5 * * * *"
DAILY = "15 5 * * *"  # after the night's ECGs and before the day's, UTC
CHECK_SECONDS = 600  # indexing a large data set takes a minute

DATA = dg.AssetSelection.assets("recordings", "validation_report", "clinical_features", "prepared_signals")
TRAINING = dg.AssetSelection.assets("recipe", "cross_validation", "trained_model", "release")
JUDGED = dg.AssetSelection.assets("evaluation", "external_evaluation", "fairness", "reference_profile")
PROMOTED = dg.AssetSelection.assets("promotion_verdict", "champion")
DRIFT = dg.AssetSelection.assets("drift_report")
MONITORED = dg.AssetSelection.assets("bias_report", "performance_report", "shadow_report")

data_sets = dg.define_asset_job("data_sets", DATA, description="Index, validate and extract one data set.")
full_lifecycle = dg.define_asset_job(
    "full_lifecycle",
    dg.AssetSelection.all() - dg.AssetSelection.assets("download") - MONITORED - DRIFT,
    description=f"Everything from the data set to the champion. Partition: {TRAINED_ON}.",
)
retrain = dg.define_asset_job(
    "retrain",
    DATA | TRAINING | JUDGED,
    description=f"A new candidate, with all that is known of it, up to the gate. Partition: {TRAINED_ON}.",
)
evaluate_only = dg.define_asset_job("evaluate_only", JUDGED, description="The last release once more.")
promote = dg.define_asset_job(
    "promote",
    dg.AssetSelection.assets("test_evaluation") | PROMOTED,
    description="The last release through the gate, and into service if it passes.",
)
monitor = dg.define_asset_job("monitor", MONITORED, description="What live results say of the model that serves.")
monitor_drift = dg.define_asset_job(
    "monitor_drift", DRIFT, description="Whether the newest live ECGs and results are what they were."
)
JOBS = [data_sets, full_lifecycle, retrain, evaluate_only, promote, monitor, monitor_drift]


def monitoring_schedule(name: str, job_name: str, cron: str, description: str, *, is_on: bool) -> dg.ScheduleDefinition:
    """One that starts a job on the service's store, and says so where there is none yet. is_on: from the start, until
    somebody switches it in the UI."""

    @dg.schedule(
        job_name=job_name,
        cron_schedule=cron,
        execution_timezone="UTC",
        name=name,
        description=description,
        default_status=dg.DefaultScheduleStatus.RUNNING if is_on else dg.DefaultScheduleStatus.STOPPED,
    )
    def start(service_store: dg.ResourceParam[ServiceStore]) -> dg.RunRequest | dg.SkipReason:
        absent = service_store.absent
        return dg.SkipReason(absent) if absent else dg.RunRequest()

    return start


@dg.schedule(job=retrain, cron_schedule=WEEKLY, execution_timezone="UTC")
def weekly_retrain(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """A new candidate every week, with a version of its own."""
    at = context.scheduled_execution_time
    recipe = RecipeConfig(version=dated_version(at))
    return dg.RunRequest(
        run_key=f"{at:%Y%m%d}", partition_key=TRAINED_ON, run_config=dg.RunConfig(ops={"recipe": recipe})
    )


@dg.sensor(job=data_sets, minimum_interval_seconds=CHECK_SECONDS)
def new_data(context: dg.SensorEvaluationContext, data_folders: DataFolders) -> dg.SensorResult:
    """Data sets that are there and were not, or whose recordings or version are others than the last time."""
    present = [kind for kind in KINDS if data_folders.find(kind)]
    requests = [dg.RunRequest(run_key=f"{k}-{_state(data_folders.open(k))}", partition_key=k) for k in present]
    return dg.SensorResult(run_requests=requests, skip_reason=None if present else "no data set is there")


def _state(found: IndexedDataSet) -> str:
    """Another one has another run key, and so a run of its own. What cannot be read is told by that run."""
    try:
        return fingerprint(found.name, found.version, found.entries(Split.TRAIN)).sha256
    except (OSError, ValueError) as error:
        return type(error).__name__


def dated_version(at: datetime) -> str:
    """The recipe's version with the date as its last number: a release never replaces another."""
    major, minor, _ = TrainingConfig().version.split(".")
    return f"{major}.{minor}.{at:%Y%m%d}"


def schedules(monitoring: bool) -> list[dg.ScheduleDefinition]:
    """All of them. monitoring: whether those of monitoring are on from the start."""
    daily = "Reports on bias and performance of live results and on a model in shadow mode, before the day begins."
    hourly = "A report on drift of live ECGs and results."
    return [
        weekly_retrain,
        monitoring_schedule("daily_monitoring", monitor.name, DAILY, daily, is_on=monitoring),
        monitoring_schedule("hourly_drift", monitor_drift.name, HOURLY, hourly, is_on=monitoring),
    ]


SENSORS = [new_data]

"""What the assets are given: folders, MLflow, and the place of the values that pass from one asset to another.

Paths are strings, resolved where a step runs: on a cluster they name a volume that every step mounts.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
from pydantic import SecretStr
from uuid6 import uuid7

from audit.engine import sqlite_file
from audit.monitoring_store import MonitoringStore
from audit.notices import NoticeQueue, Telling, transact_in
from audit.store import Store, open_store
from inference.artifact import find_models
from inference.pointer import read_pointer
from orchestration.config import Plan
from orchestration.settings import Settings
from training.commit import current_commit
from training.datasets.catalog import open_dataset
from training.datasets.indexed import IndexedDataSet
from training.monitoring.channels import Channel, load_channels
from training.monitoring.sending import checked
from training.monitoring.telling import Told, send_due
from training.reference import Reference, served_reference
from training.release import Named, is_promoted
from training.tracking import TrackedRun, Tracking, tracked_run


class DataFolders(dg.ConfigurableResource[None]):
    """Where the data sets lie. folders: kind -> folder; one that does not exist is a data set that is not there."""

    folders: dict[str, str]

    def find(self, kind: str) -> IndexedDataSet | None:
        """The data set, None when its folder is not there."""
        folder = self.folder(kind)
        return open_dataset(kind, folder) if folder.is_dir() else None

    def folder(self, kind: str) -> Path:
        """Where it is, or would be."""
        return Path(self.folders[kind])

    def open(self, kind: str) -> IndexedDataSet:
        """The data set. Raises Failure, saying where it was looked for, when it is not there."""
        found = self.find(kind)
        if found is None:
            raise dg.Failure(self.absent(kind), allow_retries=False)
        return found

    def absent(self, kind: str) -> str:
        """What to say of a data set that is not there."""
        return f"{kind} is not there: no folder {self.folders[kind]}; set ECG_DATA or ECG_DATA_{kind.upper()}"


class Workspace(dg.ConfigurableResource[None]):
    """Where files are kept. workers: processes that prepare recordings beside the one of a step."""

    var: str
    models: str
    workers: int = 0

    @property
    def cache(self) -> Path:
        """Prepared arrays."""
        return Path(self.var) / "cache"

    @property
    def features(self) -> Path:
        """The feature store."""
        return Path(self.var) / "features"

    @property
    def models_folder(self) -> Path:
        """Released models and the pointer to the champion."""
        return Path(self.models)

    def run(self, plan: Plan) -> Path:
        """The folder of a training."""
        return Path(self.var) / "runs" / plan.run

    def release(self, release: Named) -> Path:
        """The folder of a released model."""
        return self.models_folder / release.name / release.version

    def may_be_released(self, release: Named) -> None:
        """Raises Failure when services may be running a model of this name and version: it would be replaced."""
        path = f"{release.name}/{release.version}"
        if path == read_pointer(self.models_folder).path or is_promoted(self.release(release)):
            raise dg.Failure(f"{path} is in service; give the recipe another version", allow_retries=False)

    def validation(self, kind: str) -> Path:
        """The report on a data set."""
        return Path(self.var) / "validation" / kind


class Mlflow(dg.ConfigurableResource[None]):
    """The MLflow store. uri, artifacts: as in `training.tracking.Tracking`."""

    uri: str
    artifacts: str

    @property
    def tracking(self) -> Tracking:
        """As training takes it."""
        return Tracking(uri=self.uri, artifacts=Path(self.artifacts))

    @contextmanager
    def training_run(self, plan: Plan, folder: Path) -> Iterator[TrackedRun]:
        """The MLflow run of a training: a new one, or the one it has had so far."""
        commit = current_commit(Path(__file__).parent)
        with tracked_run(self.tracking, plan.config, plan.data, folder, commit=commit) as run:
            yield run


@dataclass(frozen=True, slots=True)
class ServiceStore:
    """The store of the service, beside which this works, and who is told of alerts. No configurable resource: Dagster
    shows those in its pages and keeps them in its database, and the addresses may hold passwords."""

    url: SecretStr
    smtp_url: SecretStr | None = None
    slack_webhook: SecretStr | None = None
    alert_channels: Path | None = None
    public_url: str | None = None
    monitoring_reference: Path | None = None
    model: Path | None = None

    def reference(self) -> Reference:
        """What drift is measured against. Raises ModelInvalid where there is none."""
        return served_reference(self.monitoring_reference, self.model)

    @property
    def absent(self) -> str | None:
        """What to say where there is no SQLite file yet; a server is asked when it is opened."""
        file = sqlite_file(self.url.get_secret_value())
        return f"there is no database at {file} yet; set ECG_DATABASE_URL" if file and not file.exists() else None

    @contextmanager
    def opened(self) -> Iterator[MonitoringStore]:
        """As monitoring takes it. Raises Failure where there is none, ConfigurationError where it is not migrated or a
        channel is wrong, StorageUnavailable."""
        channels = self._channels()
        with self._store() as store:
            yield MonitoringStore(store, Telling(channels))

    def send_due(self) -> list[Told]:
        """Tell of alerts what is due. Raises like `opened`."""
        channels = self._channels()
        with self._store() as store:
            queue = NoticeQueue(transact_in(store), lambda: datetime.now(UTC))
            return list(send_due(queue, channels, self.public_url))

    def _channels(self) -> tuple[Channel, ...]:
        return checked(load_channels(self.smtp_url, self.slack_webhook, self.alert_channels))

    @contextmanager
    def _store(self) -> Iterator[Store]:
        if absent := self.absent:
            raise dg.Failure(absent, allow_retries=False)
        store = open_store(self.url.get_secret_value(), chain_id=str(uuid7()))
        try:
            yield store
        finally:
            store.close()


def resources(settings: Settings) -> Mapping[str, object]:
    """All of them, by these settings."""
    return {
        "data_folders": DataFolders(folders={kind: str(folder) for kind, folder in settings.folders.items()}),
        "workspace": Workspace(
            var=str(settings.ops_folder), models=str(find_models(settings.model)), workers=settings.ops_workers
        ),
        "service_store": ServiceStore(
            url=settings.database_url,
            smtp_url=settings.smtp_url,
            slack_webhook=settings.slack_webhook,
            alert_channels=settings.alert_channels,
            public_url=settings.public_url,
            monitoring_reference=settings.monitoring_reference,
            model=settings.model,
        ),
        "mlflow": Mlflow(uri=settings.mlflow_uri, artifacts=str(settings.mlflow_artifacts)),
        "io_manager": dg.FilesystemIOManager(base_dir=str(settings.ops_folder / "assets")),
    }

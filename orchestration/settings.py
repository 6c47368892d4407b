"""Every setting of the pipeline: where data, working files, models and MLflow are.

Each is `ECG_` + the field's name in upper case, from the environment or `.env`. Those of the service with the same name
mean the same.
"""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from training.datasets.catalog import KINDS


class Settings(BaseSettings):
    """Settings of one code location. Raises pydantic.ValidationError naming each wrong one."""

    model_config = SettingsConfigDict(env_prefix="ECG_", env_file=".env", extra="ignore", frozen=True)

    data: Path = Field(Path("data"), description="folder with ptbxl, code15, chapman and cohort, as far as they exist")
    data_ptbxl: Path | None = Field(None, description="folder of PTB-XL, where it lies elsewhere")
    data_code15: Path | None = Field(None, description="folder of CODE-15%, where it lies elsewhere")
    data_chapman: Path | None = Field(None, description="folder of Chapman-Shaoxing-Ningbo, where it lies elsewhere")
    data_cohort: Path | None = Field(None, description="folder of a hospital's own cohort, where it lies elsewhere")
    ops_folder: Path = Field(Path("var"), description="folder of features, prepared arrays, runs and reports")
    ops_workers: int = Field(0, ge=0, description="processes that prepare recordings beside the one of a step")
    ops_monitoring: bool = Field(
        False, description="whether the schedules of monitoring are on from the start; `make ops` sets it"
    )
    model: Path | None = Field(None, description="folder of released models with champion.json; default: ./models")
    database_url: SecretStr = Field(
        SecretStr("sqlite:///var/ecg.db"), description="the service's store, of which live results are monitored"
    )
    monitoring_reference: Path | None = Field(
        None, description="what drift is measured against, in place of the reference of the model that serves"
    )
    public_url: str | None = Field(None, description="base of links to the service in notices of alerts")
    smtp_url: SecretStr | None = Field(None, description="where alerts of warning and worse are mailed")
    slack_webhook: SecretStr | None = Field(None, description="where all alerts go")
    alert_channels: Path | None = Field(None, description="JSON file of further channels for alerts")
    mlflow_uri: str = Field("sqlite:///var/mlflow.db", description="MLflow's store: SQLite file or server")
    mlflow_artifacts: Path = Field(
        Path("var/mlartifacts"), description="folder of MLflow's plots and models beside an SQLite store"
    )

    @property
    def folders(self) -> dict[str, Path]:
        """Where each kind of data set is looked for."""
        return {kind: getattr(self, f"data_{kind}") or self.data / kind for kind in KINDS}

"""Every setting of the service; the only place that reads the environment.

Each is `ECG_` + the field's name in upper case, from the environment or `.env`. `ecg-interop config` prints them.
"""

import re
from datetime import timedelta
from enum import StrEnum
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from actions.analysis import Mode
from inference.precision import Precision

MEGABYTE = 1024 * 1024
DATABASE_SCHEMES = ("sqlite:///", "postgresql+psycopg2://")
_ORIGIN = re.compile(r"https?://[^/\s*]+")
_DURATION = re.compile(r"(?P<number>\d+(\.\d+)?)\s*(?P<unit>[smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _duration(value: object) -> object:
    """`24h`, `30m`, `90s`, `7d` beside what pydantic reads itself (seconds, ISO 8601)."""
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    return timedelta(seconds=float(match["number"]) * _SECONDS[match["unit"]]) if match else value


Duration = Annotated[timedelta, BeforeValidator(_duration)]


class Backend(StrEnum):
    """Which library runs the model."""

    AUTO = "auto"
    ONNX = "onnx"
    TORCH = "torch"


class ReusedId(StrEnum):
    """What to do with a control id that comes again with other content."""

    WARN = "warn"
    REFUSE = "refuse"


class Auth(StrEnum):
    """Who may call."""

    NONE = "none"


class Settings(BaseSettings):
    """Settings of one `serve` process. Raises pydantic.ValidationError naming each wrong one."""

    model_config = SettingsConfigDict(env_prefix="ECG_", env_file=".env", extra="ignore", frozen=True)

    database_url: SecretStr = Field(
        SecretStr("sqlite:///var/ecg.db"),
        description="SQLite file, or postgresql+psycopg2://user:password@host/name in production",
    )
    host: str = Field("127.0.0.1", description="address that HTTP and MLLP bind to")
    http_port: int = Field(8000, ge=0, le=65535, description="HTTP port, 0 for any free one")
    mllp_port: int = Field(2575, ge=0, le=65535, description="MLLP port, 0 for any free one")
    public_url: str | None = Field(None, description="base of Location and links; default: taken from the request")
    model: Path | None = Field(None, description="folder of a released model; default: the champion pointer")
    shadow_model: Path | None = Field(
        None, description="folder of a released model that runs beside the champion and is compared; it tells nobody"
    )
    backend: Backend = Field(Backend.AUTO, description="auto takes torch on a CUDA GPU when torch is installed")
    precision: Precision = Field(
        Precision.AUTO, description="fp32 or int8 weights in onnxruntime; auto times both at start and takes the faster"
    )
    rules: Path | None = Field(None, description="a hospital's own rules file")
    mode: Mode = Field(Mode.LIVE, description="live or silent")
    allow_candidate: bool = Field(False, description="let a model that has not passed the promotion gate go live")
    acute_window: Duration = Field(
        timedelta(hours=24), gt=timedelta(0), description="older recordings give nothing immediate or urgent"
    )
    time_zone: str = Field("UTC", description="zone of times without an offset, in HL7 messages and in files")
    outbound_mllp: str | None = Field(None, description="host:port that results are sent to")
    senders: Path | None = Field(None, description="JSON file with the peculiarities of each sender")
    mllp_allow: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="CIDR list, separated by commas, of peers that may connect by MLLP"
    )
    mllp_max_bytes: int = Field(8 * MEGABYTE, ge=4096, description="largest MLLP message")
    mllp_message_timeout: Duration = Field(
        timedelta(seconds=30), gt=timedelta(0), description="time for one frame to arrive whole"
    )
    mllp_reused_id: ReusedId = Field(ReusedId.WARN, description="warn or refuse")
    result_echo_obr3: bool = Field(False, description="results reuse the source's filler order number")
    http_max_bytes: int = Field(16 * MEGABYTE, ge=4096, description="largest HTTP body")
    storage_timeout: Duration = Field(
        timedelta(seconds=10), gt=timedelta(0), description="time for the database to answer before 503 / AE"
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="origins, separated by commas, whose pages may call; none by default"
    )
    cds_clients: Path | None = Field(
        None, description="JSON file of the CDS clients that may call, with their keys; without it every one may"
    )
    cds_fhir_servers: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="base URLs, separated by commas, of FHIR servers that hook calls may name wherever they are"
    )
    cds_fetch_timeout: Duration = Field(
        timedelta(seconds=3), gt=timedelta(0), description="time for one read from a FHIR server or of a client's keys"
    )
    cds_mute: Duration = Field(
        timedelta(hours=24), ge=timedelta(0), description="how long a user's decision on a card silences its findings"
    )
    queue_limit: int = Field(64, ge=1, description="ECGs that may wait for the inference lane before 503 / AE")
    feature_cache_memory: int = Field(
        1000, ge=0, description="recordings whose features and probabilities are kept in memory (5 KB each), 0 for none"
    )
    feature_cache_rows: int = Field(
        10_000, ge=0, description="the same in the database (2 KB each), the newest so many, 0 for none"
    )
    monitoring_reference: Path | None = Field(
        None,
        description="what drift is measured against: a file of `ecg-interop monitor reference`; default: the model's",
    )
    monitoring_drift_max_age: Duration = Field(
        timedelta(hours=2), gt=timedelta(0), description="an older drift report is shown as stale; it is made hourly"
    )
    monitoring_bias_max_age: Duration = Field(
        timedelta(hours=48), gt=timedelta(0), description="an older bias report is shown as stale; it is made daily"
    )
    monitoring_performance_max_age: Duration = Field(
        timedelta(hours=48),
        gt=timedelta(0),
        description="an older performance report is shown as stale; it is made daily",
    )
    monitoring_shadow_max_age: Duration = Field(
        timedelta(hours=48), gt=timedelta(0), description="an older shadow report is shown as stale; it is made daily"
    )
    smtp_url: SecretStr | None = Field(
        None, description="where alerts of warning and worse are mailed: smtp[s]://user:password@host/?from=...&to=..."
    )
    slack_webhook: SecretStr | None = Field(
        None, description="where all alerts go: https://hooks.slack.com/services/... as Slack gives it"
    )
    alert_channels: Path | None = Field(
        None, description="JSON file of further channels: name, any apprise URL, least severity"
    )
    auth: Auth = Field(Auth.NONE, description="none: loopback only, unless allow_anonymous")
    allow_anonymous: bool = Field(False, description="serve HTTP beyond loopback without authorization")
    mlflow_uri: str = Field(
        "sqlite:///var/mlflow.db", description="MLflow's store for training and promotion: SQLite file or server"
    )
    mlflow_artifacts: Path = Field(
        Path("var/mlartifacts"), description="folder of MLflow's plots and models beside an SQLite store"
    )
    tracing: bool = Field(
        False,
        description="send traces (OpenTelemetry); OTEL_EXPORTER_OTLP_ENDPOINT and its like say where and how many",
    )
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="level of the JSON log")

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"{value!r} is no IANA time zone") from error
        return value

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(DATABASE_SCHEMES):
            raise ValueError(f"starts with none of {', '.join(DATABASE_SCHEMES)}")
        return value

    @field_validator("outbound_mllp")
    @classmethod
    def _host_and_port(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"\S+:\d{1,5}", value):
            raise ValueError(f"{value!r} is not host:port")
        return value

    @field_validator("mllp_allow", mode="before")
    @classmethod
    def _cidr_list(cls, value: object) -> object:
        parts = tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value
        for part in parts if isinstance(parts, tuple) else ():
            ip_network(part)
        return parts

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _origins(cls, value: object) -> object:
        parts = tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value
        for part in parts if isinstance(parts, tuple) else ():
            if not _ORIGIN.fullmatch(part):  # `*` would let any page read patient data
                raise ValueError(f"{part!r} is no origin, such as https://ehr.example")
        return parts

    @field_validator("cds_fhir_servers", mode="before")
    @classmethod
    def _base_urls(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _loopback_without_authorization(self) -> Self:
        if self.is_loopback:
            return self
        if not self.allow_anonymous:
            raise ValueError(f"ECG_HOST={self.host} without authorization needs ECG_ALLOW_ANONYMOUS=true")
        if not self.mllp_allow:
            raise ValueError(f"MLLP on {self.host} needs ECG_MLLP_ALLOW (a list of peers)")
        return self

    @property
    def has_feature_cache(self) -> bool:
        """Whether anything that was calculated is kept at all."""
        return self.feature_cache_memory > 0 or self.feature_cache_rows > 0

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

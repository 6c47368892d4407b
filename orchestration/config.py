"""What can be set when a run is launched, and the plan that one training follows."""

import hashlib
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

import dagster as dg
from pydantic import Field, create_model

from training.config import TrainingConfig
from training.learning_curve import SHARES
from training.monitoring.run import DAYS
from training.promotion import Limits as GateLimits
from training.promotion import Waivable, Waiver
from training.tracking import Fingerprint
from training.validation.limits import Limits as ValidationLimits

MIN_FOLDS = 2
GATE = GateLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One training: its recipe and the recordings that it learns from."""

    config: TrainingConfig
    data: Fingerprint

    @property
    def run(self) -> str:
        """Name of its folder. Another recipe or other recordings have another, so each run is resumed or new."""
        shape = f"{self.config.to_json()}\n{self.data.sha256}"
        return f"{self.config.name}-{self.config.version}-{hashlib.sha256(shape.encode()).hexdigest()[:8]}"


FIELDS: dict[str, Any] = {f.name: (f.type, f.default) for f in fields(TrainingConfig)}

_Recipe: Any = create_model("_Recipe", __base__=dg.Config, **FIELDS)


class RecipeConfig(_Recipe):
    """Every field of `training.config.TrainingConfig`, with its default."""

    def recipe(self) -> TrainingConfig:
        """As training takes it. Raises ValueError for a recipe that cannot run, or without folds: fairness is judged
        on their predictions."""
        config = TrainingConfig(**{f.name: getattr(self, f.name) for f in fields(TrainingConfig)})
        if config.folds < MIN_FOLDS:
            raise ValueError(f"{config.folds} folds; a release is judged on the predictions of at least {MIN_FOLDS}")
        return config


class ValidationConfig(dg.Config):
    """How a data set is validated."""

    sample: int | None = Field(default=None, description="read the samples of so many recordings instead of all")
    limits: dict[str, float] = Field(default={}, description="what differs from training.validation.limits.Limits")

    def as_limits(self) -> ValidationLimits:
        """Raises TypeError for a limit that does not exist, ValueError for one that is impossible."""
        counts = {f.name for f in fields(ValidationLimits) if f.type is int}
        return ValidationLimits(**{n: int(v) if n in counts else v for n, v in self.limits.items()})  # type: ignore[arg-type]


class EvaluationConfig(dg.Config):
    """What is evaluated."""

    look_at_test: bool = Field(default=False, description="use up the one look at the test fold")


class CurveConfig(dg.Config):
    """Which points of the learning curve are made."""

    shares: list[float] = Field(default=list(SHARES), description="of the training patients")
    signal: bool = Field(default=False, description="also the signal branch, which takes nearly all of the time")


class WindowConfig(dg.Config):
    """Which live results are looked at."""

    days: float = Field(default=DAYS, gt=0, description="how far to look back")


class GateConfig(dg.Config):
    """Thresholds of the promotion gate, and a waiver."""

    macro_auc: float = GATE.macro_auc
    fairness_ratio: float = GATE.fairness_ratio
    parity: float = GATE.parity
    forward_p99_ms: float = GATE.forward_p99_ms
    megabytes: float = GATE.megabytes
    waives: list[Waivable] = Field(default=[], description="conditions to go without")
    by: str = Field(default="", description="who takes the responsibility for a waiver")
    reason: str = Field(default="", description="why")

    def limits(self) -> GateLimits:
        """As the gate takes them."""
        return GateLimits(**{f.name: getattr(self, f.name) for f in fields(GateLimits)})

    def waiver(self, at: datetime) -> Waiver | None:
        """None when nothing is waived. Raises ValueError when person or reason are not given."""
        if not self.waives:
            return None
        return Waiver(waives=frozenset(self.waives), by=self.by, reason=self.reason, date=at)


def changed(config: TrainingConfig) -> dict[str, Any]:
    """The fields that differ from the defaults."""
    usual = asdict(TrainingConfig())
    return {name: value for name, value in asdict(config).items() if value != usual[name]}

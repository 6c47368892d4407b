"""Everything that shapes a training run, in one value that is saved with the weights."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """The recipe. The defaults made the released model.

    Fractions and probabilities are 0 to 1; amplitudes are in standard deviations of a lead, because the network's
    signal is z-scored. Raises ValueError for a recipe that cannot run.
    """

    name: str = "resnet18-ptbxl"
    version: str = "0.1.0"
    seed: int = 7
    threads: int = 2

    epochs: int = 20
    patience: int = 12  # epochs without a better validation AUC before the run stops
    batch_size: int = 64
    learning_rate: float = 2e-3  # the peak of the one-cycle schedule
    weight_decay: float = 0.02
    dropout: float = 0.3
    branch_loss: float = 0.5  # weight of the loss of each branch by itself, beside that of their mean
    ema: float = 0.99  # an average over about the last hundred steps; it is what is validated and released
    # Positives count (negatives / positives) ** balance times: 0 is no weighting, 1 makes both sides weigh the same.
    balance: float = 0.5

    # The trunk pools over time, so that it trains on short pieces and reads whole recordings.
    shortest_crop: float = 2.5  # s
    longest_crop: float = 4.0  # s
    amplitude_jitter: float = 0.2
    lead_dropout: float = 0.1
    wander: float = 0.2
    noise: float = 0.1
    feature_dropout: float = 0.1
    # Most senders tell age and sex, many do not; the network must work either way.
    demographics_dropout: float = 0.3

    def __post_init__(self) -> None:
        if not 0 < self.shortest_crop <= self.longest_crop <= 10:
            raise ValueError(f"crops of {self.shortest_crop} to {self.longest_crop} s; 0 to 10 s are possible")
        if min(self.epochs, self.patience, self.batch_size, self.threads) < 1:
            raise ValueError("epochs, patience, batch_size and threads must be at least 1")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema {self.ema} is not in [0, 1)")

    def to_json(self) -> str:
        """A JSON object with one entry per field."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def load(cls, path: Path) -> "TrainingConfig":
        """Read what `to_json` wrote; absent fields keep their default. Raises ValueError for an unknown field."""
        values = json.loads(path.read_text())
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise ValueError(f"{path}: unknown {', '.join(sorted(unknown))}")
        return cls(**values)

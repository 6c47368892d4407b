"""Everything that shapes a training run, in one value that is saved with the weights."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

COUNTS = (
    "epochs", "patience", "batch_size", "threads", "members", "member_epochs", "trees", "tree_depth", "tree_leaves"
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """The recipe. The defaults made the released model, with one thread.

    Fractions and probabilities are 0 to 1; amplitudes are in standard deviations of a lead, because the network's
    signal is z-scored. Raises ValueError for a recipe that cannot run.
    """

    name: str = "resnet18-ptbxl"
    version: str = "0.3.0"
    seed: int = 7
    threads: int = 2
    # Forward passes of training in bfloat16: pays on GPUs and on processors with AMX, others emulate it ten times
    # slower.
    mixed_precision: bool = False
    # Cross-validation folds of the training recordings, from which the blend is fitted. 0: equal weights instead,
    # calibrated on the validation recordings, in a fifth of the time.
    folds: int = 5

    # The signal's branch.
    epochs: int = 20
    patience: int = 12  # epochs without a better validation AUC before the run stops
    batch_size: int = 64
    learning_rate: float = 2e-3  # the peak of the one-cycle schedule, in the perceptron too
    weight_decay: float = 0.02
    dropout: float = 0.3
    ema: float = 0.99  # an average over about the last hundred steps; it is what is validated and released
    # Positives count (negatives / positives) ** balance times: 0 is no weighting, 1 makes both sides weigh the same.
    balance: float = 0.5

    # The trunk pools over time, so that it trains on short pieces and reads whole recordings.
    shortest_crop: float = 2.5  # s
    longest_crop: float = 2.5  # s
    amplitude_jitter: float = 0.2
    amplitude_error: float = 0.1  # of the height of QRS by which a lead is multiplied
    lead_dropout: float = 0.1
    wander: float = 0.2
    noise: float = 0.1

    # The perceptron on the clinical features: several are trained and put side by side as one.
    members: int = 5
    member_epochs: int = 30
    feature_dropout: float = 0.1
    # Most senders tell age and sex, many do not; the network must work either way.
    demographics_dropout: float = 0.3

    # The boosted trees on the clinical features, of each class.
    trees: int = 200
    tree_depth: int = 4
    tree_leaves: int = 15
    tree_learning_rate: float = 0.04
    tree_columns: float = 0.2  # share of the features that a tree may use
    tree_rows: float = 0.8  # share of the recordings that it sees
    tree_smallest_leaf: int = 20  # recordings
    tree_l2: float = 5.0

    def __post_init__(self) -> None:
        if not 0 < self.shortest_crop <= self.longest_crop <= 10:
            raise ValueError(f"crops of {self.shortest_crop} to {self.longest_crop} s; 0 to 10 s are possible")
        for name in COUNTS:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        if self.folds < 0 or self.folds == 1:
            raise ValueError(f"{self.folds} folds; 0 for none, or at least 2")
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

"""How much is tolerated. Each number with its reason; where it was measured, docs/validation.md tells on what."""

from dataclasses import dataclass

from inference.prepare import IGNORED_SECONDS, MIN_DURATION, WINDOW_SECONDS
from inference.recording import MAX_AGE
from training.groups import MIN_GROUP


@dataclass(frozen=True, slots=True)
class Limits:
    """Shares are 0 to 1. A validation with other limits says so in its report.

    Raises ValueError for a share outside of 0 to 1 or a negative count.
    """

    max_age: float = MAX_AGE  # years
    # Intended use begins at 18; a few younger patients do no harm, a paediatric data set teaches other norms.
    max_minors: float = 0.05
    # The band of the network ends at 40 Hz: 100 Hz carry it, less do not.
    min_sampling_rate: float = 100.0
    max_sampling_rate: float = 1000.0
    # One label cannot be given to several windows, so a training recording is one window.
    min_duration: float = MIN_DURATION
    max_duration: float = WINDOW_SECONDS + IGNORED_SECONDS
    # 16 bits at 1 µV, the usual resolution, end at 32.8 mV; microvolts or counts taken for mV are beyond it.
    max_peak: float = 32.8
    # One spike of a defibrillator in a large data set is no mistake of unit.
    max_beyond_peak: float = 0.001
    max_invalid: float = 0.1  # of the samples of a recording: what `inference.quality` lets pass in a lead
    # Shares of recordings. PTB-XL: none unreadable or refused, 93 % clean. Chapman: 10 % refused, 70 % clean.
    max_dropped: float = 0.05
    max_unreadable: float = 0.01
    max_refused: float = 0.02
    max_damaged: float = 0.02
    min_clean: float = 0.7
    # NORM beside an abnormal class: 2.3 % of PTB-XL, nearly all with a minor conduction disturbance.
    max_contradictory: float = 0.05
    # Recordings of which no class is known teach nothing. Half of a data set that codes rhythms may be so.
    max_unlabelled: float = 0.5
    # Of the recordings where the class is known. Outside, the labels are more likely wrong than the patients special.
    min_rate: float = 0.005
    max_rate: float = 0.95
    # Too few to learn a class from, or to choose an epoch and a threshold by.
    min_train_positives: int = 20
    min_val_positives: int = 10
    # A rate among fewer has an interval of more than +-0.2: too few to judge.
    min_group: int = MIN_GROUP
    max_unknown_demographics: float = 0.5

    def __post_init__(self) -> None:
        for name in SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} {getattr(self, name)} is no share from 0 to 1")
        if min(self.min_train_positives, self.min_val_positives, self.min_group) < 0:
            raise ValueError("counts are not negative")


SHARES = (
    "max_minors", "max_beyond_peak", "max_invalid", "max_dropped", "max_unreadable", "max_refused", "max_damaged",
    "min_clean", "max_contradictory", "max_unlabelled", "min_rate", "max_rate", "max_unknown_demographics",
)  # fmt: skip

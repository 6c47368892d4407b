"""How good drift monitoring is: after how many ECGs each planted shift is noticed, and how often nothing is noticed as
something.

ECGs that the reference was not made from (validation and test folds, without the labels of the latter) are analysed as
the service does it, as they are and with each shift of `training.shifts`. Windows are drawn from them with replacement:
the folds hold fewer ECGs than the windows together, so windows share ECGs, and what sets the folds apart from the
reference by chance sets all windows apart. The rate of false alarms that comes out is that of these folds.

For results the folds are too small for that. The reference holds the validation fold's, and a draw from the 124 ECGs of
the test fold would mostly show how these two differ. So, where nothing is planted, both folds are shuffled for each
window: a part as large as the validation fold is the reference of that window's results, the rest is the window.

What over-reads tell is not in the trial. The sampling rate is that of the files, not of a sender, and is left out.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from actions.analysis import Door, RequestContext
from actions.analyze import Analyze
from inference.recording import Recording
from training.datasets import ptbxl
from training.datasets.entry import Entry, Split
from training.datasets.preparing import Progress
from training.just_recorded import just_recorded
from training.monitoring.columns import Sample, sample_of
from training.monitoring.drift import judge_sides, sides_of
from training.monitoring.shift_tests import Judged
from training.monitoring.traffic import WINDOW_ECGS
from training.monitoring.truth import gather
from training.reference import Analysed, Reference, as_seen
from training.shifts import SENDERS, SHIFTS, Shift

WINDOWS = 300
REPEATS = 20
STEP = 10  # ECGs between two looks
EARLIER = 1000

NOTHING = gather(())  # no over-reads


@dataclass(frozen=True, slots=True, kw_only=True)
class Detected:
    """One shift. ecgs: shifted ones in the window when it was noticed first, for each repeat; None where it was not
    within a window. families: flagged in a window of shifted ones only."""

    shift: Shift
    recordings: int
    ecgs: tuple[int | None, ...]
    families: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """most, median: ECGs; None where half of the repeats, or any, never noticed it."""
        noticed = sorted(count for count in self.ecgs if count is not None)
        missed = len(self.ecgs) - len(noticed)
        return {
            "shift": self.shift.text,
            "recordings": self.recordings,
            "repeats": len(self.ecgs),
            "missed": missed,
            "median": None if 2 * missed >= len(self.ecgs) else noticed[len(self.ecgs) // 2],
            "most": None if missed else noticed[-1],
            "flagged": list(self.families),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """false_alarms: of `windows`; high: the exact upper bound of their share (Clopper and Pearson, one-sided 95 %).
    flagged: column -> false alarms with it."""

    recordings: int
    windows: int
    false_alarms: int
    high: float
    flagged: Counter[str]
    detected: tuple[Detected, ...]

    def to_json(self) -> dict[str, Any]:
        """With what is told of each shift."""
        return {
            "recordings": self.recordings,
            "windows": self.windows,
            "false_alarms": self.false_alarms,
            "high": self.high,
            "flagged": dict(self.flagged),
            "shifts": [one.to_json() for one in self.detected],
        }


def analysed(
    entries: Sequence[Entry],
    analyze: Analyze,
    now: datetime,
    shift: Shift | None = None,
    progress: Progress | None = None,
) -> list[Analysed]:
    """Those that the shift takes, with it, as the service would store them; what it refuses is left out."""
    rows: list[Analysed] = []
    for done, entry in enumerate(entries, start=1):
        recording = just_recorded(entry, now)
        if recording is not None and (shift is None or shift.takes(recording)):
            rows.append(_row(recording, analyze, now, shift, SENDERS[len(rows) % len(SENDERS)]))
        if progress is not None:
            progress(done, len(entries))
    return rows


def false_alarms(
    unchanged: Sample, reference: Reference, *, windows: int = WINDOWS, seed: int = 0
) -> tuple[int, Counter[str]]:
    """Windows of unchanged ECGs in which anything is flagged, and which columns were."""
    random = np.random.default_rng(seed)
    flagged: Counter[str] = Counter()
    alarms = 0
    for _ in range(windows):
        shuffled = random.permutation(len(unchanged))
        then, now = shuffled[: len(reference.outputs)], shuffled[len(reference.outputs) :]
        shuffled_reference = replace(reference, outputs=unchanged.where(then))
        earlier = _draw(random, unchanged, EARLIER)
        found = _flags(_judged(_draw(random, unchanged), unchanged.where(now), earlier, shuffled_reference))
        alarms += bool(found)
        flagged.update(one.tested.name for one in found)
    return alarms, flagged


def detection(
    shift: Shift, before: Sample, shifted: Sample, reference: Reference, *, repeats: int = REPEATS, seed: int = 0
) -> Detected:
    """After how many shifted ECGs a window that had none is flagged, each time with other ones."""
    random = np.random.default_rng(seed)
    ecgs = tuple(_first_flag(random, before, shifted, reference) for _ in range(repeats))
    whole = _draw(random, shifted)
    families = {
        one.tested.family.value for one in _flags(_judged(whole, whole, _draw(random, before, EARLIER), reference))
    }
    return Detected(shift=shift, recordings=len(shifted), ecgs=ecgs, families=tuple(sorted(families)))


def run_trial(
    folder: Path,
    analyze: Analyze,
    reference: Reference,
    *,
    now: datetime,
    windows: int = WINDOWS,
    repeats: int = REPEATS,
    progress: Progress | None = None,
) -> Trial:
    """The whole, on PTB-XL in its official layout. Who is chosen by age is chosen of all folds."""
    held_out = ptbxl.unseen(folder)
    trained = ptbxl.at_best_rate(folder, lambda data: data.entries(Split.TRAIN))
    unchanged = columns(analysed(held_out, analyze, now, progress=progress))
    alarms, flagged = false_alarms(unchanged, reference, windows=windows)
    detected = []
    for shift in SHIFTS.values():
        pool = (*held_out, *trained) if shift.by_patient else held_out
        shifted = columns(analysed(pool, analyze, now, shift, progress))
        detected.append(detection(shift, unchanged, shifted, reference, repeats=repeats))
    return Trial(
        recordings=len(unchanged),
        windows=windows,
        false_alarms=alarms,
        high=upper_bound(alarms, windows),
        flagged=flagged,
        detected=tuple(detected),
    )


def upper_bound(count: int, of: int) -> float:
    """Of a share, one-sided, 95 %."""
    return float(binomtest(count, of, alternative="less").proportion_ci(0.95, "exact").high)


def columns(rows: Sequence[Analysed]) -> Sample:
    """Of these rows, all of one sampling rate."""
    sample = sample_of(rows)
    return Sample({**sample.columns, "sampling rate": np.full(len(sample), "any", dtype=object)})


def _row(recording: Recording, analyze: Analyze, now: datetime, shift: Shift | None, sender: str) -> Analysed:
    if shift is not None:
        recording, sender = shift.change(recording), shift.sender or sender
    analysis = analyze(recording, RequestContext(door=Door.MLLP, received_at=now, correlation_id="trial"))
    return replace(as_seen(analysis), sender=sender)


def _first_flag(random: np.random.Generator, before: Sample, shifted: Sample, reference: Reference) -> int | None:
    old, new, earlier = _draw(random, before), _draw(random, shifted), _draw(random, before, EARLIER)
    for count in range(STEP, WINDOW_ECGS + 1, STEP):
        window = _joined(old, new, count)
        if _flags(_judged(window, window, earlier, reference)):
            return count
    return None


def _joined(old: Sample, new: Sample, count: int) -> Sample:
    """The newest ECGs when so many of the new ones have come."""
    return Sample(
        {name: np.concatenate([values[count:], new.columns[name][:count]]) for name, values in old.columns.items()}
    )


def _judged(current: Sample, outputs: Sample, earlier: Sample, reference: Reference) -> Sequence[Judged]:
    return judge_sides(sides_of(current, outputs, earlier, reference), NOTHING, reference)


def _flags(judged: Iterable[Judged]) -> list[Judged]:
    return [one for one in judged if one.flag]


def _draw(random: np.random.Generator, sample: Sample, number: int = WINDOW_ECGS) -> Sample:
    chosen: NDArray[Any] = random.integers(len(sample), size=number)
    return sample.where(chosen)

"""What validation needs to know of one recording's samples, in a few numbers.

Samples are read, looked at and let go one recording at a time: a data set of any size takes the memory of its table.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from inference.errors import EcgError
from inference.lead_statistics import FLAT_RANGE
from inference.prepare import bridged
from inference.quality import assess
from inference.recording import Recording
from training.datasets.entry import Entry
from training.validation.copies import Signature, fingerprint, no_signature, signature

Progress = Callable[[int, int], None]  # recordings done, recordings in all


@dataclass(frozen=True, slots=True, eq=False)
class SignalFacts:
    """Of one recording. problem: why it could not be read, empty when it could; the rest is NaN or empty then.

    signature: see `training.validation.copies`, NaN where the recording is refused. sampling_rate: Hz. duration: s.
    peak: largest absolute value, mV. invalid: share of samples that are no numbers. silent_leads: how many leads hold
    no signal at all. refused, clean: the verdict of `inference.quality`. sha256: of the samples and their rate.
    """

    recording_id: str
    split: str
    signature: Signature
    problem: str = ""
    sampling_rate: float = float("nan")
    duration: float = float("nan")
    peak: float = float("nan")
    invalid: float = float("nan")
    silent_leads: int = 0
    refused: bool = False
    clean: bool = False
    sha256: str = ""


def read_facts(entries: Sequence[Entry], progress: Progress | None = None) -> list[SignalFacts]:
    """The facts of these recordings, in their order; that a recording cannot be read is a fact too."""
    facts = []
    for done, entry in enumerate(entries, start=1):
        facts.append(_read(entry))
        if progress is not None:
            progress(done, len(entries))
    return facts


def _read(entry: Entry) -> SignalFacts:
    """Reads the source and not the entry: an impossible age is a fault of the tables, not of the samples."""
    try:
        recording = entry.source.read()
    except (EcgError, OSError, ValueError) as error:
        return SignalFacts(entry.recording_id, entry.split, no_signature(), problem=f"{type(error).__name__}: {error}")
    return signal_facts(entry.recording_id, entry.split, recording)


def signal_facts(recording_id: str, split: str, recording: Recording) -> SignalFacts:
    """What the samples of a recording say; never raises."""
    quality = assess(recording)
    filled = bridged(recording.signal)
    return SignalFacts(
        recording_id,
        split,
        signature(filled, recording.sampling_rate) if quality.usable else no_signature(),
        sampling_rate=recording.sampling_rate,
        duration=recording.duration,
        peak=float(np.abs(filled).max()),
        invalid=1 - float(np.isfinite(recording.signal).mean()),
        silent_leads=int((np.ptp(filled, axis=1) < FLAT_RANGE).sum()),
        refused=not quality.usable,
        clean=quality.clean,
        sha256=fingerprint(recording),
    )

"""Traffic to try monitors with: real recordings through a door of a running service, at a settable rate, from some
point on with a planted shift (`training.shifts`).

Recordings are drawn with replacement; each counts as just recorded, and each goes out as another patient's.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import numpy as np

from inference.errors import ConfigurationError
from inference.recording import Recording
from interop import client
from interop.demo import EXAMPLES
from interop.hl7.waveform import to_oru
from training.datasets import ptbxl
from training.datasets.entry import Entry, Split
from training.datasets.wfdb_file import wfdb_file
from training.shifts import SENDERS, Shift

FACILITY = "SIMULATED"  # of patient identifiers


@dataclass(frozen=True, slots=True)
class Planned:
    """One ECG to send. sender: MSH-3 and MSH-4. shifted: whether the shift was planted."""

    recording: Recording
    sender: str
    shifted: bool


@dataclass(slots=True)
class Tally:
    """late: sent a second or more after its time, because the service or this machine is slower than the rate."""

    sent: int = 0
    shifted: int = 0
    refused: int = 0
    late: int = 0


Send = Callable[[Planned], client.Answer]


def held_out(data: Path | None, shift: Shift | None) -> tuple[Entry, ...]:
    """Recordings to play: of PTB-XL those that no model was trained on, or of all folds where the shift chooses
    patients; without a data set the examples of this project. Raises ConfigurationError without these, and what reading
    raises."""
    if data is None:
        files = sorted(EXAMPLES.glob("*.hea"))
        if not files:
            raise ConfigurationError(f"{EXAMPLES} has no recordings: run this in the project's folder, or say --data")
        return tuple(_example(file) for file in files)
    found = ptbxl.unseen(data)
    if shift is not None and shift.by_patient:
        found += ptbxl.at_best_rate(data, lambda all_of: all_of.entries(Split.TRAIN))
    return found


def planned(entries: Sequence[Entry], ecgs: int, shift: Shift | None, after: int, seed: int) -> Iterator[Planned]:
    """ECGs to send; from the one numbered `after` on (from 0) with the shift. Raises ValueError where the shift fits
    none of the recordings, and what reading raises."""
    random = np.random.default_rng(seed)
    for number in range(ecgs):
        sender = SENDERS[int(random.integers(len(SENDERS)))]
        if shift is None or number < after:
            yield Planned(_drawn(random, entries, lambda recording: True), sender, shifted=False)
        else:
            recording = _drawn(random, entries, shift.takes)
            yield Planned(shift.change(recording), shift.sender or sender, shifted=True)


def play(
    plan: Iterator[Planned],
    send: Send,
    rate: float,
    on_sent: Callable[[Tally], None],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Tally:
    """Send so many a second, one after the other. Raises ServiceError when the other side cannot be reached."""
    tally, begun = Tally(), clock()
    for number, ecg in enumerate(plan):
        waits = begun + number / rate - clock()
        if waits > 0:
            sleep(waits)
        answer = send(replace(ecg, recording=replace(ecg.recording, recorded_at=datetime.now(UTC))))
        tally.sent += 1
        tally.shifted += ecg.shifted
        tally.refused += not answer.accepted
        tally.late += waits < -1
        on_sent(tally)
    return tally


def by_fhir(base: str) -> Send:
    """Through the FHIR door, which knows no sender."""
    return lambda ecg: client.post_observation(base, client.observation_to_send(ecg.recording, _patient()))


def by_mllp(address: str) -> Send:
    """Through the MLLP door."""

    def send(ecg: Planned) -> client.Answer:
        application, facility = ecg.sender.split("|")
        message = to_oru(
            ecg.recording,
            control_id=uuid4().hex[-20:],
            sent_at=datetime.now(UTC),
            patient_id=_patient(),
            authority=FACILITY,
            sending_application=application,
            sending_facility=facility,
        )
        return client.send_message(address, message)

    return send


def _example(file: Path) -> Entry:
    source = wfdb_file(file)
    return Entry(
        dataset="examples", recording_id=file.stem, patient_id=file.stem, split=Split.TEST, labels={}, source=source
    )


def _patient() -> str:
    return f"SIM-{uuid4().hex[:12]}"


def _drawn(random: np.random.Generator, entries: Sequence[Entry], takes: Callable[[Recording], bool]) -> Recording:
    """The first of a random order that it takes."""
    for place in random.permutation(len(entries)):
        recording = entries[int(place)].read()
        if takes(recording):
            return recording
    raise ValueError("none of the recordings can have this shift")

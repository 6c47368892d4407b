import weakref
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.errors import Malformed
from inference.recording import Recording
from tests.training.validation.sets import Failing, recording_of
from training.datasets.entry import Entry
from training.validation.signals import read_facts, signal_facts


def test_the_facts_are_those_of_the_samples(healthy: tuple[Entry, ...]) -> None:
    signal = recording_of(healthy[0]).signal.copy()
    signal[2], signal[3, :100], signal[4, 500] = 0, np.nan, -7.5
    facts = signal_facts("R", "train", Recording(signal, 100))
    assert (facts.sampling_rate, facts.duration, facts.peak, facts.silent_leads) == (100, 10, 7.5, 1)
    assert facts.invalid == pytest.approx(100 / 12_000)
    assert (facts.problem, facts.refused, facts.clean) == ("", False, False)


def test_a_refused_recording_resembles_nothing(healthy: tuple[Entry, ...]) -> None:
    facts = signal_facts("R", "train", Recording(recording_of(healthy[0]).signal * np.float32(1e-6), 100))
    assert facts.refused
    assert np.isnan(facts.signature).all()


@pytest.mark.parametrize("error", [Malformed("cut off"), FileNotFoundError("gone"), ValueError("no number")], ids=repr)
def test_a_recording_that_cannot_be_read_is_told_with_the_reason(error: Exception, healthy: tuple[Entry, ...]) -> None:
    (facts,) = read_facts([replace(healthy[0], source=Failing(error))])
    assert facts.problem == f"{type(error).__name__}: {error}"
    assert (facts.recording_id, facts.sha256) == ("R0", "")


def test_a_defect_of_ours_is_no_fact_about_the_data(healthy: tuple[Entry, ...]) -> None:
    with pytest.raises(ZeroDivisionError):
        read_facts([replace(healthy[0], source=Failing(ZeroDivisionError()))])


def test_an_impossible_age_does_not_make_the_samples_unreadable(healthy: tuple[Entry, ...]) -> None:
    (facts,) = read_facts([replace(healthy[0], age=300)])
    assert facts.problem == ""


@dataclass(frozen=True)
class Remembered:
    """A source that knows which of the signals it gave out are still there."""

    recording: Recording
    given: "list[weakref.ref[NDArray[np.float32]]]"

    @property
    def key(self) -> str:
        return "remembered"

    def read(self) -> Recording:
        signal = self.recording.signal.copy()
        self.given.append(weakref.ref(signal))
        return replace(self.recording, signal=signal)


def test_samples_are_let_go_one_recording_at_a_time(healthy: tuple[Entry, ...]) -> None:
    source = Remembered(recording_of(healthy[0]), [])
    alive: list[int] = []
    entries = [replace(healthy[0], source=source)] * 10
    read_facts(entries, lambda done, total: alive.append(sum(given() is not None for given in source.given)))
    assert len(source.given) == 10
    assert max(alive) <= 1


def test_progress_is_told_after_each_recording(healthy: tuple[Entry, ...]) -> None:
    told: list[tuple[int, int]] = []
    read_facts(healthy[:3], lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]

"""Planned traffic, and its pace."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from inference.errors import ConfigurationError
from inference.recording import Recording
from interop.client import Answer
from interop.demo import EXAMPLES
from interop.simulation import Planned, Tally, held_out, planned, play
from training.datasets.entry import Entry
from training.shifts import DEVICE, SENDERS, SHIFTS


class Hands:
    """Time that passes when somebody sleeps or sends."""

    def __init__(self, each: float = 0.0, refuses: bool = False) -> None:
        self.now, self.each, self.refuses = 0.0, each, refuses
        self.sent: list[tuple[float, Planned]] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def send(self, ecg: Planned) -> Answer:
        self.sent.append((self.now, ecg))
        self.now += self.each
        return Answer(not self.refuses, "")


@pytest.fixture(scope="module")
def ptbxl(shared_data: Path) -> Path:
    """The real part of PTB-XL."""
    return shared_data / "ptbxl"


@pytest.fixture(scope="module")
def entries() -> Sequence[Entry]:
    """Of the project's own recordings."""
    return held_out(None, None)


@pytest.fixture(scope="module")
def plain(entries: Sequence[Entry]) -> list[Planned]:
    return list(planned(entries, 20, None, 0, seed=1))


def run(plan: Iterator[Planned] | list[Planned], hands: Hands, rate: float) -> Tally:
    return play(iter(plan), hands.send, rate, lambda tally: None, clock=lambda: hands.now, sleep=hands.sleep)


def test_a_seed_draws_the_same_recordings_again(entries: Sequence[Entry], plain: list[Planned]) -> None:
    again = list(planned(entries, 20, None, 0, seed=1))
    assert [one.sender for one in again] == [one.sender for one in plain]
    assert all(np.array_equal(a.recording.signal, b.recording.signal) for a, b in zip(again, plain, strict=True))
    assert {one.sender for one in plain} <= set(SENDERS)
    assert not any(one.shifted for one in plain)


def test_the_shift_begins_where_it_is_asked_to(entries: Sequence[Entry]) -> None:
    found = list(planned(entries, 6, SHIFTS["device"], 4, seed=1))
    assert [one.shifted for one in found] == [False] * 4 + [True] * 2
    assert [one.sender for one in found[4:]] == [DEVICE, DEVICE]


def test_a_shift_that_fits_nobody_is_refused(entries: Sequence[Entry]) -> None:
    with pytest.raises(ValueError, match="none of the recordings"):
        list(planned(entries, 1, SHIFTS["older"], 0, seed=1))  # nothing is known of their age


def test_of_a_data_set_the_training_fold_is_left_out(ptbxl: Path) -> None:
    plain, of_patients = held_out(ptbxl, SHIFTS["gain"]), held_out(ptbxl, SHIFTS["older"])
    assert {entry.split.value for entry in plain} == {"val", "test"}
    assert {entry.split.value for entry in of_patients} == {"val", "test", "train"}
    assert not any(entry.labels for entry in plain if entry.split.value == "test")


def test_without_examples_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=f"{EXAMPLES} has no recordings"):
        held_out(None, None)


def test_ecgs_go_out_at_the_rate_and_as_just_recorded(plain: list[Planned]) -> None:
    hands = Hands()
    tally = run(plain[:5], hands, rate=2.0)
    assert [at for at, _ in hands.sent] == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert tally == Tally(sent=5, shifted=0, refused=0, late=0)
    recorded = [ecg.recording.recorded_at for _, ecg in hands.sent]
    assert all(at is not None and at.tzinfo for at in recorded)


def test_what_is_late_or_refused_is_counted(plain: list[Planned]) -> None:
    hands = Hands(each=1.0, refuses=True)
    assert run(plain[:5], hands, rate=2.0) == Tally(sent=5, shifted=0, refused=5, late=2)


def test_signals_are_those_of_the_files(entries: Sequence[Entry], plain: list[Planned]) -> None:
    signals: list[Recording] = [entry.read() for entry in entries]
    assert all(any(np.array_equal(one.recording.signal, each.signal) for each in signals) for one in plain)

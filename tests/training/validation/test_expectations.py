"""For each expectation one data set of real recordings, altered so that exactly this expectation is broken."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import resample

from inference.errors import Malformed
from inference.labels import Superclass
from inference.recording import Sex
from tests.training.validation.sets import (
    LIMITS,
    SIZE,
    Entries,
    Failing,
    changed,
    data_set,
    recording_of,
    with_signal,
)
from training.datasets.entry import Dropped, Entry, Split
from training.validation.expectations import expectations
from training.validation.limits import Limits
from training.validation.report import Severity
from training.validation.validate import validate

NORM, MI, HYP = Superclass.NORM, Superclass.MI, Superclass.HYP
Signal = NDArray[np.float32]


def without_split(entries: Entries) -> Entries:
    return [e for e in entries if e.split is not Split.TEST]


def signals_of_first(count: int, change: Callable[[Signal], Signal]) -> Callable[[Entries], Entries]:
    return lambda entries: [with_signal(e, change) if i < count else e for i, e in enumerate(entries)]


def first(count: int, **fields: object) -> Callable[[Entries], Entries]:
    def alter(entries: Entries) -> Entries:
        for number in range(count):
            entries = changed(entries, number, **fields)
        return entries

    return alter


def labels(change: Callable[[int, Entry], dict[Superclass, bool]]) -> Callable[[Entries], Entries]:
    return lambda entries: [replace(e, labels=change(i, e)) for i, e in enumerate(entries)]


def half_the_rate(entries: Entries) -> Entries:
    return [with_signal(entries[0], lambda s: s[:, ::2], rate=50), *entries[1:]]


def shuffled(signal: Signal) -> Signal:
    return signal[:, np.random.default_rng(0).permutation(signal.shape[1])]


def invalid_for_long(signal: Signal) -> Signal:
    signal[:2, : int(0.7 * signal.shape[1])] = np.nan
    return signal


def one_invalid_sample(signal: Signal) -> Signal:
    signal[3, 10] = np.nan
    return signal


def without_v3(signal: Signal) -> Signal:
    signal[8] = 0
    return signal


def contradictory(number: int, entry: Entry) -> dict[Superclass, bool]:
    return {**entry.labels, MI: True} if number in (0, 5, 10) else dict(entry.labels)


def known_where_present(number: int, entry: Entry) -> dict[Superclass, bool]:
    return {c: is_present for c, is_present in entry.labels.items() if is_present or c is not HYP}


def rare(split: Split, kept: int) -> Callable[[Entries], Entries]:
    def alter(entries: Entries) -> Entries:
        with_mi = [i for i, e in enumerate(entries) if e.split is split and e.labels[MI]][kept:]
        return [replace(e, labels={**e.labels, MI: False}) if i in with_mi else e for i, e in enumerate(entries)]

    return alter


def source_of_first(number: int) -> Callable[[Entries], Entries]:
    return lambda entries: changed(entries, number, source=entries[0].source)


def rendered_again(entries: Entries) -> Entries:
    louder = 1.1 * resample(recording_of(entries[0]).signal, 5000, axis=1)
    return [with_signal(e, lambda _: louder, rate=500) if i == 40 else e for i, e in enumerate(entries)]


def none_over_eighty(entries: Entries) -> Entries:
    return [replace(e, age=70) if e.age == 85 else e for e in entries]


# Expectation -> what is done to a healthy data set, and the first example that the report must give.
ALTERATIONS: dict[str, tuple[Callable[[Entries], Entries], str]] = {
    "every split has recordings": (without_split, "test"),
    "every field has its type": (first(1, device=7), "R0"),
    "recording ids are unique": (first(1, recording_id="R1"), "R1"),
    "recordings are named": (first(1, recording_id=""), ""),
    "patients are named": (first(1, patient_id=" "), "R0"),
    "ages are possible": (first(1, age=300.0), "R0"),
    "patients are adults": (first(4, age=12.0), "R0"),
    "sex is one of the vocabulary": (first(1, sex="M"), "R0"),
    "sampling rates are those of a resting ECG": (half_the_rate, "R0"),
    "recordings are one window long": (signals_of_first(1, lambda s: np.tile(s, 3)), "R0"),
    "amplitudes are millivolts": (signals_of_first(1, lambda s: 1000 * s), "R0"),
    "recordings can be read": (first(1, source=Failing(Malformed("cut off"))), "R0"),
    "a clinician could read them": (signals_of_first(2, shuffled), "R0"),
    "samples are numbers": (signals_of_first(2, invalid_for_long), "R0"),
    "all twelve leads hold a signal": (signals_of_first(2, without_v3), "R0"),
    "signals are clean": (signals_of_first(24, one_invalid_sample), "R0"),
    "labels are of the closed vocabulary": (first(1, labels={NORM: True, "AFIB": True}), "R0"),
    "labels are true or false": (first(1, labels={NORM: 1}), "R0"),
    "something is known of each recording": (first(5, labels={}), "R0"),
    "normal excludes abnormal": (labels(contradictory), "R0"),
    "label rates are plausible": (labels(known_where_present), "train/HYP"),
    "every known class can be learnt": (rare(Split.TRAIN, kept=2), "train/MI"),
    "every known class can be judged": (rare(Split.VAL, kept=1), "val/MI"),
    "every patient is in one split": (lambda entries: changed(entries, 40, patient_id="P0"), "R0"),
    "no samples are in two splits": (source_of_first(40), "R0"),
    "samples are there once": (source_of_first(1), "R0"),
    "no training recording is rendered again in another split": (rendered_again, "R40"),
    "sex is known": (first(13, sex=Sex.UNKNOWN), "R0"),
    "age is known": (first(13, age=None), "R0"),
    "every group by sex and age can be judged": (none_over_eighty, "age/80 and over"),
}  # fmt: skip


def test_a_healthy_data_set_fulfils_every_expectation(healthy: tuple[Entry, ...]) -> None:
    report = validate(data_set(healthy), LIMITS)
    assert [f.line for f in report.findings if not f.passed] == []
    assert report.looked_at == SIZE


@pytest.mark.parametrize("name", ALTERATIONS)
def test_each_fault_breaks_exactly_the_expectation_that_is_about_it(name: str, healthy: tuple[Entry, ...]) -> None:
    alter, example = ALTERATIONS[name]
    report = validate(data_set(alter(list(healthy))), LIMITS)
    (broken,) = (f for f in report.findings if not f.passed)
    assert broken.name == name
    assert broken.examples[0] == example
    assert 0 < broken.failed <= broken.rows
    assert report.passed is (broken.severity is Severity.WARN)


def test_a_data_set_of_which_much_was_left_out_is_blocked(healthy: tuple[Entry, ...]) -> None:
    dropped = [Dropped(f"D{i}", "absent") for i in range(10)]
    (broken,) = validate(data_set(healthy, dropped), LIMITS).blocking
    assert (broken.name, broken.examples[0], broken.failed) == ("listed recordings are usable", "D0", 10)


def test_every_expectation_has_a_fault_that_breaks_it() -> None:
    assert {e.name for e in expectations(Limits())} == {*ALTERATIONS, "listed recordings are usable"}


def test_every_expectation_has_a_name_and_a_reason_of_its_own() -> None:
    made = expectations(Limits())
    assert len({e.name for e in made}) == len({e.reason for e in made}) == len(made)
    assert {e.suite for e in made} == {"schema", "values", "signals", "labels", "leakage", "bias"}


def test_the_limits_are_those_that_were_asked_for(healthy: tuple[Entry, ...]) -> None:
    strict = replace(LIMITS, max_peak=0.1, min_train_positives=1000, min_group=1000)
    found = validate(data_set(healthy), strict, sample=5)
    assert [f.name for f in found.findings if not f.passed] == [
        "amplitudes are millivolts",
        "every known class can be learnt",
        "every group by sex and age can be judged",
    ]
    assert (found.limits["max_peak"], found.limits["min_group"]) == (0.1, 1000)

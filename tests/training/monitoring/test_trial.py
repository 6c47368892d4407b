"""The trial of drift monitoring, on made-up traffic and on a few real recordings."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from actions.analyze import Analyze
from actions.policy import load_policy
from tests.fakes import FakeClassify, FixedClock, SequentialIds, make_prediction
from tests.training.conftest import SIZES
from tests.training.monitoring.ecgs import ecgs, reference
from training.datasets.catalog import open_dataset
from training.datasets.entry import Split
from training.monitoring.columns import sample_of
from training.monitoring.traffic import WINDOW_ECGS
from training.monitoring.trial import (
    STEP,
    Detected,
    analysed,
    columns,
    detection,
    false_alarms,
    run_trial,
    upper_bound,
)
from training.shifts import SENDERS, SHIFTS, Shift

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
ANALYZE = Analyze(
    classify=FakeClassify(make_prediction(MI=0.8)), policy=load_policy(None), clock=FixedClock(), ids=SequentialIds()
)


def test_windows_of_the_reference_distribution_raise_no_alarm() -> None:
    unchanged = sample_of(ecgs(1200, seed=5))
    assert false_alarms(unchanged, reference(), windows=10) == (0, Counter())


def test_windows_of_another_distribution_do() -> None:
    alarms, flagged = false_alarms(sample_of(ecgs(1200, seed=5, shift=1.5, only="noise")), reference(), windows=10)
    assert (alarms, flagged) == (10, Counter({"noise": 10}))


def test_a_shift_is_noticed_after_a_part_of_a_window() -> None:
    before, shifted = sample_of(ecgs(600, seed=5)), sample_of(ecgs(300, seed=6, shift=5.0, only="noise"))
    found = detection(SHIFTS["gain"], before, shifted, reference(), repeats=3)
    assert found.families == ("signal",)
    # All shifted ECGs lie where none was: a quarter of a window is a distance of a quarter.
    assert all(count is not None and abs(count - WINDOW_ECGS / 4) <= 2 * STEP for count in found.ecgs)
    assert found.to_json()["missed"] == 0
    assert found.to_json()["most"] == max(count for count in found.ecgs if count)


def test_no_shift_is_not_noticed() -> None:
    sample = sample_of(ecgs(600, seed=5))
    found = detection(Shift(name="none", text="none"), sample, sample, reference(), repeats=1)
    assert (found.ecgs, found.families) == ((None,), ())
    told = found.to_json()
    assert (told["missed"], told["median"], told["most"]) == (1, None, None)


def test_a_shift_that_is_missed_at_times_has_no_most() -> None:
    told = Detected(shift=SHIFTS["hum"], recordings=9, ecgs=(30, 50, None), families=()).to_json()
    assert (told["median"], told["most"], told["missed"], told["repeats"]) == (50, None, 1, 3)


def test_recordings_are_analysed_as_the_service_does_it(small_ptbxl: Path) -> None:
    entries = open_dataset("ptbxl", small_ptbxl).entries(Split.VAL)
    unchanged = analysed(entries, ANALYZE, NOW)
    assert [row.sender for row in unchanged[:4]] == [*SENDERS, SENDERS[0]]
    doubled = columns(analysed(entries, ANALYZE, NOW, SHIFTS["gain"]))
    before = columns(unchanged)
    assert (doubled.columns["limb_voltage"] > 1.9 * before.columns["limb_voltage"]).all()
    assert {row.sender for row in analysed(entries, ANALYZE, NOW, SHIFTS["device"])} == {SHIFTS["device"].sender}
    assert analysed(entries, ANALYZE, NOW, SHIFTS["hum"]) == []  # at 100 Hz there is no place for it


def test_the_whole_runs_on_a_folder(small_ptbxl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {name: shift for name, shift in SHIFTS.items() if name in ("limb-leads", "older")}
    monkeypatch.setattr("training.monitoring.trial.SHIFTS", few)
    told = reference()
    small = replace(told, outputs=told.outputs.where(range(5)))
    seen: list[tuple[int, int]] = []
    found = run_trial(
        small_ptbxl, ANALYZE, small, now=NOW, windows=2, repeats=1, progress=lambda *done: seen.append(done)
    )
    assert found.recordings == SIZES["val"] + SIZES["test"]
    assert [one.shift.name for one in found.detected] == list(few)
    assert found.detected[0].recordings == found.recordings
    assert (found.windows, found.false_alarms) == (2, 2)  # they are real, the reference is made up
    assert seen[-1][0] == seen[-1][1]


def test_the_bound_is_exact() -> None:
    """With no failure among n it is the p of which none of n has a chance of 5 %."""
    assert upper_bound(0, 300) == pytest.approx(1 - 0.05 ** (1 / 300))

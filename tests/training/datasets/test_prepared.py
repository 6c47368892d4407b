from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.errors import Malformed
from inference.recording import Recording
from training.datasets.prepared import load_prepared, model_input
from training.datasets.ptbxl import Split, read_index


def test_prepared_arrays_are_those_of_the_recordings_in_their_order(small_ptbxl: Path, cache: Path) -> None:
    entries = read_index(small_ptbxl, Split.VAL)
    data = load_prepared(entries, cache)
    last = model_input(entries[-1].read())
    assert len(data) == len(entries)
    np.testing.assert_array_equal(data.signals[-1], last.signal)
    np.testing.assert_array_equal(data.features[-1], last.features)
    assert data.ecg_ids.tolist() == [e.ecg_id for e in entries]
    assert data.labels.sum() == sum(len(e.labels) for e in entries)


def test_the_second_time_nothing_is_read(small_ptbxl: Path, cache: Path) -> None:
    entries = read_index(small_ptbxl, Split.VAL)
    load_prepared(entries, cache)
    calls: list[int] = []
    load_prepared(entries, cache, lambda done, total: calls.append(done))
    assert calls == []


def test_another_age_is_prepared_anew(small_ptbxl: Path, tmp_path: Path) -> None:
    (entry, *_) = read_index(small_ptbxl, Split.VAL)
    young, old = (load_prepared([replace(entry, age=age)], tmp_path).features for age in (30.0, 80.0))
    assert not np.array_equal(young, old, equal_nan=True)


def test_a_recording_that_cannot_be_read_leaves_no_cache(small_ptbxl: Path, tmp_path: Path) -> None:
    (entry, *_) = read_index(small_ptbxl, Split.VAL)
    broken = tmp_path / "broken.hea"
    broken.write_text("no header")
    with pytest.raises(Malformed):
        load_prepared([entry, replace(entry, header=broken)], tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_recording_of_several_windows_is_refused() -> None:
    signal = np.random.default_rng(0).normal(size=(12, 15_000)).astype(np.float32)
    with pytest.raises(ValueError, match="windows"):
        model_input(Recording(signal=signal, sampling_rate=500))

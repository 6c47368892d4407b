from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from inference.errors import Malformed, SignalMalformed
from inference.labels import Superclass
from inference.recording import Recording
from tests.training.datasets.code15_folder import Exam, tracing, write_part, write_table
from training.datasets.catalog import open_dataset
from training.datasets.entry import Entry, Split
from training.datasets.prepared import label_rows, load_prepared
from training.datasets.ptbxl import read_index
from training.datasets.wfdb_file import wfdb_file
from training.datasets.window import SeveralWindows, model_input


@pytest.fixture(scope="session")
def entries(small_ptbxl: Path) -> tuple[Entry, ...]:
    return read_index(small_ptbxl, Split.VAL)


@pytest.fixture
def code15(recordings: tuple[Recording, ...], tmp_path: Path) -> tuple[Entry, ...]:
    """Four exams: usable, all zeros, six leads torn off, usable."""
    torn = tracing(recordings[1])
    torn[:, 6:] = 0
    tracings = [tracing(recordings[0]), np.zeros_like(torn), torn, tracing(recordings[2])]
    exams = [Exam(1, 1, frozenset({"RBBB"})), Exam(2, 2), Exam(3, 3), Exam(4, 4, frozenset({"normal_ecg"}))]
    write_part(tmp_path, 0, exams, tracings)
    write_table(tmp_path, [exams])
    return tuple(open_dataset("code15", tmp_path).external_entries())


def test_prepared_arrays_are_those_of_the_recordings_in_their_order(entries: tuple[Entry, ...], cache: Path) -> None:
    data = load_prepared(entries, cache)
    last = model_input(entries[-1].read())
    assert len(data) == len(entries)
    np.testing.assert_array_equal(data.signals[-1], last.signal)
    np.testing.assert_array_equal(data.features[-1], last.features)
    assert data.recording_ids.tolist() == [e.recording_id for e in entries]
    assert data.labels.sum() == sum(sum(e.labels.values()) for e in entries)
    assert data.entries == entries


def test_the_second_time_nothing_is_read(entries: tuple[Entry, ...], cache: Path) -> None:
    load_prepared(entries, cache)
    calls: list[int] = []
    load_prepared(entries, cache, lambda done, total: calls.append(done))
    assert calls == []


def test_rows_can_be_given_to_torch_and_change_nothing_on_disk(entries: tuple[Entry, ...], cache: Path) -> None:
    data = load_prepared(entries, cache)
    torch.from_numpy(data.signals[:2]).zero_()
    torch.from_numpy(data.features[:2]).zero_()
    assert load_prepared(entries, cache).signals[:2].any()
    assert np.nan_to_num(load_prepared(entries, cache).features[:2]).any()


def test_another_age_is_prepared_anew(entries: tuple[Entry, ...], tmp_path: Path) -> None:
    young, old = (load_prepared([replace(entries[0], age=age)], tmp_path).features for age in (30.0, 80.0))
    assert not np.array_equal(young, old, equal_nan=True)


def test_other_labels_are_taken_without_preparing_anew(entries: tuple[Entry, ...], tmp_path: Path) -> None:
    load_prepared(entries[:1], tmp_path)
    calls: list[int] = []
    relabelled = replace(entries[0], labels={Superclass.MI: True})
    data = load_prepared([relabelled], tmp_path, lambda done, total: calls.append(done))
    np.testing.assert_array_equal(data.labels, [[np.nan, 1, np.nan, np.nan, np.nan]])
    assert calls == []


def test_an_unknown_label_is_nan(code15: tuple[Entry, ...]) -> None:
    np.testing.assert_array_equal(label_rows([code15[0], code15[3]]), [[0, np.nan, np.nan, 1, np.nan], [1, 0, 0, 0, 0]])
    assert label_rows([]).shape == (0, 5)


def test_what_cannot_be_used_is_an_error_unless_it_may_be_dropped(code15: tuple[Entry, ...], tmp_path: Path) -> None:
    with pytest.raises(SignalMalformed, match="zeros"):
        load_prepared(code15, tmp_path / "cache")


def test_what_cannot_be_used_is_dropped_with_its_reason(code15: tuple[Entry, ...], tmp_path: Path) -> None:
    data = load_prepared(code15, tmp_path / "cache", drop_unusable=True)
    assert data.recording_ids.tolist() == ["1", "4"]
    assert [e.recording_id for e in data.entries] == ["1", "4"]
    assert data.signals.shape == (2, 12, 5000)
    np.testing.assert_array_equal(data.labels[:, 0], [0, 1])
    np.testing.assert_array_equal(data.signals[1], model_input(code15[3].read()).signal)
    zeros, torn = data.dropped
    assert (zeros.recording_id, torn.recording_id) == ("2", "3")
    assert "zeros" in zeros.reason
    assert "V1" in torn.reason


def test_all_of_them_may_be_dropped(code15: tuple[Entry, ...], tmp_path: Path) -> None:
    data = load_prepared(code15[1:3], tmp_path / "cache", drop_unusable=True)
    assert len(data) == 0
    assert data.signals.shape == (0, 12, 5000)
    assert len(data.dropped) == 2


def test_after_a_recording_that_cannot_be_read_the_cache_is_not_taken_for_whole(
    entries: tuple[Entry, ...], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.hea"
    broken.write_text("no header")
    asked = [entries[0], replace(entries[0], source=wfdb_file(broken))]
    for _ in range(2):
        with pytest.raises(Malformed):
            load_prepared(asked, tmp_path / "cache")


def test_a_recording_of_several_windows_is_refused() -> None:
    signal = np.random.default_rng(0).normal(size=(12, 15_000)).astype(np.float32)
    with pytest.raises(SeveralWindows, match="windows"):
        model_input(Recording(signal=signal, sampling_rate=500))

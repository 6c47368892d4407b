from pathlib import Path

import numpy as np
import pytest

from training.datasets.catalog import open_dataset
from training.datasets.entry import Split
from training.export import Exported
from training.reference import distribution, read_profile, reference_profile, write_profile


def test_deciles_are_those_of_what_is_known() -> None:
    found = distribution(np.array([np.nan, *range(11)], np.float32))
    assert found.known == pytest.approx(11 / 12)
    assert found.deciles == pytest.approx([float(value) for value in range(11)])
    assert distribution(np.array([np.nan], np.float32)).deciles == ()


def test_the_profile_of_a_release_is_read_as_it_was_written(
    exported: Exported, small_ptbxl: Path, cache: Path, tmp_path: Path
) -> None:
    entries = open_dataset("ptbxl", small_ptbxl).entries(Split.VAL)
    seen: list[int] = []
    profile = reference_profile(exported.folder, entries, cache=cache, on_read=lambda done, _: seen.append(done))
    assert read_profile(write_profile(profile, tmp_path / "profiles" / "tiny.json")) == profile
    assert (profile.recordings, seen[-1]) == (len(entries), len(entries))
    assert all(0 <= found.decided <= 1 and len(found.probability.deciles) == 11 for found in profile.classes.values())
    assert 0 < profile.quality["clean"] <= 1


def test_without_recordings_there_is_no_profile(exported: Exported) -> None:
    with pytest.raises(ValueError, match="no recordings"):
        reference_profile(exported.folder, [])

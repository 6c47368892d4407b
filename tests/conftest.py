"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def _unicode_tables() -> None:
    """Built before the first test: on a fresh checkout Hypothesis needs more than a second for it, which the first test
    that draws text would otherwise spend, and fail for being slow."""
    st.text().validate()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real ECGs; the test is skipped where it is absent (its content may not be redistributed here)."""
    folder = Path(os.environ.get("ECG_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no ECG data at {folder}; set ECG_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def examples() -> Path:
    """The two recordings that the project ships: PTB-XL ecg_id 10 (NORM) and 184 (MI)."""
    return ROOT / "examples"

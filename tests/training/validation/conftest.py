from pathlib import Path

import pytest

from tests.training.validation import sets
from training.datasets.entry import Entry


@pytest.fixture(scope="session")
def healthy(shared_data: Path) -> tuple[Entry, ...]:
    """A data set of real recordings that fulfils every expectation within `sets.LIMITS`."""
    return sets.healthy(shared_data)

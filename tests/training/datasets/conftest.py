from pathlib import Path

import pytest

from inference.formats import wfdb
from inference.recording import Recording


@pytest.fixture(scope="session")
def chapman(shared_data: Path) -> Path:
    """The real part of Chapman-Shaoxing-Ningbo."""
    return shared_data / "chapman"


@pytest.fixture(scope="session")
def recordings(shared_data: Path) -> tuple[Recording, ...]:
    """Eight real recordings at 500 Hz."""
    headers = sorted((shared_data / "ptbxl" / "records500" / "00000").glob("*.hea"))[:8]
    return tuple(wfdb.read(header) for header in headers)

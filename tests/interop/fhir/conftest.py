"""One service for each test of the door, with a real store."""

from collections.abc import Iterator

import pytest

from tests.interop.service import Service, running


@pytest.fixture
def service() -> Iterator[Service]:
    """Empty."""
    with running() as started:
        yield started

"""The drill itself: what it calls kept and missed, what it writes, and one of its disasters for real. All of them:
`make drill`."""

from math import inf
from pathlib import Path

import pytest

from tests.bench.report import write
from tests.conftest import ROOT
from tests.drill.__main__ import HEADINGS, as_markdown
from tests.drill.disasters import DISASTERS, Disaster, Outcome, happen_one
from tests.drill.hospital import hospital
from tests.e2e.inspection import Findings
from tests.e2e.traffic import example_recordings


def outcome(forbidden: int = 0, left: Findings | None = None) -> Outcome:
    return Outcome("power cut", 10, 0.5, 2.0, 3, 4.0, forbidden, 1, left or Findings())


def test_what_is_lost_beyond_the_promise_or_left_wrong_is_a_miss() -> None:
    assert outcome().holds
    assert not outcome(forbidden=1).holds
    assert not outcome(left=Findings(doubled=["Observation/1"])).holds


def test_the_table_goes_between_the_marks_of_the_document(tmp_path: Path) -> None:
    file = tmp_path / "continuity.md"
    file.write_text((ROOT / "docs" / "continuity.md").read_text())
    write(file, as_markdown(["on a Monday"], [outcome(), outcome(forbidden=2)]))
    text = file.read_text()
    row = "| power cut | 10 | 0.5 s | 2.0 s | 3 | 4.0 s | 0 | 1 | whole |"
    assert f"{row} as promised |\n" in text
    assert f"{row} MISSED: 2 lost that must not be, 0 wrong |\n" in text
    assert f"| {' | '.join(HEADINGS)} |\n" in text
    assert text.count("## Keys") == 1


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_password_of_the_database_is_changed_under_traffic(examples: Path) -> None:
    """Nothing acknowledged is lost, nothing is there twice, and the old password opens nothing any more."""
    (rotation,) = [disaster for disaster in DISASTERS if "password" in disaster.name]
    with hospital(example_recordings(examples)) as running:
        happened = happen_one(running, rotation)
    assert (happened.lost, happened.left) == (0, Findings())
    assert happened.answered > 0


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_loss_is_noticed(examples: Path) -> None:
    """A drill that would miss one proves nothing."""

    def strike(hospital_: object) -> float:
        running.server.sql("DELETE FROM document_index; DELETE FROM inbox WHERE door = 'mllp' AND analysis_id IS NULL")
        return inf

    with hospital(example_recordings(examples)) as running:
        happened = happen_one(running, Disaster("somebody deletes", strike))
    assert happened.forbidden > 0
    assert not happened.holds

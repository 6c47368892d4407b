from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from tests.fakes import NOW
from training.monitoring.notice import LONGEST_TITLE, message, one_line, trial


@dataclass(frozen=True)
class Alert:
    key: str = "bias:sex"
    severity: str = "warning"
    title: str = "Urgent rate by sex"
    text: str = "Lowest over highest 0.57, needed 0.8: female 20.0%, male 35.0%."
    opened_at: datetime = NOW
    seen_at: datetime = NOW + timedelta(hours=2)
    resolved_at: datetime | None = None


def test_a_notice_says_what_was_found_since_when_and_where_to_look() -> None:
    told = message(Alert(), "opened", "https://ecg.example/")
    assert (told.title, told.tone) == ("[ECG] WARNING: Urgent rate by sex", "warning")
    assert told.body == (
        "Urgent rate by sex\n"
        "\n"
        "Lowest over highest 0.57, needed 0.8: female 20.0%, male 35.0%.\n"
        "\n"
        "Severity: warning\n"
        "Open since: 2026-03-02 09:30 UTC\n"
        "Found last: 2026-03-02 11:30 UTC\n"
        "\n"
        "Report: https://ecg.example/monitoring/bias\n"
        "Open alerts: https://ecg.example/monitoring/alerts"
    )
    assert "http" not in message(Alert(), "opened", None).body


def test_the_subject_says_what_has_become_of_it() -> None:
    over = Alert(resolved_at=NOW + timedelta(days=1))
    assert message(Alert(severity="critical"), "worsened", None).title == (
        "[ECG] CRITICAL, was milder: Urgent rate by sex"
    )
    told = message(over, "resolved", None)
    assert (told.title, told.tone) == ("[ECG] Resolved: Urgent rate by sex", "resolved")
    assert "Over since: 2026-03-03 09:30 UTC" in told.body
    late = message(over, "opened", None)
    assert (late.title, "Over since" in late.body) == ("[ECG] WARNING: Urgent rate by sex", True)


@pytest.mark.parametrize("bad", ["a\r\nBcc: x@y.org", "a\nBcc: x@y.org", "a\u2028Bcc: x@y.org", "a\x00Bcc: x@y.org"])
def test_no_title_begins_another_line(bad: str) -> None:
    told = message(Alert(title=bad, text=bad), "opened", None)
    assert told.title == "[ECG] WARNING: a Bcc: x@y.org"
    assert len(told.title.splitlines()) == 1
    assert told.body.splitlines()[2] == "a Bcc: x@y.org"


def test_what_cannot_be_seen_is_left_out_and_what_is_long_is_cut() -> None:
    assert one_line("\u202efdp.exe\u200b\ud800", 99) == "fdp.exe"
    assert len(message(Alert(title="x" * 999), "opened", None).body.splitlines()[0]) == LONGEST_TITLE


def test_in_a_chat_nobody_is_called() -> None:
    told = message(Alert(title="@channel", text="<!here> @everyone"), "opened", None).for_chat
    assert "@channel" not in told.title + told.body
    assert "@everyone" not in told.body
    assert "<!here>" in told.body, "the channel escapes what it would read as more than text"


def test_a_trial_says_that_nothing_has_happened() -> None:
    assert "Nothing has happened" in trial(NOW).body

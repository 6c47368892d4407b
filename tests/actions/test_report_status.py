from datetime import UTC, datetime, timedelta
from importlib import resources
from itertools import product
from random import Random
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actions.report_status import RANKS, TRANSITIONS, Demand, Issue, ReportStatus, supersedes, transition
from inference.errors import InvalidContent
from tests.fakes import NOW

S = ReportStatus

DEFINITIONS = orjson.loads(resources.files("interop.resources").joinpath("definitions.json").read_bytes())

# Every move that a clinician may make, written out once more; each other pair is refused.
ALLOWED = {
    (S.PARTIAL, S.FINAL),
    (S.PRELIMINARY, S.FINAL),
    (S.CANCELLED, S.FINAL),
    *product((S.FINAL, S.AMENDED, S.CORRECTED, S.APPENDED), (S.AMENDED, S.CORRECTED, S.APPENDED)),
    *((status, S.ENTERED_IN_ERROR) for status in S if status is not S.ENTERED_IN_ERROR),
}

# Few times and many statuses, so that equal ones meet; a night in which the clock is set back, for the zones.
BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = datetime(2026, 10, 25, tzinfo=UTC)
TIMES = st.one_of(
    st.sampled_from([NOW, NOW + timedelta(seconds=1)]),
    st.datetimes(timezones=st.timezones()),
    st.integers(0, 180).map(lambda minutes: (NIGHT + timedelta(minutes=minutes)).astimezone(BERLIN)),
)
ISSUES = st.builds(Issue, st.sampled_from(S), TIMES)


def test_the_statuses_are_those_of_r4() -> None:
    assert [str(status) for status in S] == DEFINITIONS["DiagnosticReport"]["status"]["codes"]


def test_every_status_has_its_moves_and_its_rank() -> None:
    assert set(TRANSITIONS) == set(RANKS) == set(S)


@pytest.mark.parametrize(("before", "after"), list(product(S, S)))
def test_a_move_is_allowed_with_a_reason_or_refused_with_what_is_allowed(before: S, after: S) -> None:
    if (before, after) in ALLOWED:
        assert transition(before, after).reason
        return
    with pytest.raises(InvalidContent) as refused:
        transition(before, after)
    assert refused.value.element == "DiagnosticReport.status"
    said, _, offered = refused.value.message.partition(";")
    assert said == f"A report that is {before} cannot become {after}"
    possible = [to for origin, to in product([before], S) if (origin, to) in ALLOWED]
    assert all(f" {to}" in offered for to in possible)
    assert ("no status follows" in offered) == (not possible)


def test_only_the_reading_after_all_and_the_appendix_ask_something_of_the_conclusion() -> None:
    asking = {pair: transition(*pair).demand for pair in ALLOWED if transition(*pair).demand is not Demand.NOTHING}
    assert asking == {(S.CANCELLED, S.FINAL): Demand.OWN_CONCLUSION} | {
        (before, S.APPENDED): Demand.EARLIER_KEPT for before in S if before.verified
    }


def test_a_report_is_verified_from_final_on_until_it_is_withdrawn() -> None:
    assert {status for status in S if status.verified} == {S.FINAL, S.AMENDED, S.CORRECTED, S.APPENDED}


@pytest.mark.parametrize(
    ("current", "stale"),
    [
        (S.FINAL, S.PRELIMINARY),
        (S.FINAL, S.CANCELLED),
        (S.CORRECTED, S.FINAL),
        (S.ENTERED_IN_ERROR, S.CORRECTED),
        (S.PRELIMINARY, S.PARTIAL),
        (S.REGISTERED, S.UNKNOWN),
    ],
)
def test_what_is_less_far_on_does_not_supersede_however_late_it_comes(current: S, stale: S) -> None:
    late, early = Issue(stale, NOW + timedelta(days=1)), Issue(current, NOW)
    assert not supersedes(late, early)
    assert supersedes(early, late)


@pytest.mark.parametrize(
    ("one", "other"),
    [(S.AMENDED, S.CORRECTED), (S.CORRECTED, S.APPENDED), (S.PRELIMINARY, S.CANCELLED), (S.FINAL, S.FINAL)],
)
def test_of_two_that_are_as_far_on_the_later_one_holds(one: S, other: S) -> None:
    earlier, later = Issue(one, NOW), Issue(other, NOW + timedelta(milliseconds=1))
    assert supersedes(later, earlier)
    assert not supersedes(earlier, later)
    assert supersedes(Issue(one, later.at), Issue(other, earlier.at))


def test_the_same_issue_from_another_zone_does_not_supersede() -> None:
    assert not supersedes(Issue(S.FINAL, NOW.astimezone(BERLIN)), Issue(S.FINAL, NOW))


def test_the_hour_after_the_clock_is_set_back_comes_after_the_hour_before() -> None:
    before = Issue(S.FINAL, datetime(2026, 10, 25, 2, 45, tzinfo=BERLIN))
    after = Issue(S.FINAL, datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1))
    assert supersedes(after, before)
    assert not supersedes(before, after)


def test_a_date_that_stands_for_no_date_can_be_compared() -> None:
    assert supersedes(Issue(S.FINAL, NOW), Issue(S.FINAL, datetime.fromisoformat("0001-01-01T00:00:00+14:00")))


def test_a_time_of_issue_without_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="offset"):
        Issue(S.FINAL, NOW.replace(tzinfo=None))


@given(ISSUES)
def test_no_issue_supersedes_itself(issue: Issue) -> None:
    assert not supersedes(issue, issue)


@given(ISSUES, ISSUES)
def test_of_two_issues_at_most_one_supersedes_the_other_and_neither_only_at_equal_rank_and_time(
    one: Issue, other: Issue
) -> None:
    assert not (supersedes(one, other) and supersedes(other, one))
    tied = not supersedes(one, other) and not supersedes(other, one)
    same_time = one.at - datetime(2000, 1, 1, tzinfo=UTC) == other.at - datetime(2000, 1, 1, tzinfo=UTC)
    assert tied == (same_time and RANKS[one.status] == RANKS[other.status])


@given(ISSUES, ISSUES, ISSUES)
def test_superseding_is_transitive_and_so_are_ties(a: Issue, b: Issue, c: Issue) -> None:
    def tied(one: Issue, other: Issue) -> bool:
        return not supersedes(one, other) and not supersedes(other, one)

    if supersedes(a, b) and supersedes(b, c):
        assert supersedes(a, c)
    if tied(a, b) and tied(b, c):
        assert tied(a, c)


@given(st.lists(ISSUES, min_size=1), st.randoms())
def test_whatever_the_order_of_arrival_the_issue_that_holds_has_the_same_rank_and_time(
    issues: list[Issue], chance: Random
) -> None:
    def held(arriving: list[Issue]) -> Issue:
        current = arriving[0]
        for new in arriving[1:]:
            current = new if supersedes(new, current) else current
        return current

    one, other = held(issues), held(sorted(issues, key=lambda _: chance.random()))
    assert not supersedes(one, other)
    assert not supersedes(other, one)

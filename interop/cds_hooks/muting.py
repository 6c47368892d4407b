"""What a user has decided about an ECG before, and what follows for the next card.

A finding that the user has accepted or overridden on this recording is not shown again for a while; one that has become
more urgent is. An immediate finding is never silenced: once decided it comes back as information, with the decision.
What another user decided, or about an earlier recording, silences nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from actions.analysis import Urgency
from audit.card_records import CardRow


@dataclass(frozen=True, slots=True)
class Finding:
    """What a card would tell: the rule that found it, and how urgent it is."""

    rule: str
    urgency: Urgency


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The newest of a user on one finding. urgency: how urgent it was then. at: aware, as the client says. reason: a
    code."""

    outcome: str
    urgency: Urgency
    at: datetime
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Sorted:
    """The findings to be shown, and the immediate ones that were decided before."""

    open: tuple[Finding, ...]
    decided: tuple[tuple[Finding, Decision], ...]


def decisions(shown: Iterable[CardRow]) -> Mapping[str, Decision]:
    """Rule -> the newest decision on it, of all cards that a user was shown about one analysis."""
    found: dict[str, Decision] = {}
    for finding in (one for card in shown for one in card.findings):
        if finding.outcome is None or finding.decided_at is None:
            continue
        known = found.get(finding.rule)
        if known is None or known.at <= finding.decided_at:
            found[finding.rule] = Decision(
                outcome=finding.outcome,
                urgency=Urgency(finding.urgency),
                at=finding.decided_at,
                reason=finding.reason,
            )
    return found


def sort(
    findings: Sequence[Finding], decided: Mapping[str, Decision], *, now: datetime, silent_for: timedelta
) -> Sorted:
    """Which findings are still to be shown. silent_for: how long a decision holds, from its own time on."""
    open_: list[Finding] = []
    before: list[tuple[Finding, Decision]] = []
    for finding in findings:
        decision = decided.get(finding.rule)
        if decision is None or finding.urgency.rank < decision.urgency.rank:
            open_.append(finding)
        elif finding.urgency is Urgency.IMMEDIATE:
            before.append((finding, decision))
        elif now - decision.at >= silent_for:
            open_.append(finding)
    return Sorted(tuple(open_), tuple(before))

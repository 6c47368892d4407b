"""Feedback on cards (CDS Hooks 2.0, section Feedback): stored and counted, and what silences a finding for its user.

It is no over-read: that a proposal was accepted says nothing of whether the finding is right.
"""

from collections.abc import Sequence
from datetime import datetime

import orjson

from audit.card_records import CardFinding, CardRow, FeedbackRow
from audit.records import AuditEntry, AuditEvent, UnitOfWork
from inference.errors import NotFound
from interop.cds_hooks.orders import OF_ORDER
from interop.cds_hooks.request import Feedback
from interop.cds_hooks.wire import OVERRIDE_REASONS
from interop.intake import Intake
from interop.logs import correlation

ACCEPTED, OVERRIDDEN, LEFT = "accepted", "overridden", "left"
OTHER_REASON, NO_REASON = "other", "none"


async def take(intake: Intake, service_id: str, given: Sequence[Feedback]) -> None:
    """Store all of it or nothing. Raises NotFound for a card that this service has not shown; one feedback that comes
    again is counted once."""
    now = intake.clock()
    new = await intake.write(lambda uow: [_stored(uow, service_id, one, place, now) for place, one in enumerate(given)])
    for feedback, decided in zip(given, new, strict=True):
        for rule, outcome in decided.items():
            reason = counted_reason(feedback.reason) if outcome == OVERRIDDEN else NO_REASON
            intake.metrics.decided(rule.partition(OF_ORDER)[0], outcome, reason)


def counted_reason(code: str | None) -> str:
    """A reason as a word of a closed list."""
    return NO_REASON if code is None else code if code in OVERRIDE_REASONS else OTHER_REASON


def _stored(uow: UnitOfWork, service_id: str, feedback: Feedback, place: int, now: datetime) -> dict[str, str]:
    """What became of each finding; nothing where it is known already."""
    card = _shown(uow, service_id, feedback, place)
    # A clock that runs ahead would silence a finding for longer.
    at = min(feedback.at, now)
    outcomes = {finding.rule: _outcome(finding, feedback) for finding in card.findings}
    row = FeedbackRow(
        card_id=card.id,
        outcome=feedback.outcome,
        outcome_at=at,
        received_at=now,
        outcomes=outcomes,
        reason=counted_reason(feedback.reason) if feedback.outcome == OVERRIDDEN else None,
        detail=orjson.dumps(feedback.model_dump(mode="json", exclude_none=True)),
    )
    if not uow.cards.decide(row):
        return {}
    payload = {"card": card.id, "user": card.user_key, "outcome": row.outcome, "reason": row.reason}
    uow.trail.append(
        AuditEntry(
            event=AuditEvent.CARD_FEEDBACK,
            recorded_at=now,
            subject=f"DiagnosticReport/{card.analysis_id}",
            correlation_id=correlation.get(),
            payload=orjson.dumps(payload | {"at": at.isoformat(), "findings": outcomes}),
        )
    )
    return outcomes


def _shown(uow: UnitOfWork, service_id: str, feedback: Feedback, place: int) -> CardRow:
    try:
        card = uow.cards.get(feedback.card)
    except NotFound:
        card = None
    if card is None or card.service != service_id:
        raise NotFound("this service has shown no such card", element=f"feedback.{place}.card")
    return card


def _outcome(finding: CardFinding, feedback: Feedback) -> str:
    """A card that was accepted for one of its suggestions leaves the findings of the others."""
    if feedback.outcome == OVERRIDDEN:
        return OVERRIDDEN
    taken = {one.id for one in feedback.acceptedSuggestions}
    return ACCEPTED if taken & set(finding.suggestion_ids) else LEFT

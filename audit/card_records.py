"""Frozen values and the protocol of CDS Hooks cards: what clinicians were shown, and what they did about it. They
belong to `audit.records`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFinding:
    """One finding on a card. rule: what found it. suggestion_ids: of the card's suggestions, those that belong to it.
    outcome, decided_at, reason: the newest decision on it, None before there is one."""

    rule: str
    urgency: str
    suggestion_ids: tuple[str, ...] = ()
    outcome: str | None = None
    decided_at: datetime | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CardRow:
    """One CDS Hooks card that a user was shown. id: its uuid. user_key: the user, with the system that names it."""

    id: str
    at: datetime
    service: str
    user_key: str
    analysis_id: str
    indicator: str
    findings: tuple[CardFinding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackRow:
    """What a user did about a card. outcome_at: when, as the client says. outcomes: rule -> what became of the finding.
    reason: a code. detail: the whole as JSON bytes."""

    card_id: str
    outcome: str
    outcome_at: datetime
    received_at: datetime
    outcomes: Mapping[str, str]
    reason: str | None
    detail: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CardCount:
    """How many findings were shown with this outcome and reason, of one rule and urgency."""

    rule: str
    urgency: str
    outcome: str | None
    reason: str | None
    number: int


class Cards(Protocol):
    """What clinicians were shown, and what they did about it."""

    def add(self, row: CardRow) -> None:
        """Store one."""

    def get(self, id: str) -> CardRow:
        """One card. Raises NotFound."""

    def of(self, user_key: str, analysis_id: str) -> Sequence[CardRow]:
        """What a user was shown of one analysis, oldest first."""

    def decide(self, row: FeedbackRow) -> bool:
        """Store a feedback, and as the decision on the findings of its card unless a later one is known. False where
        the same feedback is there already. Raises NotFound for an unknown card."""

    def counts(self, since: datetime) -> Sequence[CardCount]:
        """Findings on the cards since then, by rule, urgency, outcome and reason."""

    def shown(self, since: datetime) -> Mapping[str, int]:
        """Cards since then, by indicator."""

"""What clinicians were shown by CDS Hooks, and what they did about it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row, Select, func, or_, select, update

from audit.card_records import CardCount, CardFinding, CardRow, FeedbackRow
from audit.columns import as_key
from audit.insert import insert_all, insert_if_absent
from audit.schema import card_feedback, card_findings, cards
from inference.errors import NotFound

_FINDING = ("rule", "urgency", "suggestion_ids", "outcome", "decided_at", "reason")
_WITH_FINDINGS = (
    select(cards, *(card_findings.c[name] for name in _FINDING))
    .join(card_findings, card_findings.c.card_id == cards.c.id)
    .order_by(cards.c.at, cards.c.id, card_findings.c.rule)
)


class SqlCards:
    """`audit.card_records.Cards` on a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, row: CardRow) -> None:
        """Store one."""
        names = ("id", "at", "service", "analysis_id", "indicator")
        values = {name: getattr(row, name) for name in names} | {"user_key": as_key(row.user_key)}
        insert_all(self._connection, cards, [values])
        findings = [
            {
                "card_id": row.id,
                "rule": finding.rule,
                "urgency": finding.urgency,
                "suggestion_ids": list(finding.suggestion_ids),
            }
            for finding in row.findings
        ]
        insert_all(self._connection, card_findings, findings)

    def get(self, id: str) -> CardRow:
        """One card. Raises NotFound."""
        for found in self._cards(_WITH_FINDINGS.where(cards.c.id == as_key(id))):
            return found
        raise NotFound("no such card")

    def of(self, user_key: str, analysis_id: str) -> Sequence[CardRow]:
        """What a user was shown of one analysis, oldest first."""
        of_user = (cards.c.user_key == as_key(user_key), cards.c.analysis_id == analysis_id)
        return list(self._cards(_WITH_FINDINGS.where(*of_user)))

    def decide(self, row: FeedbackRow) -> bool:
        """Store a feedback, and as the decision on the findings of its card unless a later one is known. False where
        the same feedback is there already. Raises NotFound for an unknown card."""
        self.get(row.card_id)
        names = ("card_id", "outcome", "outcome_at", "received_at", "detail")
        values = {name: getattr(row, name) for name in names}
        if insert_if_absent(self._connection, card_feedback, values) is None:
            return False
        for rule, outcome in row.outcomes.items():
            earlier = or_(card_findings.c.decided_at.is_(None), card_findings.c.decided_at <= row.outcome_at)
            decided = update(card_findings).where(
                card_findings.c.card_id == row.card_id, card_findings.c.rule == rule, earlier
            )
            decision = {"outcome": outcome, "decided_at": row.outcome_at, "reason": row.reason}
            self._connection.execute(decided.values(decision))
        return True

    def counts(self, since: datetime) -> Sequence[CardCount]:
        """Findings on the cards since then, by rule, urgency, outcome and reason."""
        by = [card_findings.c[name] for name in ("rule", "urgency", "outcome", "reason")]
        query = select(*by, func.count().label("number")).join(cards, card_findings.c.card_id == cards.c.id)
        rows = self._connection.execute(query.where(cards.c.at >= since).group_by(*by).order_by(*by))
        return [CardCount(**row._mapping) for row in rows]

    def shown(self, since: datetime) -> Mapping[str, int]:
        """Cards since then, by indicator."""
        query = select(cards.c.indicator, func.count()).where(cards.c.at >= since).group_by(cards.c.indicator)
        return {row[0]: row[1] for row in self._connection.execute(query)}

    def _cards(self, query: Select[Any]) -> Iterable[CardRow]:
        rows = self._connection.execute(query).all()
        for _, group in groupby(rows, key=lambda row: row.id):
            findings = list(group)
            yield _card(findings[0], tuple(_finding(row) for row in findings))


def _card(row: Row[Any], findings: tuple[CardFinding, ...]) -> CardRow:
    return CardRow(
        id=row.id,
        at=row.at,
        service=row.service,
        user_key=row.user_key,
        analysis_id=row.analysis_id,
        indicator=row.indicator,
        findings=findings,
    )


def _finding(row: Row[Any]) -> CardFinding:
    values = {name: getattr(row, name) for name in _FINDING}
    return CardFinding(**values | {"suggestion_ids": tuple(row.suggestion_ids)})

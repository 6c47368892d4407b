"""How clinicians took the cards: shown, accepted, overridden and why. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from audit.card_records import CardCount
from interop.cds_hooks.feedback import ACCEPTED, LEFT, NO_REASON, OVERRIDDEN
from interop.cds_hooks.orders import OF_ORDER
from interop.resources.codes import Json


def card_report(
    *, since: datetime, until: datetime, shown: Mapping[str, int], counts: Sequence[CardCount], ecgs: int
) -> Json:
    """Cards by indicator and for 100 ECGs that were analysed in the time, and for each rule what users did.

    Rates are of the findings that were answered, None where none was: most clients answer few cards.
    """
    number = sum(shown.values())
    rules: dict[str, list[CardCount]] = {}
    for count in counts:
        rules.setdefault(count.rule.partition(OF_ORDER)[0], []).append(count)
    return {
        "since": since.isoformat(),
        "until": until.isoformat(),
        "ecgs": ecgs,
        "cards": {"total": number, "per_100_ecgs": round(100 * number / ecgs, 2) if ecgs else None, **shown},
        "rules": [_of_rule(rule, found) for rule, found in sorted(rules.items())],
    }


def _of_rule(rule: str, counts: Sequence[CardCount]) -> Json:
    def with_outcome(outcome: str) -> int:
        return sum(one.number for one in counts if one.outcome == outcome)

    accepted, overridden, left = with_outcome(ACCEPTED), with_outcome(OVERRIDDEN), with_outcome(LEFT)
    answered = accepted + overridden + left
    reasons: dict[str, int] = {}
    for one in counts:
        if one.outcome == OVERRIDDEN:
            reason = one.reason or NO_REASON
            reasons[reason] = reasons.get(reason, 0) + one.number
    return {
        "rule": rule,
        "shown": sum(one.number for one in counts),
        "answered": answered,
        "accepted": accepted,
        "overridden": overridden,
        "left": left,
        "acceptance_rate": round(accepted / answered, 4) if answered else None,
        "override_rate": round(overridden / answered, 4) if answered else None,
        "override_reasons": reasons,
    }

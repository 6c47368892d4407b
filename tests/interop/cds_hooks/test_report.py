from datetime import timedelta

from audit.card_records import CardCount
from interop.cds_hooks.report import card_report
from tests.fakes import NOW


def count(rule: str, number: int, outcome: str | None = None, reason: str | None = None) -> CardCount:
    return CardCount(rule=rule, urgency="urgent", outcome=outcome, reason=reason, number=number)


def test_rates_are_of_what_was_answered_and_orders_of_one_rule_are_counted_together() -> None:
    counts = [
        count("mi", 6),
        count("mi", 3, "accepted"),
        count("mi", 1, "left"),
        count("qt#haloperidol", 2, "overridden", "known-finding"),
        count("qt#sotalol", 1, "overridden"),
        count("qt#sotalol", 1, "accepted"),
    ]
    report = card_report(
        since=NOW - timedelta(days=1), until=NOW, shown={"critical": 10, "warning": 4}, counts=counts, ecgs=200
    )
    assert report["cards"] == {"total": 14, "per_100_ecgs": 7.0, "critical": 10, "warning": 4}
    mi, qt = report["rules"]
    assert (mi["shown"], mi["answered"], mi["acceptance_rate"], mi["override_rate"]) == (10, 4, 0.75, 0.0)
    assert (qt["rule"], qt["shown"], qt["override_rate"]) == ("qt", 4, 0.75)
    assert qt["override_reasons"] == {"known-finding": 2, "none": 1}


def test_nothing_is_divided_by_nothing() -> None:
    report = card_report(since=NOW, until=NOW, shown={}, counts=[count("mi", 1)], ecgs=0)
    assert report["cards"]["per_100_ecgs"] is None
    assert report["rules"][0]["acceptance_rate"] is None

"""What `evaluate --cards` prints: how often a card comes, and how often it is right."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table

from interop.commands.console import out, print_json, print_table

if TYPE_CHECKING:  # training libraries are imported by the command, not by the console
    from training.card_counts import CardCounts, Share
    from training.evaluate import CountedCards

NOTHING = "-"


def tell_cards(found: "CountedCards", *, as_json: bool) -> None:
    """Print the counts as tables, or as one JSON document with shares from 0 to 1."""
    if as_json:
        print_json(_document(found))
        return
    counts = found.counts
    print_table(_by_urgency(counts))
    for line in _lines(found):
        out.print(line, markup=False)
    print_table(_by_rule(counts))


def _document(found: "CountedCards") -> dict[str, Any]:
    return {
        "model": {"name": found.model.name, "version": found.model.version, "sha256": found.model.sha256},
        "rules": asdict(found.policy),
        "split": found.split.value,
        "sampling_rates": {f"{rate:g}": count for rate, count in sorted(found.sampling_rates.items())},
        **asdict(found.counts),
    }


def _by_urgency(counts: "CardCounts") -> Table:
    columns = ("highest urgency", "recordings", "per 100", "judged by labels", "right", "right, %", "not judged")
    table = Table(*columns, box=None, padding=(0, 2, 0, 0))
    for one in counts.by_urgency:
        right = (one.right.of, one.right.count, _per_100(one.right))
        table.add_row(one.urgency.value, *map(str, (one.cards.count, _per_100(one.cards), *right, one.not_judged)))
    table.add_row("unreadable", str(counts.unreadable), *[NOTHING] * 5)
    return table


def _by_rule(counts: "CardCounts") -> Table:
    table = Table("rule", "shown", "judged by labels", "right", box=None, padding=(0, 2, 0, 0))
    for one in counts.by_rule:
        table.add_row(one.rule, str(one.shown), *_judged(one.judged, one.right))
    return table


def _judged(judged: int, right: int) -> tuple[str, str]:
    return (str(judged), str(right)) if judged else (NOTHING, NOTHING)


def _lines(found: "CountedCards") -> Iterator[str]:
    counts, infarcts = found.counts, found.counts.infarcts
    rates = ", ".join(f"{count} at {rate:g} Hz" for rate, count in sorted(found.sampling_rates.items()))
    yield (
        f"{counts.recordings} recordings of {found.split}: {rates}; "
        f"{counts.outside_intended_use} outside of the intended use, among none"
    )
    yield (
        f"immediate or urgent card where MI is among the labels: {infarcts.count} of {infarcts.of}, "
        f"{_per_100(infarcts)} per 100"
    )
    yield f"{found.model.name} {found.model.version}, rules {found.policy.name} {found.policy.version}; 95 % intervals"


def _per_100(share: "Share") -> str:
    found = share.share
    return NOTHING if found is None else f"{found.value:.1%} ({found.low:.1%} to {found.high:.1%})".replace("%", "")

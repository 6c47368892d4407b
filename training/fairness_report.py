"""A fairness report in readable form, from the JSON that stands in the card."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from training.groups import JUDGED, TOO_FEW
from training.markdown import interval_text, number_text, table

TITLES = {"sex": "By sex", "age": "By age"}


def fairness_markdown(report: Mapping[str, Any]) -> str:
    """`FairnessReport.to_json()` as Markdown, starting with a heading of the second level."""
    return "\n\n".join(_parts(report))


def prices_markdown(prices: Sequence[Mapping[str, Any]]) -> str:
    """What `training.remedies.trade_off` found, each `Price` as a dictionary, as a Markdown table."""
    rows = [
        [
            price["remedy"] + ("" if price["acceptable"] else " (not acceptable without a clinical decision)"),
            number_text(price["sex_ratio"]),
            number_text(price["age_ratio"]),
            number_text(price["macro_auc"], 3),
            number_text(price["urgent_rate"]),
            number_text(price["urgency_sensitivity"]),
            number_text(price["urgency_specificity"]),
            "passes" if price["passes"] else "fails",
        ]
        for price in prices
    ]
    heads = ["remedy", "ratio by sex", "ratio by age", "macro-AUC", "urgent rate", "sensitivity", "specificity", "gate"]
    return table(heads, rows)


def _parts(report: Mapping[str, Any]) -> Iterator[str]:
    verdict = "passes" if report["passes"] else "does not pass"
    left_out = ", ".join(f"{count} {reason}" for reason, count in report["left_out"].items())
    yield "## Fairness"
    yield (
        f"It **{verdict}**. Judged {report['source']} on {report['recordings']} recordings of {report['patients']} "
        f"patients; left out: {left_out}. Urgent: the highest urgency of a result is immediate or urgent, by the "
        "rules as served. True: the urgency that the true labels would give. Rates with Wilson, ratios and AUC with "
        "bootstrap intervals of 95 %."
    )
    yield table(
        ["condition", "value", "at least", ""],
        [
            [
                c["name"],
                number_text(c["value"]) if c["value"] is not None else "cannot be judged",
                f"{c['threshold']}",
                "passes" if c["passed"] else "fails",
            ]
            for c in report["conditions"]
        ],
    )
    for name, title in TITLES.items():
        yield from _attribute(title, report[name])
    if report.get("remedies"):
        yield "### What a remedy would cost"
        yield "On the same recordings; sensitivity and specificity are those of `urgent`."
        yield prices_markdown(report["remedies"])


def _attribute(title: str, attribute: Mapping[str, Any]) -> Iterator[str]:
    groups = attribute["groups"]
    yield f"### {title}"
    yield table(
        ["group", "recordings", "urgent", "truly urgent", "urgent over truly urgent", "macro-AUC", ""],
        [
            [
                name,
                str(group["recordings"]),
                _rate(group["urgent"]),
                _rate(group["true_urgent"]),
                interval_text(group["predicted_to_true"], 2),
                interval_text(group["scores"]["macro_auc"]),
                JUDGED if group["judged"] else TOO_FEW,
            ]
            for name, group in groups.items()
        ],
    )
    yield (
        f"Lowest over highest: urgent rate {_ratio(attribute['parity_ratio'])}; urgent over truly urgent "
        f"{_ratio(attribute['predicted_to_true_ratio'])}."
    )
    yield "Equalized odds: how far the groups lie apart in sensitivity or in false alarms, 0 at best."
    yield table(
        ["decision", "difference", "ratio", "true positive rates", "false positive rates"],
        [_odds_row(name, gap) for name, gap in attribute["odds"].items()],
    )
    yield "AUC, sensitivity and specificity of each class:"
    yield table(
        ["group", "class", "positives", "AUC", "sensitivity", "specificity"],
        [
            [
                group,
                name,
                str(scores["positives"]),
                interval_text(scores["auc"]),
                interval_text(scores["sensitivity"], 2),
                interval_text(scores["specificity"], 2),
            ]
            for group, figures in groups.items()
            for name, scores in figures["scores"]["classes"].items()
        ],
    )


def _odds_row(name: str, gap: Mapping[str, Any] | None) -> list[str]:
    if gap is None:
        return [name, TOO_FEW, "-", "-", "-"]
    by_group = [
        ", ".join(f"{group} {rate:.2f}" for group, rate in gap[key].items())
        for key in ("true_positive_rate", "false_positive_rate")
    ]
    return [name, f"{gap['difference']:.2f}", f"{gap['ratio']:.2f}", *by_group]


def _rate(rate: Mapping[str, Any]) -> str:
    return f"{rate['count']}: {interval_text(rate['share'], 2)}" if rate["share"] else "-"


def _ratio(interval: Mapping[str, float] | None) -> str:
    return "cannot be judged" if interval is None else interval_text(interval, 2)

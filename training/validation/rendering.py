"""A validation report for people: Markdown, and the same as one HTML page that needs nothing else and runs nothing."""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from markdown_it import MarkdownIt

from inference.labels import Superclass
from training.groups import TOO_FEW
from training.validation.bias import GroupRates, LabelRate
from training.validation.report import Finding, Severity, ValidationReport

MARKDOWN_FILE, PAGE_FILE, JSON_FILE = "validation.md", "validation.html", "validation.json"

# Strong and emphasised words in a table are verdicts; the page gives them their colours.
VERDICTS = {Severity.BLOCK: "**blocked**", Severity.WARN: "*warning*"}

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; color: #1a1a1a }
table { border-collapse: collapse; font-size: 0.875rem; display: block; overflow-x: auto }
th, td { border-bottom: 1px solid #d8d8d8; padding: 0.3rem 0.7rem; text-align: left; vertical-align: top }
td strong { color: #a4001d } td em { color: #7a4f00; font-style: normal; font-weight: 600 }
"""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}</body>
</html>
"""


def write_report(report: ValidationReport, folder: Path) -> tuple[Path, Path, Path]:
    """The report as Markdown, page and JSON in a folder, which is made if need be. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {MARKDOWN_FILE: to_markdown(report), PAGE_FILE: to_page(report), JSON_FILE: report.to_json()}
    for name, text in made.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder / MARKDOWN_FILE, folder / PAGE_FILE, folder / JSON_FILE


def to_page(report: ValidationReport) -> str:
    """One HTML page. What comes from the data set is text in it, whatever it holds."""
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(to_markdown(report))
    return PAGE.format(title=html.escape(_title(report)), style=STYLE, body=body)


def to_markdown(report: ValidationReport) -> str:
    """The verdict first, then every expectation, then who is in the data set."""
    parts = (
        f"# {_text(_title(report))}",
        f"**{_verdict(report)}**",
        _scope(report),
        *_broken("What stops it", report.blocking),
        *_broken("What a person should know", report.warnings),
        "## Expectations",
        _table(("suite", "expectation", "verdict", "expected", "seen", "for example"), map(_row, report.findings)),
        "## Who is in it",
        "Training and validation recordings; the labels of the test split are not looked at. In each cell the share of "
        "those where the class is known, with its 95 % interval (Wilson) and their number. A rate in emphasis differs "
        "from that of all: its interval excludes it.",
        *_groups(report.groups),
        "## Limits",
        _table(("limit", "value"), ((name, f"{value:g}") for name, value in report.limits.items())),
    )
    return "\n\n".join(parts) + "\n"


def _title(report: ValidationReport) -> str:
    return f"Validation of {report.dataset} {report.version}"


def _verdict(report: ValidationReport) -> str:
    counted = f"{len(report.findings)} expectations, {len(report.blocking)} blocking, {len(report.warnings)} warnings"
    return f"{'Passed' if report.passed else 'Blocked'}: {counted}."


def _scope(report: ValidationReport) -> str:
    sizes = ", ".join(f"{size:,} {split}" for split, size in report.recordings.items())
    total = sum(report.recordings.values())
    sampled = "" if report.looked_at == total else " Leaks of samples are looked for among those only."
    when = f"{report.computed_at:%Y-%m-%d %H:%M %Z}"
    return f"{when}. Recordings: {sizes}. Samples were read of {report.looked_at:,} of {total:,}.{sampled}"


def _broken(title: str, findings: Sequence[Finding]) -> tuple[str, ...]:
    if not findings:
        return ()
    return f"## {title}", "\n".join(f"- {_text(f.line)}. Why it matters: {_text(f.reason)}." for f in findings)


def _row(finding: Finding) -> tuple[str, ...]:
    verdict = "ok" if finding.passed else VERDICTS[finding.severity]
    texts = (finding.expected, finding.seen, ", ".join(finding.examples))
    return finding.suite, finding.name, verdict, *map(_text, texts)


def _groups(groups: Sequence[GroupRates]) -> tuple[str, ...]:
    overall: Mapping[Superclass, LabelRate] = next((g.rates for g in groups if g.attribute == "all"), {})
    header = ("recordings", "patients", *Superclass)
    return tuple(
        _table((attribute, *header), (_group_row(g, overall) for g in of_attribute))
        for attribute, of_attribute in groupby(groups, key=lambda g: g.attribute)
    )


def _group_row(group: GroupRates, overall: Mapping[Superclass, LabelRate]) -> tuple[str, ...]:
    rates = (_rate(group.rates[c], overall.get(c)) for c in Superclass)
    return _text(group.group), f"{group.recordings:,}", f"{group.patients:,}", *rates


def _rate(rate: LabelRate, overall: LabelRate | None) -> str:
    if rate.rate is None or rate.low is None or rate.high is None:
        return f"{TOO_FEW} ({rate.known})"
    text = f"{rate.rate:.1%} ({rate.low:.1%} to {rate.high:.1%}), {rate.known:,}"
    differs = overall is not None and overall.rate is not None and rate.excludes(overall.rate)
    return f"*{text}*" if differs else text


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (header, ["---"] * len(header), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(text: str) -> str:
    """As it is: no character of it is Markdown, no line of it ends."""
    return re.sub(r"([\\`*_\[\]<>|#&])", r"\\\1", " ".join(text.split()))

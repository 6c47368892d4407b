"""Metadata of materializations: tables as Markdown, plots as images, in the sizes that an event log bears."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import dagster as dg

from inference.labels import Superclass
from training.assessment import ReleaseAssessment
from training.bootstrap import Interval
from training.card import rounded
from training.datasets.entry import Entry, Split
from training.documents import README_FILE
from training.fairness_report import fairness_markdown, prices_markdown
from training.learning_curve import LearningPoint
from training.markdown import interval_text, table
from training.monitoring.run import Report
from training.monitoring.telling import Told
from training.promotion import Verdict
from training.scores import Assessment

MAX_IMAGE_BYTES = 300_000  # kept in the event log with each materialization
SHOWN = ("roc-", "reliability-")  # of the plots


def counts(splits: Mapping[str, Sequence[Entry]]) -> dg.MarkdownMetadataValue:
    """Recordings and patients of each split, positives of those where the class is known."""
    heads = ["split", "recordings", "patients", *Superclass]
    return dg.MetadataValue.md(table(heads, (_count_row(name, entries) for name, entries in splits.items())))


def _count_row(split: str, entries: Sequence[Entry]) -> list[str]:
    by_class = [[e.labels[c] for e in entries if c in e.labels] for c in Superclass]
    patients = len({e.patient_id for e in entries})
    return [split, f"{len(entries):,}", f"{patients:,}", *(f"{sum(known):,} of {len(known):,}" for known in by_class)]


def scores(assessment: Assessment) -> dg.MarkdownMetadataValue:
    """AUC of each class and their mean, with intervals."""
    rows = [[name, str(found.positives), _interval(found.auc)] for name, found in assessment.classes.items()]
    whole = ["macro", str(assessment.recordings), _interval(assessment.macro_auc)]
    return dg.MetadataValue.md(table(["class", "positives", "AUC (95 % interval)"], [*rows, whole]))


def evaluation(found: ReleaseAssessment) -> dict[str, dg.MetadataValue[Any]]:
    """Of the validation fold, with all plots."""
    plots = sorted(found.plots.glob("*.png"))
    return {
        "macro-AUC": dg.MetadataValue.float(found.evaluations[Split.VAL].assessment.macro_auc.value),
        "scores": scores(found.evaluations[Split.VAL].assessment),
        "plots": dg.MetadataValue.path(found.plots),
        "figures": images([path for path in plots if path.stem.startswith(SHOWN)]),
    }


def external(found: ReleaseAssessment, absent: str) -> dict[str, dg.MetadataValue[Any]]:
    """Of every other source. absent: what to say when there is none."""
    others = {name: each.assessment for name, each in found.evaluations.items() if name != Split.VAL}
    if not others:
        return {"status": dg.MetadataValue.text(absent)}
    return {name: scores(assessment) for name, assessment in others.items()}


def fairness(found: ReleaseAssessment) -> dict[str, dg.MetadataValue[Any]]:
    """The report, and what remedies would cost."""
    if found.fairness is None:
        return {"status": dg.MetadataValue.text("not judged: the run has no cross-validation")}
    return {
        "passes": dg.MetadataValue.bool(found.fairness.passes),
        "report": dg.MetadataValue.md(fairness_markdown(rounded(found.fairness.to_json()))),
        "remedies": dg.MetadataValue.md(prices_markdown([asdict(price) for price in found.prices])),
    }


def curve(points: Sequence[LearningPoint]) -> dg.MarkdownMetadataValue:
    """Macro-AUC of each branch by the number of recordings."""
    names = list(points[0].macro_auc) if points else []
    rows = [[f"{p.recordings:,}", *(_interval(p.macro_auc[name]) for name in names)] for p in points]
    return dg.MetadataValue.md(table(["recordings", *names], rows))


def readme(folder: Path) -> dg.MarkdownMetadataValue:
    """The card of a release, for people."""
    return dg.MetadataValue.md((folder / README_FILE).read_text())


def gate(verdict: Verdict) -> dg.MarkdownMetadataValue:
    """Each condition with value, threshold and margin."""
    rows = [
        [
            finding.condition.value,
            "not assessed" if finding.value is None else f"{finding.value:.4g}",
            f"{finding.asks} {finding.threshold:g}",
            "-" if finding.margin is None else f"{finding.margin:+.4g}",
            "passes" if finding.passed else ("waived" if finding.waived else "fails"),
        ]
        for finding in verdict.findings
    ]
    return dg.MetadataValue.md(table(["condition", "value", "needed", "margin", ""], rows))


def monitoring(report: Report, told: Sequence[Told]) -> dict[str, dg.MetadataValue[Any]]:
    """What was looked at, who was told of it, and the report as it is served."""
    words = {None: "cannot be told", True: "flagged", False: "ok"}
    rows = [[one.title, words[one.flag], one.text] for one in report.findings]
    return {
        "analyses": dg.MetadataValue.int(report.content["analyses"]),
        "over-reads": dg.MetadataValue.int(report.content["overreads"]["n"]),
        "flag": dg.MetadataValue.bool(report.flag),
        "findings": dg.MetadataValue.md(table(["what", "", "figures"], rows)),
        "notices": dg.MetadataValue.text("\n".join(map(str, told)) or "none"),
        "report": dg.MetadataValue.json(dict(report.content)),
    }


def images(paths: Sequence[Path]) -> dg.MarkdownMetadataValue:
    """PNG files, shown in the UI; of one that is too large, the path."""
    return dg.MetadataValue.md("\n\n".join(map(_image, paths)))


def _image(path: Path) -> str:
    content = path.read_bytes()
    if len(content) > MAX_IMAGE_BYTES:
        return f"`{path}`"
    return f"![{path.stem}](data:image/png;base64,{base64.b64encode(content).decode()})"


def _interval(interval: Interval | None) -> str:
    return interval_text(asdict(interval) if interval else None)

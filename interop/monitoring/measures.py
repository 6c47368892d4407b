"""What is plotted of the stored reports: a table of measures, each read out of the contents of a kind's reports. Pure.

A content may have been written by another version of this software. What it does not tell, or tells in another shape,
is a gap in a line and no error.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from audit.monitoring_records import ReportKind
from inference.labels import SUPERCLASS_NAMES, Superclass
from interop.monitoring.trends import Figure, Limit, Line, Point, Trend, Unit

Content = Mapping[str, Any]

JUDGED = "judged"  # `training.monitoring.outcome.Judgement`
LARGEST = 1e9  # of a figure; there are not so many ECGs
MOST_LINES = 6  # more are not told apart; there are six looks of a line


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One report of the past."""

    at: datetime
    content: Content


Read = Callable[[Content], Iterator[tuple[str, Figure | None]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """How a trend is read. lines: name and figure of each line, of one report. limit: in a content, or None; needed:
    whether it is the least that is good, else the most."""

    id: str
    title: str
    about: str
    unit: Unit
    lines: Read
    limit: Callable[[Content], float | None] = lambda content: None
    needed: bool = True


def trends(kind: ReportKind, reports: Sequence[Seen]) -> list[Trend]:
    """All of a kind, of its reports from the oldest to the newest."""
    return [_trend(measure, reports) for measure in MEASURES.get(kind, ())]


def _trend(measure: Measure, reports: Sequence[Seen]) -> Trend:
    found = [dict(measure.lines(report.content)) for report in reports]
    names = list(dict.fromkeys(name for figures in reversed(found) for name in figures))[:MOST_LINES]
    lines = (
        Line(name, tuple(Point(r.at, figures.get(name)) for r, figures in zip(reports, found, strict=True)))
        for name in names
    )
    return Trend(
        id=measure.id,
        title=measure.title,
        about=measure.about,
        unit=measure.unit,
        lines=tuple(lines),
        limit=_limit(measure, reports[-1].content) if reports else None,
    )


def _limit(measure: Measure, content: Content) -> Limit | None:
    value = measure.limit(content)
    if value is None:
        return None
    word = "needed" if measure.needed else "allowed"
    match measure.unit:
        case Unit.SHARE:
            return Limit(value, f"{word} {value:.0%}")
        case Unit.MILLISECONDS:
            return Limit(value, f"{word} {value:g} ms")
        case _:
            return Limit(value, f"{word} {value:.3g}")


def number(value: object) -> float | None:
    """A number that a figure can be, or nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) <= LARGEST else None  # NaN is not, either


def part(content: object, *path: str) -> Content:
    """An object within a content; an empty one where there is none."""
    for name in path:
        content = content.get(name) if isinstance(content, Mapping) else None
    return content if isinstance(content, Mapping) else {}


def _figure(found: Content, name: str = "value", bounds: Content | None = None, factor: float = 1) -> Figure | None:
    value = number(found.get(name))
    low, high = (number((found if bounds is None else bounds).get(bound)) for bound in ("low", "high"))
    if value is None:
        return None
    if low is None or high is None:
        return Figure(value * factor)
    return Figure(value * factor, low * factor, high * factor)


def _groups(attribute: str) -> Read:
    def lines(content: Content) -> Iterator[tuple[str, Figure | None]]:
        for name, group in part(content, "groups", attribute, "groups").items():
            known = part(group)
            yield name, _figure(known, "rate") if known.get("judgement") == JUDGED else None

    return lines


def _parity(content: Content) -> Iterator[tuple[str, Figure | None]]:
    for attribute, found in part(content, "groups").items():
        yield f"by {attribute}", _figure(part(found), "ratio", part(found, "interval"))


def _macro_auc(content: Content) -> Iterator[tuple[str, Figure | None]]:
    yield "macro-AUC", _figure(part(content, "macro_auc"))


def _auc_of(superclass: Superclass) -> Read:
    def lines(content: Content) -> Iterator[tuple[str, Figure | None]]:
        yield superclass.value, _figure(part(content, "classes", superclass.value, "auc"))

    return lines


def _calibration(content: Content) -> Iterator[tuple[str, Figure | None]]:
    for superclass in Superclass:
        yield superclass.value, _figure(part(content, "classes", superclass.value, "calibration", "error"))


def _latency(content: Content) -> Iterator[tuple[str, Figure | None]]:
    for name in ("p50", "p99"):
        yield name, _figure(part(content, "latency"), f"{name}_seconds", factor=1000)


def _share_by_door(name: str) -> Read:
    def lines(content: Content) -> Iterator[tuple[str, Figure | None]]:
        for door, found in part(content, "errors").items():
            yield door, _figure(part(found, name), "rate")

    return lines


def _a_day(content: Content) -> Iterator[tuple[str, Figure | None]]:
    analyses, days = number(content.get("analyses")), number(part(content, "window").get("days"))
    yield "ECGs", Figure(analyses / days) if analyses is not None and days else None


def _features(content: Content) -> list[Content]:
    features = content.get("features")
    return [part(one) for one in features] if isinstance(features, list) else []


def _drifting(content: Content) -> Iterator[tuple[str, Figure | None]]:
    flags = [one.get("flag") is True for one in _features(content) if one.get("judgement", JUDGED) == JUDGED]
    yield "drifting", Figure(sum(flags) / len(flags)) if flags else None


def _smallest(content: Content) -> Iterator[tuple[str, Figure | None]]:
    chances = [number(one.get("p_adjusted", one.get("p_value"))) for one in _features(content)]
    known = [chance for chance in chances if chance is not None]
    yield "smallest p", Figure(min(known)) if known else None


def _largest(content: Content) -> Iterator[tuple[str, Figure | None]]:
    found: dict[str, float] = {}
    for one in _features(content):
        effect, least, group = number(one.get("effect")), number(one.get("least_effect")), one.get("group")
        if effect is not None and least and isinstance(group, str):
            found[group] = max(found.get(group, 0.0), effect / least)
    yield from ((group, Figure(times)) for group, times in found.items())


def _both(*path: str, name: str = "rate", factor: float = 1) -> Read:
    """What serves and what runs in its shadow."""

    def lines(content: Content) -> Iterator[tuple[str, Figure | None]]:
        for who in ("served", "shadow"):
            yield who, _figure(part(content, *path, who), name, factor=factor)

    return lines


def _shares(*names: str) -> Read:
    def lines(content: Content) -> Iterator[tuple[str, Figure | None]]:
        for name in names:
            yield name, _figure(part(content, name), "rate")

    return lines


def _given(*path: str, factor: float = 1) -> Callable[[Content], float | None]:
    def limit(content: Content) -> float | None:
        found = number(part(content, *path[:-1]).get(path[-1]))
        return None if found is None else found * factor

    return limit


OVERREAD = "of the ECGs that a clinician has over-read"

MEASURES: Mapping[ReportKind, Sequence[Measure]] = {
    ReportKind.DRIFT: (
        Measure(
            id="drifting",
            title="Features that drift",
            about="Share of the features whose distribution is not that of the reference.",
            unit=Unit.SHARE,
            lines=_drifting,
        ),
        Measure(
            id="smallest",
            title="Smallest p-value",
            about="How likely the most unlikely difference is by chance, corrected for the number of tests.",
            unit=Unit.CHANCE,
            lines=_smallest,
            limit=_given("alpha"),
        ),
        Measure(
            id="largest",
            title="Largest difference",
            about="In each group of features, as a multiple of the least that matters.",
            unit=Unit.COUNT,
            lines=_largest,
            limit=lambda content: 1.0,
            needed=False,
        ),
    ),
    ReportKind.BIAS: (
        Measure(
            id="urgent-by-sex",
            title="Urgent rate by sex",
            about="Share of ECGs whose highest urgency is immediate or urgent.",
            unit=Unit.SHARE,
            lines=_groups("sex"),
        ),
        Measure(
            id="urgent-by-age",
            title="Urgent rate by age",
            about="The same by age in years; disease grows with age.",
            unit=Unit.SHARE,
            lines=_groups("age"),
        ),
        Measure(
            id="parity",
            title="Parity ratio",
            about="Lowest over highest urgent rate of the groups; 1 is equal.",
            unit=Unit.RATIO,
            lines=_parity,
            limit=_given("least_ratio"),
        ),
    ),
    ReportKind.PERFORMANCE: (
        Measure(
            id="macro-auc",
            title="Macro-AUC",
            about=f"Mean of the five groups, {OVERREAD}.",
            unit=Unit.AUC,
            lines=_macro_auc,
            limit=_given("limits", "macro_auc"),
        ),
        *(
            Measure(
                id=f"auc-{superclass.value.lower()}",
                title=f"AUC, {SUPERCLASS_NAMES[superclass]}",
                about=f"How well its probability ranks, {OVERREAD}.",
                unit=Unit.AUC,
                lines=_auc_of(superclass),
            )
            for superclass in Superclass
        ),
        Measure(
            id="calibration",
            title="Calibration error",
            about="How far probabilities lie from how often the finding was there; 0 is exact.",
            unit=Unit.SHARE,
            lines=_calibration,
        ),
        Measure(
            id="agreement",
            title="Agreement",
            about="Share of over-reads that concluded the same as the report.",
            unit=Unit.SHARE,
            lines=_shares("agreement"),
        ),
        Measure(
            id="latency",
            title="Time of an analysis",
            about="In milliseconds; half (p50) and 99 of 100 (p99) took no longer.",
            unit=Unit.MILLISECONDS,
            lines=_latency,
            limit=_given("limits", "p99_seconds", factor=1000),
            needed=False,
        ),
        Measure(
            id="errors",
            title="Errors by door",
            about="Share of received items that could not be processed.",
            unit=Unit.SHARE,
            lines=_share_by_door("error"),
            limit=_given("limits", "error"),
            needed=False,
        ),
        Measure(
            id="refusals",
            title="Not interpretable, by door",
            about="Share of analyses whose signal was refused.",
            unit=Unit.SHARE,
            lines=_share_by_door("not_interpretable"),
            limit=_given("limits", "not_interpretable"),
            needed=False,
        ),
        Measure(
            id="a-day",
            title="ECGs in a day",
            about="Live analyses of the window of a report, over its days.",
            unit=Unit.COUNT,
            lines=_a_day,
        ),
    ),
    ReportKind.SHADOW: (
        Measure(
            id="shadow-urgent",
            title="Urgent rate, served and shadow",
            about="Share of the same ECGs that each calls immediate or urgent.",
            unit=Unit.SHARE,
            lines=_both("urgent"),
        ),
        Measure(
            id="shadow-auc",
            title="Macro-AUC, served and shadow",
            about=f"Mean of the five groups, {OVERREAD}.",
            unit=Unit.AUC,
            lines=_both("overreads", "macro_auc", name="value"),
        ),
        Measure(
            id="shadow-alike",
            title="Decided alike, and compared",
            about="Share in which both decide the same in every group; share of analyses that both saw.",
            unit=Unit.SHARE,
            lines=_shares("agreement", "compared"),
            limit=_given("limits", "compared"),
        ),
        Measure(
            id="shadow-latency",
            title="Slowest 1 %, served and shadow",
            about="In milliseconds; 99 of 100 took no longer.",
            unit=Unit.MILLISECONDS,
            lines=_both("latency", name="p99_seconds", factor=1000),
        ),
    ),
}

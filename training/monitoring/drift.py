"""Drift in live traffic: whether the newest ECGs, and what the model says of them, still are what they were.

The newest `WINDOW_ECGS` live ECGs are compared column by column (`training.monitoring.columns`) with the reference of
the model (`training.reference`); where they come from, which no reference knows, with the traffic before them; and the
model's decisions with over-reads (`training.monitoring.concept`). A number of ECGs, not of hours: a small ward and a
large hospital are judged alike, and a night brings no verdict of its own.

Left out are silent analyses, and ECGs of archives, which are no traffic. Outputs of another model than the reference's
are not compared.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training.monitoring.columns import COLUMNS, Family, Sample, sample_of
from training.monitoring.concept import SPIEGELHALTER, concept_tests
from training.monitoring.drift_page import Sides, drift_page
from training.monitoring.observed import AnalysisSeen, Observed, Window
from training.monitoring.outcome import Finding, Judgement, Outcome
from training.monitoring.shift_tests import ALPHA, MIN_ECGS, Judged, compare, judge, side_text
from training.monitoring.traffic import EARLIER_ECGS, WINDOW_ECGS, Traffic, traffic_of
from training.monitoring.truth import Truth, gather
from training.reference import Reference

BEFORE = "the traffic before"

SEVERITIES: Mapping[Family, str] = {
    Family.SIGNAL: "warning",
    Family.QUALITY: "warning",
    Family.DEMOGRAPHICS: "info",
    Family.SOURCES: "info",
    Family.OUTPUT: "warning",
    Family.CONCEPT: "warning",
}
TITLES: Mapping[Family, str] = {
    Family.SIGNAL: "Signals differ from those that the model was made for",
    Family.QUALITY: "Signal quality differs from what it was",
    Family.DEMOGRAPHICS: "Patients differ in age or sex from those that the model was made for",
    Family.SOURCES: "ECGs come from elsewhere than before",
    Family.OUTPUT: "Results differ from those of the validation of the model",
    Family.CONCEPT: "Clinicians agree less with the model than in its validation",
}
Render = Callable[[Sequence[Judged], Sides], bytes | None]

MOST_NAMED = 6  # columns in the text of an alert


@dataclass(frozen=True, slots=True)
class DriftMonitor:
    """Compares with one reference. render: makes the page, in some seconds."""

    reference: Reference
    render: Render = drift_page

    def __call__(self, seen: Observed, window: Window) -> Outcome:
        """Look at the newest ECGs of a window, and at what was over-read in it."""
        traffic = traffic_of(seen.newest(WINDOW_ECGS + EARLIER_ECGS, window.end), window)
        return judge_traffic(traffic, gather(seen.overread(window.begin, window.end)), self.reference, self.render)


def judge_traffic(traffic: Traffic, truth: Truth, reference: Reference, render: Render) -> Outcome:
    """The report, with its page."""
    current, earlier = sample_of(traffic.current), sample_of(traffic.earlier)
    sides = sides_of(current, _of_model(traffic.current, current, reference), earlier, reference)
    judged = judge_sides(sides, truth, reference)
    content = {
        "analyses": len(traffic.current),
        "left_out": dict(traffic.left_out),
        "compared_with": {
            "model": {"name": reference.name, "version": reference.version, "sha256": reference.sha256},
            "source": reference.source,
            "created": reference.created.isoformat(),
            "inputs": len(reference.inputs),
            "outputs": len(reference.outputs),
            "earlier_traffic": len(traffic.earlier),
        },
        "overreads": len(truth),
        "alpha": ALPHA,
        "least_ecgs": MIN_ECGS,
        "judgement": Judgement.TOO_FEW if len(traffic.current) < MIN_ECGS else Judgement.JUDGED,
        "features": [_json(one) for one in judged],
    }
    findings = tuple(_finding(family, [one for one in judged if one.tested.family is family]) for family in Family)
    return Outcome(content=content, findings=findings, page=render(judged, sides))


def sides_of(current: Sample, outputs: Sample, earlier: Sample, reference: Reference) -> Sides:
    """What each family of columns is compared with. outputs: those of `current` that the reference's model read."""
    told = f"the reference ({reference.source})"
    return dict.fromkeys(Family, (current, reference.inputs, told)) | {
        Family.OUTPUT: (outputs, reference.outputs, told),
        Family.SOURCES: (current, earlier, BEFORE),
    }


def judge_sides(sides: Sides, truth: Truth, reference: Reference) -> tuple[Judged, ...]:
    """Every test of a report."""
    tests = [compare(column, *sides[column.family]) for column in COLUMNS]
    return judge([*tests, *concept_tests(truth, reference.agreement, "the validation of the model")])


def _of_model(rows: Sequence[AnalysisSeen], sample: Sample, reference: Reference) -> Sample:
    wanted = (reference.name, reference.version)
    return sample.where([place for place, row in enumerate(rows) if (row.model_name, row.model_version) == wanted])


def _json(judged: Judged) -> dict[str, Any]:
    one = judged.tested
    return {
        "name": one.name,
        "group": one.family.value,
        "test": one.test,
        "statistic": one.statistic,
        "p_value": one.p_value,
        "p_adjusted": judged.p_adjusted,
        "effect": one.effect,
        "least_effect": one.least,
        "flag": bool(judged.flag),
        "judgement": Judgement.TOO_FEW if judged.flag is None else Judgement.JUDGED,
        "n": one.n,
        "n_reference": one.n_reference,
        "against": one.against,
        "reference": one.reference,
        "current": one.current,
    }


def _finding(family: Family, judged: Sequence[Judged]) -> Finding:
    flagged = sorted((one for one in judged if one.flag), key=_by_effect)
    told = [one for one in judged if one.flag is not None]
    return Finding(
        key=f"drift:{family.value}",
        flag=bool(flagged) if told else None,
        severity=SEVERITIES[family],
        title=TITLES[family],
        text=_text(flagged, told, judged),
    )


def _text(flagged: Sequence[Judged], told: Sequence[Judged], judged: Sequence[Judged]) -> str:
    if not told:
        most = max((min(one.tested.n, _known_before(one)) for one in judged), default=0)
        return f"Too few to judge: {most} ECGs on one side, {MIN_ECGS} are needed."
    if not flagged:
        return f"None of {len(told)} tests."
    named = "; ".join(_shift(one) for one in flagged[:MOST_NAMED])
    more = f"; and {len(flagged) - MOST_NAMED} more" if len(flagged) > MOST_NAMED else ""
    newest = max(one.tested.n for one in flagged)
    return f"{len(flagged)} of {len(told)} tests, on the newest {newest} ECGs: {named}{more}."


def _known_before(judged: Judged) -> int:
    """Of a test that needs no reference as many as there are now."""
    return judged.tested.n if judged.tested.test == SPIEGELHALTER else judged.tested.n_reference


def _shift(judged: Judged) -> str:
    one = judged.tested
    return f"{one.name} {side_text(one.current)} (was {side_text(one.reference)}; p = {judged.p_adjusted:.1e})"


def _by_effect(judged: Judged) -> float:
    """Relative to what matters, the largest first."""
    return -(judged.tested.effect or 0.0) / judged.tested.least

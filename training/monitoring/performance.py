"""Performance of live results: how right they are by the over-reads of clinicians, how fast and how often they fail.

Over-reads give AUC, sensitivity and specificity at the thresholds of each result, calibration and agreement, each with
its number and interval. They are of those results that somebody over-read, which is no random draw.

Something is flagged only where chance is no explanation: where the whole interval is on the wrong side of its limit.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from inference.labels import Superclass
from training.bootstrap import Interval, bootstrap
from training.monitoring.groups import MIN_GROUP
from training.monitoring.observed import HASTE, LIVE, AnalysisSeen, Observed, OverreadSeen, Window
from training.monitoring.outcome import Finding, Judgement, Outcome
from training.monitoring.shares import interval_json, share
from training.monitoring.truth import Truth, class_auc, confusion, enough, gather, macro_auc, read_detail
from training.reliability import brier, calibration_error, recalibration, reliability_bins

LEAST_MACRO_AUC = 0.90  # the promotion gate's
MOST_ERRORS = 0.05  # of the items of a door: an interface that loses one message in twenty is broken
MOST_NOT_INTERPRETABLE = 0.2  # of the analyses of a door: ten times that of PTB-XL, so electrodes or an interface
MOST_SECONDS = 0.1  # at the 99th percentile: the service's budget for an ECG is 60 ms
LEAST_TIMED = 100  # below that the 99th percentile is one analysis

# As a report tells them, for it may be read when they are others.
LIMITS = {
    "macro_auc": LEAST_MACRO_AUC,
    "error": MOST_ERRORS,
    "not_interpretable": MOST_NOT_INTERPRETABLE,
    "p99_seconds": MOST_SECONDS,
}

FAILED = "failed"  # of the processing states of a received item
WAITING = ("received", "claimed")
OVERALL = "total"


@dataclass(slots=True)
class Tally:
    """Live analyses of a window. models: by (name, version). stages: seconds by stage. steps: by week or month."""

    modes: Counter[str] = field(default_factory=Counter)
    doors: Counter[str] = field(default_factory=Counter)
    senders: Counter[str] = field(default_factory=Counter)
    models: Counter[tuple[str, str]] = field(default_factory=Counter)
    not_interpretable: Counter[str] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)
    urgent_steps: Counter[str] = field(default_factory=Counter)
    stages: dict[str, "array[float]"] = field(default_factory=dict)

    def add(self, row: AnalysisSeen, step: str) -> None:
        """Count one."""
        self.doors[row.door] += 1
        self.senders[row.sender or ""] += 1
        self.not_interpretable[row.door] += not row.interpretable
        if row.model_name is not None:
            self.models[row.model_name, row.model_version or ""] += 1
        self.steps[step] += 1
        self.urgent_steps[step] += row.urgency in HASTE
        timings: Mapping[str, float] = read_detail(row.detail).get("timings") or {}
        for stage, seconds in (*timings.items(), *([(OVERALL, sum(timings.values()))] if timings else [])):
            self.stages.setdefault(stage, array("d")).append(seconds)


def monitor(seen: Observed, window: Window) -> Outcome:
    """Look at the live results of a window, at what was received in it and at what was over-read in it."""
    counted = tally(seen.analyses(window.begin, window.end), window)
    truth = gather(seen.overread(window.begin, window.end))
    return judge(counted, truth, seen.received(window.begin, window.end), window)


def tally(rows: Iterable[AnalysisSeen], window: Window) -> Tally:
    """Count them; none is kept."""
    found = Tally()
    for row in rows:
        found.modes[row.mode] += 1
        if row.mode == LIVE:
            found.add(row, window.step_of(row.analyzed_at))
    return found


def judge(counted: Tally, truth: Truth, received: Mapping[tuple[str, str], int], window: Window) -> Outcome:
    """The report."""
    overall = macro_auc(truth)
    errors = _errors(counted, received)
    latency = _latency(counted)
    content = {
        "analyses": counted.modes[LIVE],
        "left_out": {mode: number for mode, number in sorted(counted.modes.items()) if mode != LIVE},
        "overreads": {"n": len(truth), "left_out": dict(truth.left_out)},
        "macro_auc": interval_json(overall),
        "agreement": _agreement(truth.rows),
        "classes": {superclass.value: _class(truth, superclass) for superclass in Superclass},
        "latency": latency,
        "errors": errors,
        "counts": {
            "door": dict(counted.doors.most_common()),
            "sender": dict(counted.senders.most_common()),
            "model": [{"name": n, "version": v, "n": number} for (n, v), number in counted.models.most_common()],
        },
        "models": _by_model(truth),
        "trend": {"step": window.step, "rows": _trend(counted, truth, window)},
        "limits": LIMITS,
    }
    findings = (_auc_finding(overall), _error_finding(errors), _signal_finding(errors), _latency_finding(latency))
    return Outcome(content=content, findings=findings)


def _class(truth: Truth, superclass: Superclass) -> dict[str, Any]:
    labels, probabilities, thresholds = truth.column(superclass)
    area = class_auc(labels, probabilities)
    decided = confusion(labels, probabilities, thresholds)
    return {
        "n": int((~np.isnan(labels)).sum()),
        "positives": int((labels == 1).sum()),
        "judgement": Judgement.JUDGED if area else Judgement.TOO_FEW,
        "auc": interval_json(area),
        **{name: share(right, of) for name, (right, of) in decided.items()},
        "calibration": _calibration(labels, probabilities) if enough(labels) else None,
    }


def _calibration(labels: Any, probabilities: Any) -> dict[str, Any]:
    slope, intercept = recalibration(labels, probabilities) or (None, None)
    return {
        "error": interval_json(bootstrap(calibration_error(labels, probabilities), len(labels))),
        "brier": interval_json(bootstrap(brier(labels, probabilities), len(labels))),
        "slope": interval_json(slope),
        "intercept": interval_json(intercept),
        "bins": [
            {"n": one.recordings, "predicted": one.predicted, "observed": one.observed, "positives": one.positives}
            for one in reliability_bins(labels, probabilities)
        ],
    }


def _agreement(rows: Sequence[tuple[AnalysisSeen, OverreadSeen]]) -> dict[str, Any]:
    told = [overread.agreed for _, overread in rows if overread.agreed is not None]
    return share(sum(told), len(told), "agreed")


def _latency(counted: Tally) -> dict[str, Any]:
    stages = {stage: percentiles(seconds) for stage, seconds in counted.stages.items()}
    return stages.pop(OVERALL, percentiles(array("d"))) | {"stages": stages}


def percentiles(seconds: "array[float]") -> dict[str, Any]:
    """Their number, median and 99th percentile; None of nothing."""
    middle, high = np.percentile(seconds, [50, 99]).tolist() if len(seconds) else (None, None)
    return {"n": len(seconds), "p50_seconds": middle, "p99_seconds": high}


def _errors(counted: Tally, received: Mapping[tuple[str, str], int]) -> dict[str, Any]:
    """By door. What a door answers with an error and does not keep is in no store: `ecg_refused_total` counts it."""
    doors: dict[str, Counter[str]] = {door: Counter() for door in counted.doors}
    for (door, state), number in received.items():
        doors.setdefault(door, Counter())[state] += number
    return {
        door: {
            "received": states.total(),
            "states": dict(states),
            "waiting": sum(states[state] for state in WAITING),
            "error": share(states[FAILED], states.total(), "failed"),
            "not_interpretable": share(counted.not_interpretable[door], counted.doors[door]),
        }
        for door, states in sorted(doors.items())
    }


def _by_model(truth: Truth) -> list[dict[str, Any]]:
    """A window may hold results of more than one model."""
    places: dict[tuple[str, str], list[int]] = {}
    for place, (row, _) in enumerate(truth.rows):
        places.setdefault((row.model_name or "", row.model_version or ""), []).append(place)
    found = {model: truth.only(rows) for model, rows in places.items()}
    return [
        {
            "name": name,
            "version": version,
            "overreads": len(rows),
            "agreement": _agreement(rows.rows),
            "macro_auc": interval_json(macro_auc(rows)),
        }
        for (name, version), rows in found.items()
    ]


def _trend(counted: Tally, truth: Truth, window: Window) -> list[dict[str, Any]]:
    """Analyses by the time they were made, over-reads by theirs."""
    places: dict[str, list[int]] = {}
    for place, (_, overread) in enumerate(truth.rows):
        places.setdefault(window.step_of(overread.at), []).append(place)
    found = []
    for step in sorted({*counted.steps, *places}):
        rows = truth.only(places.get(step, []))
        found.append(
            {
                "begin": step,
                "analyses": counted.steps[step],
                "urgent": share(counted.urgent_steps[step], counted.steps[step], "urgent"),
                "overreads": len(rows),
                "agreement": _agreement(rows.rows),
                "macro_auc": interval_json(macro_auc(rows)),
            }
        )
    return found


def _auc_finding(found: Interval | None) -> Finding:
    text = "Too few over-reads to judge."
    if found:
        text = f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f}), needed {LEAST_MACRO_AUC:g}."
    flag = found.high < LEAST_MACRO_AUC if found else None
    return _finding("auc", flag, "warning", "Macro-AUC by over-reads", text)


def _error_finding(errors: Mapping[str, Any]) -> Finding:
    flag, text = _above(errors, "error", MOST_ERRORS)
    return _finding("errors", flag, "warning", "Received items that could not be processed", text)


def _signal_finding(errors: Mapping[str, Any]) -> Finding:
    flag, text = _above(errors, "not_interpretable", MOST_NOT_INTERPRETABLE)
    return _finding("signals", flag, "warning", "Signals that could not be interpreted", text)


def _latency_finding(latency: Mapping[str, Any]) -> Finding:
    if latency["n"] < LEAST_TIMED:
        return _finding("latency", None, "info", "Time of an analysis", f"Fewer than {LEAST_TIMED} analyses.")
    seconds = latency["p99_seconds"]
    text = f"99 % within {seconds * 1000:.1f} ms, allowed {MOST_SECONDS * 1000:g} ms."
    return _finding("latency", seconds > MOST_SECONDS, "info", "Time of an analysis", text)


def _above(errors: Mapping[str, Any], name: str, limit: float) -> tuple[bool | None, str]:
    """Whether the share of any door with enough items is above a limit for sure."""
    judged = {door: found[name] for door, found in errors.items() if found[name]["n"] >= MIN_GROUP}
    if not judged:
        return None, f"No door with {MIN_GROUP} of them."
    told = ", ".join(f"{door} {found['rate']:.1%} of {found['n']}" for door, found in judged.items())
    return any(found["low"] > limit for found in judged.values()), f"{told}; allowed {limit:.0%}."


def _finding(what: str, flag: bool | None, severity: str, title: str, text: str) -> Finding:
    return Finding(key=f"performance:{what}", flag=flag, severity=severity, title=title, text=text)

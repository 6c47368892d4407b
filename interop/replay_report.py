"""What a replay found, for a person and for a program."""

from collections.abc import Iterator, Mapping
from datetime import UTC
from typing import Any

from interop.replay import TOLERANCE, Difference, Engine, differences
from interop.replay_engine import Ran, find_ran, find_rules
from interop.replay_source import Source
from interop.settings import Settings

COMPARED = "quality, measurements, features, probabilities, recommendations, conclusion, codes, warnings"

IDENTICAL, ALIKE, DIFFERENT = "identical", "alike within the tolerance", "different"


def replayed(source: Source, settings: Settings) -> Mapping[str, Any]:
    """Make an analysis again and say how it compares. Raises ModelInvalid and ConfigurationError, naming a checksum,
    where model or rules of then are not here."""
    past = source.past
    policy = find_rules(past.policy, settings.rules)
    ran = find_ran(past.prediction.model, settings.model) if past.prediction else None
    tolerance = TOLERANCE if source.same is False else 0.0
    engine = Engine(classify=ran.load() if ran else None, policy=policy, acute_window=settings.acute_window)
    found = differences(
        past, source.recording, engine, notes=source.notes, features=source.features, tolerance=tolerance
    )
    return _report(source, ran, settings, (*_otherwise_in_trail(source), *found), tolerance)


def lines(report: Mapping[str, Any]) -> Iterator[str]:
    """The report as text."""
    model, rules, signal = report["model"], report["rules"], report["signal"]
    same = {True: "the one that was analysed, by its SHA-256", False: "not the same bits", None: "unproven"}
    told = {
        "analysis": f"{report['analysis']}, {report['analyzed_at']}, door {report['door']}",
        "ECG": report["ecg"],
        "signal": f"{signal['from']}: {same[signal['same_as_analysed']]}",
        "model": f"{model['name']} {model['version']}, {model['file']}, SHA-256 {model['sha256']}" if model else "none",
        "rules": f"{rules['name']} {rules['version']}, SHA-256 {rules['sha256']}",
        "window": f"{report['acute_window_hours']:g} h (ECG_ACUTE_WINDOW of now: that of then is not recorded)",
        "compared": report["compared"],
    }
    yield from (f"{name:10}{text}" for name, text in told.items())
    yield from (f"{'finding':10}{finding}" for finding in report["findings"])
    for one in report["differences"]:
        yield f"  {one['field']}: then {one['then']!r}, now {one['now']!r}"
    count = f": {len(report['differences'])} differences" if report["differences"] else ""
    yield f"{report['verdict']}{count}"


def _otherwise_in_trail(source: Source) -> Iterator[Difference]:
    """Where the stored Analysis is not what its audit entry says: then one of them was changed, and of the entry
    `audit verify` tells."""
    past, entry = source.past, source.entry
    if entry is None:
        return
    model, policy = past.prediction.model if past.prediction else None, past.policy
    stored = {
        "analysis": str(past.id),
        "urgency": past.urgency.value,
        "model": {"name": model.name, "version": model.version, "sha256": model.sha256} if model else None,
        "policy": {"name": policy.name, "version": policy.version, "sha256": policy.sha256},
    }
    for name, value in stored.items():
        if entry.get(name) != value:
            yield Difference(f"audit entry: {name}", entry.get(name), value)


def _report(
    source: Source, ran: Ran | None, settings: Settings, found: tuple[Difference, ...], tolerance: float
) -> Mapping[str, Any]:
    past = source.past
    model, policy = past.prediction.model if past.prediction else None, past.policy
    ran_then = None
    if model is not None and ran is not None:
        ran_then = {"name": model.name, "version": model.version, "sha256": model.sha256, "file": ran.file}
    verdict = DIFFERENT if found else ALIKE if tolerance else IDENTICAL
    return {
        "analysis": str(past.id),
        "analyzed_at": past.analyzed_at.astimezone(UTC).isoformat(),
        "door": past.door.value,
        "verdict": verdict,
        "tolerance": tolerance,
        "ecg": source.ecg,
        "signal": {"from": source.signal.value, "same_as_analysed": source.same},
        "model": ran_then,
        "rules": {"name": policy.name, "version": policy.version, "sha256": policy.sha256},
        "acute_window_hours": settings.acute_window.total_seconds() / 3600,
        "compared": COMPARED,
        "findings": list(_findings(source)),
        "differences": [{"field": one.field, "then": one.then, "now": one.now} for one in found],
    }


def _findings(source: Source) -> Iterator[str]:
    """What a reader must know before believing the verdict."""
    if source.same is None:
        yield "The payload of this analysis's audit entry is not here: nothing proves that this is the signal of then."
    if source.same is False:
        yield (
            "The signal is not to the bit the one that was analysed: an ECG that does not come as FHIR is stored in "
            f"steps of 10 nV or more. Numbers are compared to within {TOLERANCE:g}."
        )

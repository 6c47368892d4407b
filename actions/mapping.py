"""From evidence to recommendations: applies the rules, and the limits that no rules file can lift.

- `immediate` and `urgent` need a recording inside the acute window; older or undated ones are `routine` at most.
- With a suspected lead reversal nothing is `immediate` and repeating the ECG comes first.
- Outside the intended use nothing is recommended.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from actions.analysis import Recommendation, Urgency
from actions.conclusion import Evidence, conclude, uninterpretable
from actions.rules import ConclusionKind, Policy, Rule, When
from inference.labels import Coding, Superclass
from inference.prediction import ModelStatus
from inference.quality import QualityCode, QualityReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpretation:
    """What may be said of a recording: recommendations ranked, the conclusion, and warnings for every reader."""

    recommendations: tuple[Recommendation, ...]
    conclusion: str
    conclusion_codes: tuple[Coding, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cap:
    """No recommendation is more urgent than `highest`; `reason` is told where that changes one."""

    highest: Urgency
    reason: str


def interpret(policy: Policy, evidence: Evidence) -> Interpretation:
    """Conclude, recommend and warn."""
    conclusion = conclude(policy, evidence)
    return Interpretation(
        recommendations=() if evidence.outside_intended_use else recommend(policy, evidence, conclusion.kind),
        conclusion=conclusion.text,
        conclusion_codes=conclusion.codes,
        warnings=tuple(_warnings(evidence)),
    )


def refuse(quality: QualityReport) -> Interpretation:
    """What is said of a recording that could not be classified: the reasons, and nothing else."""
    return Interpretation(recommendations=(), conclusion=uninterpretable(quality), conclusion_codes=(), warnings=())


def recommend(policy: Policy, evidence: Evidence, kind: ConclusionKind) -> tuple[Recommendation, ...]:
    """The recommendations of all rules that fire: by urgency, then confidence (descending), each action once."""
    caps = tuple(_caps(evidence))
    fired = [rule for rule in policy.rules if fires(rule.when, evidence, kind)]
    # A suspected lead reversal goes ahead of its equals: everything else rests on leads that may be wrong.
    fired.sort(key=lambda rule: QualityCode.LEAD_REVERSAL not in rule.when.quality)
    found = [_capped(_recommendation(rule, evidence), caps, evidence) for rule in fired]
    return tuple(_each_action_once(sorted(found, key=lambda r: (r.urgency.rank, -r.confidence))))


def fires(when: When, evidence: Evidence, kind: ConclusionKind) -> bool:
    """Whether every condition holds."""
    decided = frozenset(evidence.prediction.decided)
    return (
        all(condition(when, evidence) for condition in CONDITIONS)
        and _classes_hold(when, decided)
        and when.conclusion in (None, kind)
    )


def _classes_hold(when: When, decided: frozenset[Superclass]) -> bool:
    return (
        (when.diagnosis is None or when.diagnosis in decided)
        and when.with_all <= decided
        and (not when.with_any or bool(when.with_any & decided))
        and not when.without & decided
    )


def _probability_holds(when: When, evidence: Evidence) -> bool:
    return when.diagnosis is None or when.probability.hold(evidence.prediction.probabilities[when.diagnosis])


def _patient_holds(when: When, evidence: Evidence) -> bool:
    return (when.age is None or when.age.hold(evidence.age)) and when.sex in (None, evidence.sex)


def _measurements_hold(when: When, evidence: Evidence) -> bool:
    return all(limits.hold(getattr(evidence.measurements, name)) for name, limits in when.measurements.items())


def _quality_holds(when: When, evidence: Evidence) -> bool:
    return not when.quality or any(evidence.quality.has(code) for code in when.quality)


def _recency_holds(when: When, evidence: Evidence) -> bool:
    return when.acute in (None, evidence.recency.acute)


CONDITIONS: tuple[Callable[[When, Evidence], bool], ...] = (
    _probability_holds,
    _patient_holds,
    _measurements_hold,
    _quality_holds,
    _recency_holds,
)


def _recommendation(rule: Rule, evidence: Evidence) -> Recommendation:
    diagnosis = rule.when.diagnosis
    return Recommendation(
        action=rule.action,
        urgency=rule.urgency,
        confidence=1.0 if diagnosis is None else float(evidence.prediction.probabilities[diagnosis]),
        diagnosis=diagnosis,
        rule=rule.id,
        rationale=rule.rationale,
        source=rule.source,
        code=rule.code,
    )


def _caps(evidence: Evidence) -> Iterator[Cap]:
    if not evidence.recency.acute:
        yield Cap(Urgency.ROUTINE, "not recent")
    if evidence.quality.has(QualityCode.LEAD_REVERSAL):
        yield Cap(Urgency.URGENT, "lead reversal is suspected")


def _capped(recommendation: Recommendation, caps: Iterable[Cap], evidence: Evidence) -> Recommendation:
    urgency, notes = recommendation.urgency, [] if evidence.recency.acute else [evidence.recency.text]
    for cap in caps:
        if urgency.rank < cap.highest.rank:
            notes.append(f"Downgraded from {urgency} to {cap.highest}: {cap.reason}.")
            urgency = cap.highest
    return replace(recommendation, urgency=urgency, rationale=" ".join([recommendation.rationale, *notes]))


def _each_action_once(ranked: Iterable[Recommendation]) -> Iterator[Recommendation]:
    """Of equal actions the first: it is the most urgent, and among those the most confident."""
    seen: set[str] = set()
    for recommendation in ranked:
        action = recommendation.action.casefold()
        if action not in seen:
            seen.add(action)
            yield recommendation


def _warnings(evidence: Evidence) -> Iterator[str]:
    prediction = evidence.prediction
    model = prediction.model
    if model.status is ModelStatus.CANDIDATE:
        yield f"Model {model.name} {model.version} is a candidate: it has not passed the promotion gate."
    if model.waived:
        yield f"Model {model.name} {model.version} was promoted by waiver: {model.waived}."
    if evidence.age is None:
        yield "The patient's age is unknown: judged as an adult."
    if not evidence.recency.acute:
        yield f"{evidence.recency.text} No recommendation is more urgent than routine."
    if Superclass.NORM in prediction.decided and len(prediction.decided) > 1:
        probability = prediction.probabilities[Superclass.NORM]
        yield f"NORM was decided too (probability {probability:.2f}), which contradicts the findings."

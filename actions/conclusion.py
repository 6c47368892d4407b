"""The conclusion of a report: text and SNOMED CT codes. The sentences that keep it honest are fixed here; a rules file
may word only the findings."""

from collections.abc import Iterator
from dataclasses import dataclass

from actions.recency import Recency
from actions.rules import ConclusionKind, NormalLimit, Policy
from inference.labels import CONCLUSION_CODES, ECG_NORMAL, Coding, Superclass
from inference.measurements import Measurements
from inference.prediction import ModelStatus, Prediction
from inference.quality import QualityReport, Severity
from inference.recording import Sex

NOT_ASSESSED = "Rhythm and pacing are not assessed."

MEASUREMENT_NAMES = {
    "heart_rate": ("heart rate", "/min"),
    "pr": ("PR", " ms"),
    "qrs": ("QRS", " ms"),
    "qt": ("QT", " ms"),
    "qtc": ("QTc", " ms"),
    "axis": ("axis", "°"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything about one interpretable recording that conclusions and rules may look at."""

    prediction: Prediction
    quality: QualityReport
    measurements: Measurements
    age: float | None
    sex: Sex
    recency: Recency
    outside_intended_use: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """kind: what the decided classes amount to. text: for a clinician. codes: SNOMED CT."""

    kind: ConclusionKind
    text: str
    codes: tuple[Coding, ...] = ()


def conclude(policy: Policy, evidence: Evidence) -> Conclusion:
    """Say what was found. NORM is only "normal" when nothing speaks against it; nothing decided is "inconclusive"."""
    abnormal = tuple(c for c in evidence.prediction.decided if c is not Superclass.NORM)
    doubts = tuple(normal_doubts(policy.normal, evidence))
    kind = _kind(evidence.prediction, abnormal, doubts)
    if evidence.outside_intended_use:
        return Conclusion(kind=kind, text=_text(_outside(evidence.outside_intended_use), evidence))
    match kind:
        case ConclusionKind.FINDINGS:
            codes: tuple[Coding, ...] = tuple(CONCLUSION_CODES[c] for c in abnormal)
            said = _findings(policy, evidence.prediction, abnormal)
        case ConclusionKind.NORMAL:
            codes, said = (ECG_NORMAL,), policy.wording.normal
        case ConclusionKind.NORMAL_UNCONFIRMED:
            codes, said = (), f"No assessed group was found, but the ECG is not called normal: {'; '.join(doubts)}."
        case ConclusionKind.INCONCLUSIVE:
            codes, said = (), policy.wording.inconclusive
    return Conclusion(kind=kind, text=_text(said, evidence), codes=codes)


def uninterpretable(quality: QualityReport) -> str:
    """The conclusion for a recording that could not be classified, with the reasons."""
    reasons = [f.text.rstrip(".") for f in quality.findings if f.severity is Severity.REFUSED]
    said = f"The ECG could not be interpreted: {'; '.join(reasons)}."
    return f"{said} No model was run. {NOT_ASSESSED} Preliminary; to be confirmed by a clinician."


def normal_doubts(limits: tuple[NormalLimit, ...], evidence: Evidence) -> Iterator[str]:
    """What speaks against calling the ECG normal: a measurement missing or out of its limits, or a blemished signal."""
    sexes = {evidence.sex, None} if evidence.sex in (Sex.FEMALE, Sex.MALE) else {Sex.FEMALE, Sex.MALE, None}
    doubts = [_doubt(limit, evidence.measurements) for limit in limits if limit.sex in sexes]
    # Without a known sex the limits of both apply, and may both be missed.
    yield from dict.fromkeys(doubt for doubt in doubts if doubt)
    if not evidence.quality.clean:
        yield "the signal quality is not clean"


def _doubt(limit: NormalLimit, measurements: Measurements) -> str | None:
    name, unit = MEASUREMENT_NAMES[limit.measurement]
    value: float | None = getattr(measurements, limit.measurement)
    if value is None:
        return f"{name} is not measured"
    if limit.limits.hold(value):
        return None
    return f"{name} is {value:.0f}{unit} (normal {limit.limits})"


def _kind(prediction: Prediction, abnormal: tuple[Superclass, ...], doubts: tuple[str, ...]) -> ConclusionKind:
    if abnormal:
        return ConclusionKind.FINDINGS
    if not prediction.decided:
        return ConclusionKind.INCONCLUSIVE
    return ConclusionKind.NORMAL_UNCONFIRMED if doubts else ConclusionKind.NORMAL


def _findings(policy: Policy, prediction: Prediction, abnormal: tuple[Superclass, ...]) -> str:
    phrases = (f"{policy.wording.findings[c]} (probability {prediction.probabilities[c]:.2f})" for c in abnormal)
    return f"Findings: {'; '.join(phrases)}."


def _outside(reasons: tuple[str, ...]) -> str:
    return f"Outside the intended use: {'; '.join(reasons)}. No findings are stated and nothing is recommended."


def _text(said: str, evidence: Evidence) -> str:
    model = evidence.prediction.model
    candidate = " (a candidate, not released)" if model.status is ModelStatus.CANDIDATE else ""
    waived = f" ({model.waived})" if model.waived else ""
    age = [] if evidence.recency.acute else [evidence.recency.text]
    provisional = (
        f"Preliminary result of model {model.name} {model.version}{candidate}{waived}; to be confirmed by a clinician."
    )
    return " ".join([said, *age, NOT_ASSESSED, provisional])

"""Cards on the patient's newest ECG (CDS Hooks 2.0). Pure.

One card for one ECG, however much was found: each further card would cost attention. It says what to do first, tells
apart what is measured from what a model supposes, and proposes actions that nobody but the user can order.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from actions.analysis import Analysis, Recommendation, Urgency
from actions.conclusion import MEASUREMENT_NAMES
from actions.recency import Recency
from inference.labels import SUPERCLASS_NAMES, Superclass
from inference.prediction import ModelInfo, ModelStatus
from interop.cds_hooks.comparison import compared
from interop.cds_hooks.known import KnownEcg
from interop.cds_hooks.markdown import items, plain, table
from interop.cds_hooks.muting import Decision, Finding, Sorted
from interop.cds_hooks.wire import INDICATORS, MAX_SUMMARY, Card, Suggestion, link, shortened
from interop.resources.codes import URN_IDENTIFIERS, Json
from interop.resources.times import instant

OWN_RULES = "urn:ecg-interop:codesystem:rule"
UNREADABLE = "ecg-unreadable"
UNCONFIRMED = "**Automatic result, not confirmed by a clinician.** It proposes; nothing is ordered without you."
OUTCOME_WORDS = {"accepted": "accepted", "overridden": "overridden", "left": "seen, not taken up"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """What the cards of one call share. base: our URL without a slash at the end. patient_id, encounter_id: in the EHR.
    user: as the EHR names them. page: the URL of the page of an analysis."""

    now: datetime
    base: str
    user: str
    patient_id: str
    encounter_id: str | None
    new_id: Callable[[], str]
    page: Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """An ECG that could not be analysed. key: what stands for the analysis that there is none of."""

    key: str
    reason: str
    recorded_at: datetime | None = None


def findings(ecg: KnownEcg) -> tuple[Finding, ...]:
    """What may be worth a card: every recommendation that asks for something."""
    recommended = ecg.analysis.recommendations
    return tuple(Finding(one.rule, one.urgency) for one in recommended if one.urgency is not Urgency.NONE)


def ecg_card(
    ecg: KnownEcg, previous: KnownEcg | None, recency: Recency, found: Sorted, occasion: Occasion
) -> Card | None:
    """The card on a readable ECG; None where nothing is worth one."""
    shown = _recommendations(ecg, found.open)
    if shown:
        return _proposing(ecg, previous, recency, shown, found, occasion)
    return _reminding(ecg, recency, found, occasion) if found.decided else None


def overread_card(ecg: KnownEcg, recency: Recency, occasion: Occasion) -> Card | None:
    """What became of an immediate finding once a clinician has read the ECG; None where that is not known."""
    overread, urgent = ecg.overread, _recommendations(ecg, findings(ecg))
    if overread is None or not urgent or urgent[0].urgency is not Urgency.IMMEDIATE:
        return None
    who = plain(overread.practitioner)
    told = [
        f"{who} read the ECG on {_clock(overread.at)}; the report is **{ecg.status}**.",
        f"The report says: {plain(str(ecg.report.get('conclusion', 'no conclusion is stated')))}",
        f"The AI result before had proposed: {plain(urgent[0].action)}.",
    ]
    summary = f"ECG read by {overread.practitioner} ({ecg.status}); AI had proposed: {urgent[0].action}"
    return _informing(ecg, urgent[:1], summary, [*told, _age(recency)], occasion)


def unreadable_card(ecg: Unreadable, recency: Recency, occasion: Occasion, source_label: str) -> Card:
    """The newest ECG cannot be read: said, because an older one would pass for it otherwise."""
    detail = [
        f"The newest ECG could not be analysed: {plain(ecg.reason)}",
        _age(recency),
        "No model was run on it; nothing is stated about older ECGs. Read the tracing, or record another ECG.",
    ]
    return Card(
        uuid=occasion.new_id(),
        indicator=INDICATORS[Urgency.ROUTINE],
        summary=f"The newest ECG could not be analysed automatically: {ecg.reason}",
        detail="\n\n".join(detail),
        source_label=source_label,
        topic={"system": OWN_RULES, "code": UNREADABLE, "display": "ECG not readable"},
        analysis_id=ecg.key,
        findings=((UNREADABLE, Urgency.ROUTINE, ()),),
    )


def source_label(model: ModelInfo | None) -> str:
    """Who speaks: the software, and the model with what it may claim."""
    if model is None:
        return "ECG Clinical Action Recommender"
    status = " (candidate, not released)" if model.status is ModelStatus.CANDIDATE else ""
    return f"ECG Clinical Action Recommender, AI model {model.name} {model.version}{status}"


def model_of(analysis: Analysis) -> ModelInfo | None:
    """The model that an analysis was made with."""
    return analysis.prediction.model if analysis.prediction else None


def _proposing(
    ecg: KnownEcg,
    previous: KnownEcg | None,
    recency: Recency,
    shown: tuple[Recommendation, ...],
    found: Sorted,
    occasion: Occasion,
) -> Card:
    first, analysis = shown[0], ecg.analysis
    suggestions = tuple(_suggestions(ecg, shown, occasion))
    of_rule = dict(zip((one.rule for one in shown if one.action in ecg.requests), suggestions, strict=True))
    parts = [
        UNCONFIRMED,
        plain(analysis.conclusion),
        _age(recency),
        *_comparison(ecg, previous),
        f"**Proposed**\n\n{items(map(_proposal, shown))}",
        *_decided(found.decided, occasion),
        *_probabilities(analysis),
        _measured(analysis),
        *_warnings(analysis),
        _made_by(analysis),
    ]
    return Card(
        uuid=occasion.new_id(),
        indicator=INDICATORS[first.urgency],
        summary=_summary(first, recency),
        detail="\n\n".join(parts),
        source_label=source_label(model_of(analysis)),
        topic=_topic(first),
        analysis_id=ecg.id,
        findings=tuple(
            (one.rule, one.urgency, (of_rule[one.rule].uuid,) if one.rule in of_rule else ()) for one in shown
        ),
        links=links(ecg, occasion),
        suggestions=suggestions,
    )


def _reminding(ecg: KnownEcg, recency: Recency, found: Sorted, occasion: Occasion) -> Card:
    """An immediate finding that this user has decided on: nothing to decide again, and nothing to forget."""
    recommended = _recommendations(ecg, tuple(finding for finding, _ in found.decided))
    _, decision = found.decided[0]
    summary = f"You have {OUTCOME_WORDS[decision.outcome]} on {_clock(decision.at)}: {recommended[0].action}"
    told = [UNCONFIRMED, plain(ecg.analysis.conclusion), *_decided(found.decided, occasion), _age(recency)]
    return _informing(ecg, recommended, summary, told, occasion)


def _informing(
    ecg: KnownEcg, recommended: tuple[Recommendation, ...], summary: str, told: list[str], occasion: Occasion
) -> Card:
    return Card(
        uuid=occasion.new_id(),
        indicator=INDICATORS[Urgency.ROUTINE],
        summary=summary,
        detail="\n\n".join([*told, _made_by(ecg.analysis)]),
        source_label=source_label(model_of(ecg.analysis)),
        topic=_topic(recommended[0]),
        analysis_id=ecg.id,
        findings=tuple((one.rule, one.urgency, ()) for one in recommended),
        links=links(ecg, occasion),
        can_be_overridden=False,
    )


def _recommendations(ecg: KnownEcg, wanted: tuple[Finding, ...]) -> tuple[Recommendation, ...]:
    """Ranked, as the analysis has them."""
    rules = {finding.rule for finding in wanted}
    return tuple(one for one in ecg.analysis.recommendations if one.rule in rules)


def _summary(first: Recommendation, recency: Recency) -> str:
    """What to do, why, and how old the ECG is: whole, or without the why."""
    age = recency.text.rstrip(".").removeprefix("The recording is ").removeprefix("Recorded ")
    why = f"{SUPERCLASS_NAMES[first.diagnosis]} {first.confidence:.2f}; " if first.diagnosis else ""
    whole = f"{first.action}? AI: {why}ECG {age}, unconfirmed"
    if len(whole) <= MAX_SUMMARY:
        return whole
    rest = f"? AI, ECG {age}, unconfirmed"
    return f"{shortened(first.action, MAX_SUMMARY - len(rest))}{rest}"


def _proposal(one: Recommendation) -> str:
    sure = f" (probability {one.confidence:.2f})" if one.diagnosis else " (measured)"
    return f"**{plain(one.action)}** – {one.urgency}{sure}. {plain(one.rationale)} *Source: {plain(one.source)}*"


def _age(recency: Recency) -> str:
    return plain(recency.text)


def _comparison(ecg: KnownEcg, previous: KnownEcg | None) -> Iterator[str]:
    if previous is None:
        yield "No earlier ECG of this patient is known here to compare with."
        return
    at = previous.recorded_at
    told = compared(ecg.analysis, previous.analysis)
    when = f"of {_clock(at)}" if at else "(undated)"
    yield f"**Compared with the previous ECG {when}**\n\n{items(map(plain, told))}"


def _probabilities(analysis: Analysis) -> Iterator[str]:
    prediction = analysis.prediction
    if prediction is not None:
        rows = [
            (
                SUPERCLASS_NAMES[superclass],
                f"{prediction.probabilities[superclass]:.2f}",
                f"{prediction.thresholds[superclass]:.2f}",
                "yes" if superclass in prediction.decided else "no",
            )
            for superclass in Superclass
        ]
        yield table(("Group", "Probability", "Decided from", "Decided"), rows)


def _measured(analysis: Analysis) -> str:
    values = [
        f"{name} {value:.0f}{unit}"
        for field, (name, unit) in MEASUREMENT_NAMES.items()
        if (value := getattr(analysis.measurements, field)) is not None
    ]
    return plain(f"Measured: {', '.join(values)}." if values else "No interval could be measured.")


def _warnings(analysis: Analysis) -> Iterator[str]:
    texts = dict.fromkeys((*analysis.warnings, *(finding.text for finding in analysis.quality.findings)))
    if texts:
        yield f"**Quality and warnings**\n\n{items(map(plain, texts))}"


def _made_by(analysis: Analysis) -> str:
    policy, model = analysis.policy, model_of(analysis)
    who = f"Model {model.name} {model.version} ({model.status.value})" if model else "No model was run"
    rules = f"rules {policy.name} {policy.version}; analysed on {_clock(analysis.analyzed_at)}."
    return plain(f"{who}; {rules} For adults; rhythm and pacing are not assessed.")


def _decided(decided: tuple[tuple[Finding, Decision], ...], occasion: Occasion) -> Iterator[str]:
    for finding, decision in decided:
        reason = f", reason: {decision.reason}" if decision.reason else ""
        done = f"{occasion.user} has {OUTCOME_WORDS[decision.outcome]} this on {_clock(decision.at)}{reason}"
        yield f"Decided before: {plain(f'{done} (rule {finding.rule}).')}"


def _suggestions(ecg: KnownEcg, shown: tuple[Recommendation, ...], occasion: Occasion) -> Iterator[Suggestion]:
    for place, one in enumerate(shown):
        request = ecg.requests.get(one.action)
        if request is not None:
            action = {"type": "create", "description": one.action, "resource": _to_order(request, occasion)}
            yield Suggestion(uuid=request["id"], label=one.action, actions=(action,), recommended=place == 0)


def _to_order(request: Json, occasion: Occasion) -> Json:
    """The proposal for the EHR to store as its own: about its patient, and without what only our store knows."""
    kept = ("resourceType", "status", "intent", "priority", "code", "reasonCode", "note")
    encounter = {"encounter": {"reference": f"Encounter/{occasion.encounter_id}"}} if occasion.encounter_id else {}
    return {
        **{name: request[name] for name in kept if request.get(name)},
        "status": "draft",
        "identifier": [{"system": URN_IDENTIFIERS, "value": f"urn:uuid:{request['id']}"}],
        "subject": {"reference": f"Patient/{occasion.patient_id}"},
        **encounter,
        "authoredOn": instant(occasion.now),
    }


def _topic(first: Recommendation) -> Json:
    return {"system": OWN_RULES, "code": first.rule, "display": first.action}


def links(ecg: KnownEcg, occasion: Occasion) -> tuple[Json, ...]:
    """To the page of the ECG, and to the report."""
    return (
        link("ECG with tracing, findings and model", occasion.page(ecg.id)),
        link("Report as PDF", f"{occasion.base}/fhir/DiagnosticReport/{ecg.id}/$pdf"),
    )


def _clock(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} {at:%Z}".strip()

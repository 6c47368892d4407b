"""What is being ordered, and what the newest ECG says against it. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from actions.analysis import Urgency
from actions.orders import Order, OrderAlert, order_alerts
from actions.recency import Recency
from actions.rules import OrderKind, Policy
from interop.cds_hooks.cards import OWN_RULES, UNCONFIRMED, Occasion, links, model_of, source_label
from interop.cds_hooks.known import KnownEcg
from interop.cds_hooks.markdown import items, plain
from interop.cds_hooks.muting import Decision, Finding
from interop.cds_hooks.request import Context
from interop.cds_hooks.wire import INDICATORS, MAX_SUMMARY, Card, Suggestion, shortened
from interop.resources.codes import Json

# What is an order here, and where its code stands (FHIR R4).
KINDS = {"MedicationRequest": OrderKind.MEDICATION, "ServiceRequest": OrderKind.SERVICE}
CODES = {"MedicationRequest": "medicationCodeableConcept", "ServiceRequest": "code"}
REFERENCES = {"MedicationRequest": "medicationReference"}
# Between the rule and the order in the name of a finding: what was decided about one drug is not about another.
OF_ORDER = "#"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One order that is not signed yet. reference: `Type/id`, None where it has no id. name: for the user."""

    reference: str | None
    name: str
    order: Order


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """What speaks against one order."""

    draft: Draft
    alert: OrderAlert

    @property
    def finding(self) -> Finding:
        """As it is shown, decided and silenced."""
        return Finding(f"{self.alert.rule}{OF_ORDER}{self.draft.name.casefold()}", self.alert.urgency)


def drafts(context: Context) -> tuple[Draft, ...]:
    """The orders of a call; of a selection those that were selected."""
    entries = (context.draftOrders or {}).get("entry", [])
    resources = [entry["resource"] for entry in entries]
    found = (_draft(one, resources) for one in resources if one.get("resourceType") in CODES)
    chosen = None if context.selections is None else frozenset(context.selections)
    return tuple(one for one in found if one is not None and (chosen is None or one.reference in chosen))


def warnings(
    policy: Policy,
    ordered: Sequence[Draft],
    ecg: KnownEcg,
    previous: KnownEcg | None,
    occasion: Occasion,
    acute_window: timedelta,
) -> tuple[Warned, ...]:
    """What speaks against the orders, in their order, of each the most urgent first."""
    before = previous.analysis if previous else None
    return tuple(
        Warned(draft=draft, alert=alert)
        for draft in ordered
        for alert in order_alerts(policy, draft.order, ecg.analysis, before, occasion.now, acute_window)
    )


def order_card(
    against: Sequence[Warned],
    ecg: KnownEcg,
    recency: Recency,
    occasion: Occasion,
    decided: Mapping[Finding, Decision] = MappingProxyType({}),
) -> Card:
    """One card for one order. against: all that speaks against it, most urgent first. decided: what the user decided
    about just this before; where that is all of it, nothing is to be decided again."""
    first, draft = against[0].alert, against[0].draft
    is_open = any(one.finding not in decided for one in against)
    suggestions = tuple(_suggestions(draft, first, occasion)) if is_open else ()
    told = [UNCONFIRMED, *(_told(one, decided.get(one.finding), occasion) for one in against), plain(recency.text)]
    return Card(
        uuid=occasion.new_id(),
        indicator=INDICATORS[first.urgency if is_open else Urgency.ROUTINE],
        summary=_summary(draft, first),
        detail="\n\n".join(told),
        source_label=source_label(model_of(ecg.analysis)),
        topic={"system": OWN_RULES, "code": first.rule, "display": first.action},
        analysis_id=ecg.id,
        findings=tuple(
            (one.finding.rule, one.finding.urgency, tuple(suggestion.uuid for suggestion in suggestions))
            for one in against
        ),
        links=links(ecg, occasion),
        suggestions=suggestions,
        selection_behavior="at-most-one",
        can_be_overridden=is_open,
    )


def _told(warned: Warned, decision: Decision | None, occasion: Occasion) -> str:
    alert = warned.alert
    parts = [
        f"**{plain(warned.draft.name)}: {plain(alert.action)}** – {alert.urgency}. {plain(alert.rationale)}",
        items(map(plain, alert.evidence)),
        *([_decided(decision, occasion)] if decision else []),
        f"*Source: {plain(alert.source)}*",
    ]
    return "\n\n".join(filter(None, parts))


def _suggestions(draft: Draft, alert: OrderAlert, occasion: Occasion) -> Iterator[Suggestion]:
    """The order can be taken back; only one with an id can be named."""
    if draft.reference is not None:
        action = {"type": "delete", "description": f"{draft.name}: {alert.action}", "resourceId": draft.reference}
        yield Suggestion(uuid=occasion.new_id(), label=f"Remove the order: {draft.name}", actions=(action,))


def _summary(draft: Draft, alert: OrderAlert) -> str:
    """The order and the number first: where it is too long, the end of the action stands in the detail."""
    number = alert.evidence[0].partition(",")[0].partition(" (")[0] if alert.evidence else ""
    order = ", ".join(filter(None, (shortened(draft.name, 45), number)))
    return shortened(f"{order}: {alert.action}", MAX_SUMMARY)


def _decided(decision: Decision, occasion: Occasion) -> str:
    reason = f", reason: {decision.reason}" if decision.reason else ""
    return plain(f"{occasion.user} has {decision.outcome} this on {decision.at:%Y-%m-%d %H:%M}{reason}.")


def _draft(resource: Json, resources: Sequence[Json]) -> Draft | None:
    concept = _concept(resource, resources)
    codings = [one for one in _objects(concept.get("coding")) if one.get("code")]
    texts = [text for text in (concept.get("text"), *(one.get("display") for one in codings)) if isinstance(text, str)]
    if not codings and not texts:
        return None
    pairs = tuple((one.get("system"), str(one["code"])) for one in codings)
    order = Order(codings=pairs, texts=tuple(texts), kind=KINDS[resource["resourceType"]])
    name = texts[0] if texts else str(codings[0]["code"])
    identity = resource.get("id")
    reference = f"{resource['resourceType']}/{identity}" if isinstance(identity, str) else None
    return Draft(reference=reference, name=name, order=order)


def _concept(resource: Json, resources: Sequence[Json]) -> Mapping[str, Any]:
    """The code of the order itself, or of the Medication that it refers to: contained, or beside it."""
    kind = resource["resourceType"]
    found = resource.get(CODES[kind])
    if isinstance(found, dict):
        return found
    reference = resource.get(REFERENCES.get(kind, ""), {})
    named = str(reference.get("reference", "")) if isinstance(reference, dict) else ""
    for one in (*_objects(resource.get("contained")), *resources):
        if named in (f"#{one.get('id')}", f"{one.get('resourceType')}/{one.get('id')}"):
            code = one.get("code")
            return code if isinstance(code, dict) else {}
    display = reference.get("display") if isinstance(reference, dict) else None
    return {"text": display} if isinstance(display, str) else {}


def _objects(found: Any) -> list[Json]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

"""A card as it goes out (CDS Hooks 2.0, section CDS Service Response). No member is null or empty."""

from dataclasses import dataclass, field

from actions.analysis import Urgency
from interop.resources.codes import Json

# "should be less than 140 characters"
MAX_SUMMARY = 139
# "The label SHOULD be short": EHRs show it on a button.
MAX_LABEL = 80

INDICATORS = {Urgency.IMMEDIATE: "critical", Urgency.URGENT: "warning", Urgency.ROUTINE: "info"}

OWN_OVERRIDE_REASONS = "urn:ecg-interop:codesystem:override-reason"
OVERRIDE_REASONS = {
    "known-finding": "Known finding, assessed before",
    "finding-wrong": "I do not see this finding",
    "poor-signal": "Poor signal or misplaced electrodes",
    "already-done": "Already done or under way",
    "not-appropriate": "Not appropriate for this patient",
    "later": "Will be decided later",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """One action that a user may take with a click."""

    uuid: str
    label: str
    actions: tuple[Json, ...]
    recommended: bool = False

    def as_json(self) -> Json:
        """As the card has it."""
        recommended = {"isRecommended": True} if self.recommended else {}
        label = shortened(self.label, MAX_LABEL)
        return {"label": label, "uuid": self.uuid, **recommended, "actions": list(self.actions)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One card. analysis_id, findings: what it is about, (rule, urgency, uuids of its suggestions). topic: a Coding."""

    uuid: str
    indicator: str
    summary: str
    detail: str
    source_label: str
    topic: Json
    analysis_id: str
    findings: tuple[tuple[str, Urgency, tuple[str, ...]], ...]
    links: tuple[Json, ...] = ()
    suggestions: tuple[Suggestion, ...] = field(default=())
    selection_behavior: str = "any"
    can_be_overridden: bool = True

    def as_json(self) -> Json:
        """The JSON object."""
        card: Json = {
            "uuid": self.uuid,
            "summary": shortened(self.summary, MAX_SUMMARY),
            "indicator": self.indicator,
            "detail": self.detail,
            "source": {"label": self.source_label, "topic": self.topic},
        }
        if self.suggestions:
            card["suggestions"] = [suggestion.as_json() for suggestion in self.suggestions]
            card["selectionBehavior"] = self.selection_behavior
        if self.can_be_overridden:
            card["overrideReasons"] = [
                {"code": code, "system": OWN_OVERRIDE_REASONS, "display": display}
                for code, display in OVERRIDE_REASONS.items()
            ]
        return card | ({"links": list(self.links)} if self.links else {})


def shortened(text: str, most: int) -> str:
    """At most so many characters, cut between words."""
    if len(text) <= most:
        return text
    kept = text[: most - 1]
    return f"{kept.rsplit(' ', 1)[0] if ' ' in kept else kept}…"


def link(label: str, url: str) -> Json:
    """An absolute link."""
    return {"label": label, "url": url, "type": "absolute"}

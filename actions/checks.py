"""What a schema cannot say of a rules file. Each check takes the document, already of the schema's form, and gives
back every problem it finds, with the rule's id."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from actions.rules import Limits
from actions.sctid import is_concept_id

Document = Mapping[str, Any]

# What must be measured and normal before 164854000 may be sent (docs/actions.md), for either sex.
NORMAL_MEASUREMENTS = ("heart_rate", "pr", "qrs", "qtc")

# One of these starts a rule; age, sex or recency alone would fire it on every ECG.
ANCHORS = ("diagnosis", "measurements", "quality", "conclusion")


def problems_of(document: Document) -> list[str]:
    """Every problem of a rules file that has the schema's form; empty when it is sound."""
    return [problem for check in CHECKS for problem in check(document)]


def _ids_are_unique(document: Document) -> Iterator[str]:
    for rule_id, count in Counter(rule["id"] for rule in document["rules"]).items():
        if count > 1:
            yield f"rule '{rule_id}': the id is used {count} times"


def _sources_are_listed(document: Document) -> Iterator[str]:
    places = [(f"rule '{rule['id']}'", rule) for rule in document["rules"]]
    places += [(f"settings.normal {entry['measurement']}", entry) for entry in document["settings"]["normal"]]
    for place, entry in places:
        for key in entry["source"]:
            if key not in document["sources"]:
                yield f"{place}: missing source: '{key}' is not in sources"


def _bands_are_not_inverted(document: Document) -> Iterator[str]:
    for place, limits in _bands(document):
        if limits.empty:
            yield f"{place}: no value can be {limits}"


def _bands(document: Document) -> Iterator[tuple[str, Limits]]:
    for entry in document["settings"]["normal"]:
        yield f"settings.normal {entry['measurement']}", Limits(**entry["limits"])
    for rule in document["rules"]:
        when, name = rule["when"], f"rule '{rule['id']}'"
        yield f"{name} when.probability", _probability(document, when)
        yield f"{name} when.age", Limits(**when.get("age", {}))
        for measurement, limits in when.get("measurements", {}).items():
            yield f"{name} when.measurements.{measurement}", Limits(**limits)


def _probability(document: Document, when: Mapping[str, Any]) -> Limits:
    settings = document["settings"]
    return Limits(
        **{
            edge: settings[value] if isinstance(value, str) else value
            for edge, value in when.get("probability", {}).items()
        }
    )


def _rules_can_fire(document: Document) -> Iterator[str]:
    for rule in document["rules"]:
        when, name = rule["when"], f"rule '{rule['id']}'"
        if not any(anchor in when for anchor in ANCHORS):
            yield f"{name} when: needs one of {', '.join(ANCHORS)}"
        wanted = {when.get("diagnosis"), *when.get("with_all", ())}
        for superclass in sorted(wanted & set(when.get("without", ()))):
            yield f"{name} when: {superclass} is both wanted and excluded"
        if set(when.get("with_any", ())) and set(when["with_any"]) <= set(when.get("without", ())):
            yield f"{name} when: everything in with_any is excluded"


def _infarction_is_immediate_only_when_probable(document: Document) -> Iterator[str]:
    for rule in document["rules"]:
        if rule["when"].get("diagnosis") != "MI" or rule["urgency"] != "immediate":
            continue
        band = _probability(document, rule["when"])
        lowest = max((edge for edge in (band.at_least, band.above) if edge is not None), default=0.0)
        if lowest < document["settings"]["mi_immediate_probability"]:
            yield f"rule '{rule['id']}': immediate for MI needs probability at_least mi_immediate_probability"


def _lead_reversal_asks_for_a_new_ecg(document: Document) -> Iterator[str]:
    for rule in document["rules"]:
        when = rule["when"]
        if set(when) == {"quality"} and "lead-reversal" in when["quality"] and rule["urgency"] == "urgent":
            return
    yield "rules: one rule must fire on quality lead-reversal alone, urgent, and ask to repeat the ECG"


def _normal_is_defined(document: Document) -> Iterator[str]:
    covered = {(entry["measurement"], entry.get("sex")) for entry in document["settings"]["normal"]}
    for measurement in NORMAL_MEASUREMENTS:
        for sex in ("female", "male"):
            if not covered & {(measurement, None), (measurement, sex)}:
                yield f"settings.normal: {measurement} has no limits for {sex}"


def _codes_are_sound(document: Document) -> Iterator[str]:
    displays: dict[str, str] = {}
    for rule in document["rules"]:
        if "code" not in rule:
            continue
        code, display = rule["code"]["code"], rule["code"]["display"]
        if not is_concept_id(code):
            yield f"rule '{rule['id']}' code: {code} is no SNOMED CT concept identifier (check digit or partition)"
        if displays.setdefault(code, display) != display:
            yield f"rule '{rule['id']}' code: {code} is displayed as '{displays[code]}' by another rule"


CHECKS: tuple[Callable[[Document], Iterator[str]], ...] = (
    _ids_are_unique,
    _sources_are_listed,
    _bands_are_not_inverted,
    _rules_can_fire,
    _infarction_is_immediate_only_when_probable,
    _lead_reversal_asks_for_a_new_ecg,
    _normal_is_defined,
    _codes_are_sound,
)

"""What a schema cannot say of a rules file. Each check takes the document, already of the schema's form, and gives
back every problem it finds, with the rule's id."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any

from actions.code_forms import CODE_FORMS
from actions.rules import Limits
from inference.labels import SNOMED_CT

Document = Mapping[str, Any]
# Anything with a name for the reader: a rule, a group of orders.
Named = Iterator[tuple[str, Mapping[str, Any]]]

# What must be measured and normal before 164854000 may be sent (docs/actions.md), for either sex.
NORMAL_MEASUREMENTS = ("heart_rate", "pr", "qrs", "qtc")

# One of these starts a rule; age, sex or recency alone would fire it on every ECG.
ANCHORS = ("diagnosis", "measurements", "quality", "conclusion")
ORDER_ANCHORS = ("diagnosis", "measurements")


def problems_of(document: Document) -> list[str]:
    """Every problem of a rules file that has the schema's form; empty when it is sound."""
    return [problem for check in CHECKS for problem in check(document)]


def _ecg_rules(document: Document) -> Named:
    return ((f"rule '{rule['id']}'", rule) for rule in document["rules"])


def _order_rules(document: Document) -> Named:
    return ((f"order rule '{rule['id']}'", rule) for rule in document.get("orders", {}).get("rules", ()))


def _all_rules(document: Document) -> Named:
    return chain(_ecg_rules(document), _order_rules(document))


def _order_groups(document: Document) -> Named:
    groups = document.get("orders", {}).get("groups", {})
    return ((f"order group '{group_id}'", group) for group_id, group in groups.items())


def _ids_are_unique(document: Document) -> Iterator[str]:
    for rule_id, count in Counter(rule["id"] for _, rule in _all_rules(document)).items():
        if count > 1:
            yield f"rule '{rule_id}': the id is used {count} times"


def _sources_are_listed(document: Document) -> Iterator[str]:
    places = [*_all_rules(document), *_order_groups(document)]
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
    for name, rule in _all_rules(document):
        when = rule["when"]
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
    for anchors, rules in ((ANCHORS, _ecg_rules(document)), (ORDER_ANCHORS, _order_rules(document))):
        for name, rule in rules:
            if not any(anchor in rule["when"] for anchor in anchors):
                yield f"{name} when: needs one of {', '.join(anchors)}"


def _classes_do_not_exclude_each_other(document: Document) -> Iterator[str]:
    for name, rule in _all_rules(document):
        when = rule["when"]
        wanted = {when.get("diagnosis"), *when.get("with_all", ())}
        for superclass in sorted(wanted & set(when.get("without", ()))):
            yield f"{name} when: {superclass} is both wanted and excluded"
        if set(when.get("with_any", ())) and set(when["with_any"]) <= set(when.get("without", ())):
            yield f"{name} when: everything in with_any is excluded"


def _infarction_is_immediate_only_when_probable(document: Document) -> Iterator[str]:
    for name, rule in _all_rules(document):
        if rule["when"].get("diagnosis") != "MI" or rule["urgency"] != "immediate":
            continue
        band = _probability(document, rule["when"])
        lowest = max((edge for edge in (band.at_least, band.above) if edge is not None), default=0.0)
        if lowest < document["settings"]["mi_immediate_probability"]:
            yield f"{name}: immediate for MI needs probability at_least mi_immediate_probability"


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
    displays: dict[tuple[str, str], str] = {}
    for place, system, code, display in _codes(document):
        called, is_formed = CODE_FORMS.get(system, ("", None))
        if is_formed and not is_formed(code):
            yield f"{place} code: {code} is no {called}"
        if displays.setdefault((system, code), display) != display:
            yield f"{place} code: {code} is displayed as '{displays[system, code]}' by another rule"


def _codes(document: Document) -> Iterator[tuple[str, str, str, str]]:
    """Where each code stands, its system, the code and its display."""
    for name, rule in _ecg_rules(document):
        if "code" in rule:
            yield name, SNOMED_CT, rule["code"]["code"], rule["code"]["display"]
    for name, group in _order_groups(document):
        for code in group.get("codes", ()):
            yield name, code["system"], code["code"], code["display"]


def _order_groups_mean_something(document: Document) -> Iterator[str]:
    for name, group in _order_groups(document):
        if "codes" not in group and "names" not in group:
            yield f"{name}: needs codes or names"
        for text in group.get("names", ()):
            if not any(character.isalnum() for character in text):
                yield f"{name} names: '{text}' has no word to look for"
        keys = Counter((code["system"], code["code"]) for code in group.get("codes", ()))
        for (_, code), count in keys.items():
            if count > 1:
                yield f"{name} codes: {code} stands there {count} times"


def _orders_of_rules_are_listed(document: Document) -> Iterator[str]:
    groups = document.get("orders", {}).get("groups", {})
    for name, rule in _order_rules(document):
        for group_id in rule["orders"]:
            if group_id not in groups:
                yield f"{name}: unknown group: '{group_id}' is not in orders.groups"


CHECKS: tuple[Callable[[Document], Iterator[str]], ...] = (
    _ids_are_unique,
    _sources_are_listed,
    _bands_are_not_inverted,
    _rules_can_fire,
    _classes_do_not_exclude_each_other,
    _infarction_is_immediate_only_when_probable,
    _lead_reversal_asks_for_a_new_ecg,
    _normal_is_defined,
    _codes_are_sound,
    _order_groups_mean_something,
    _orders_of_rules_are_listed,
)

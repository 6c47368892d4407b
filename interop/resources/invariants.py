"""Rules of the R4 definitions that span several elements: the constraints of severity error, per resource or data type.

They are asked of values whose elements are well-formed one by one. A finding names an element within the value, or the
value itself by an empty name. Where the specification leaves a comparison undecided (dates of different precision,
ranges of different units) nothing is found: a rule speaks only of what is certainly broken.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

Value = Mapping[str, Any]
Finding = tuple[str, str]
Invariant = Callable[[Value], Iterator[Finding]]

UCUM = "http://unitsofmeasure.org"
# The zones in which a day begins first and last.
EAST, WEST = timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))

# Which Bundles carry what (bdl-1 to bdl-4), and what comes first in one (bdl-11, bdl-12).
WITH_TOTAL = ("searchset", "history")
WITH_SEARCH = ("searchset",)
WITH_REQUEST = ("batch", "transaction", "history")
WITH_RESPONSE = ("batch-response", "transaction-response", "history")
FIRST_RESOURCE = {"document": ("bdl-11", "Composition"), "message": ("bdl-12", "MessageHeader")}
# Meals have a length: an offset cannot be counted from them (tim-9).
MEALS = frozenset({"C", "CM", "CD", "CV"})
# What a trigger needs, by the first word of its type (trd-3).
TRIGGER_NEEDS = {"named": "name", "periodic": "timing[x]", "data": "data"}


def _has(value: Value, name: str) -> bool:
    """Whether an element is there, be it by extensions alone; `value[x]` stands for each of its forms."""
    if name.endswith("[x]"):
        return any(member.removeprefix("_").startswith(name[:-3]) for member in value)
    return name in value or f"_{name}" in value


def _needs(name: str, other: str, key: str) -> Invariant:
    """`name` only together with `other`."""

    def invariant(value: Value) -> Iterator[Finding]:
        if _has(value, name) and not _has(value, other):
            yield other, f"{key}: {name} needs {other}"

    return invariant


def _excludes(name: str, other: str, key: str) -> Invariant:
    """`name` and `other` never together."""

    def invariant(value: Value) -> Iterator[Finding]:
        if _has(value, name) and _has(value, other):
            yield name, f"{key}: not together with {other}"

    return invariant


def _any_of(key: str, *names: str) -> Invariant:
    """At least one of these elements."""

    def invariant(value: Value) -> Iterator[Finding]:
        if not any(_has(value, name) for name in names):
            yield "", f"{key}: at least one of {', '.join(names)} is needed"

    return invariant


def _one_of(key: str, *names: str) -> Invariant:
    """Exactly one of these elements."""

    def invariant(value: Value) -> Iterator[Finding]:
        if sum(_has(value, name) for name in names) != 1:
            yield "", f"{key}: one and only one of {', '.join(names)} is needed"

    return invariant


def _only(name: str, allowed: str, key: str) -> Invariant:
    """`name`, if it is there, is `allowed`."""

    def invariant(value: Value) -> Iterator[Finding]:
        if value.get(name, allowed) != allowed:
            yield name, f"{key}: {name} can only be {allowed}"

    return invariant


def _not_negative(name: str, key: str) -> Invariant:
    def invariant(value: Value) -> Iterator[Finding]:
        if value.get(name, 0) < 0:
            yield name, f"{key}: {name} must not be negative"

    return invariant


def _in_order(first: str, second: str, key: str) -> Invariant:
    """The time `first` is not after the time `second`, as far as their precision tells."""

    def invariant(value: Value) -> Iterator[Finding]:
        if first in value and second in value and _is_after(value[first], value[second]):
            yield second, f"{key}: {second} must not be before {first}"

    return invariant


def _is_after(first: str, second: str) -> bool:
    """Whether one dateTime is later than another, in whichever zone a date without a time was written."""
    if "T" in first and "T" in second:
        return _at(first) > _at(second)
    first, second = _date(first, WEST), _date(second, EAST)
    length = min(len(first), len(second))
    return first[:length] > second[:length]


def _date(text: str, zone: timezone) -> str:
    """The date in a zone of a dateTime with a time; any other as it is."""
    if "T" not in text:
        return text
    try:
        return _at(text).astimezone(zone).date().isoformat()
    except OverflowError:  # at either end of the calendar, where periods that never end are put
        return text[:10]


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text.replace(":60", ":59"))  # FHIR knows leap seconds, Python does not


def _low_before_high(limits: Value) -> Iterator[Finding]:
    """rng-2."""
    low, high = limits.get("low", {}), limits.get("high", {})
    if "value" in low and "value" in high and _unit(low) == _unit(high) and low["value"] > high["value"]:
        yield "low", "rng-2: low must not be higher than high"


def _unit(quantity: Value) -> tuple[str | None, str | None]:
    return (quantity.get("system"), quantity["code"]) if "code" in quantity else (None, quantity.get("unit"))


def _positive(age: Value) -> Iterator[Finding]:
    if age.get("value", 1) <= 0:
        yield "value", "age-1: value must be positive"


def _whole(count: Value) -> Iterator[Finding]:
    if not float(count.get("value", 0)).is_integer():
        yield "value", "cnt-3: value must be a whole number"


def _offset_from_an_event(repeat: Value) -> Iterator[Finding]:
    when = repeat.get("when", ())
    if _has(repeat, "offset") and (not when or MEALS.intersection(when)):
        yield "offset", f"tim-9: offset needs when, and none of {', '.join(sorted(MEALS))}"


def _what_its_kind_needs(trigger: Value) -> Iterator[Finding]:
    needed = TRIGGER_NEEDS.get(trigger.get("type", "").partition("-")[0])
    if needed and not _has(trigger, needed):
        yield needed.removesuffix("[x]"), f"trd-3: a {trigger['type']} trigger needs {needed}"


def _value_in_component_or_here(observation: Value) -> Iterator[Finding]:
    if not _has(observation, "value[x]"):
        return
    own = _codings(observation)
    for index, component in enumerate(observation.get("component", ())):
        if own & _codings(component):
            yield f"component[{index}].code", "obs-7: a component with the Observation's own code excludes value[x]"


def _codings(element: Value) -> set[tuple[str | None, str]]:
    codings = element["code"].get("coding", ())
    return {(coding.get("system"), coding["code"]) for coding in codings if "code" in coding}


def _nobodys_home(organization: Value) -> Iterator[Finding]:
    for name, key in (("address", "org-2"), ("telecom", "org-3")):
        for index, contact in enumerate(organization.get(name, ())):
            if contact.get("use") == "home":
                yield f"{name}[{index}].use", f"{key}: an organization has no {name} of use 'home'"


def _total_where_counted(bundle: Value) -> Iterator[Finding]:
    if _has(bundle, "total") and bundle.get("type") not in WITH_TOTAL:
        yield "total", f"bdl-1: only in a Bundle of type {', '.join(WITH_TOTAL)}"


def _search_where_searched(bundle: Value) -> Iterator[Finding]:
    for index, entry in enumerate(bundle.get("entry", ())):
        if "search" in entry and bundle.get("type") not in WITH_SEARCH:
            yield f"entry[{index}].search", f"bdl-2: only in a Bundle of type {', '.join(WITH_SEARCH)}"


def _exactly_in(types: tuple[str, ...], name: str, key: str) -> Invariant:
    """Every entry of these types of Bundle has the element `name`, and none of another type."""

    def invariant(bundle: Value) -> Iterator[Finding]:
        needed = bundle.get("type") in types
        for index, entry in enumerate(bundle.get("entry", ())):
            if (name in entry) is not needed:
                yield f"entry[{index}].{name}", f"{key}: in all entries of a {', '.join(types)}, else in none"

    return invariant


def _entries_differ(bundle: Value) -> Iterator[Finding]:
    seen: set[tuple[str, str | None]] = set()
    for index, entry in enumerate(bundle.get("entry", ()) if bundle.get("type") != "history" else ()):
        key = (entry.get("fullUrl"), _version(entry.get("resource", {})))
        if "fullUrl" in entry and key in seen:
            yield f"entry[{index}].fullUrl", "bdl-7: the same fullUrl and meta.versionId came before"
        seen.add(key)


def _version(resource: Value) -> str | None:
    """meta.versionId of a resource that may not have been checked."""
    meta = resource.get("meta")
    version = meta.get("versionId") if isinstance(meta, dict) else None
    return version if isinstance(version, str) else None


def _no_version_in_url(entry: Value) -> Iterator[Finding]:
    if "/_history/" in entry.get("fullUrl", ""):
        yield "fullUrl", "bdl-8: not a reference to one version"


def _identified_and_dated(bundle: Value) -> Iterator[Finding]:
    if bundle.get("type") != "document":
        return
    for name in ("system", "value"):
        if not _has(bundle.get("identifier", {}), name):
            yield f"identifier.{name}", f"bdl-9: a document needs an identifier with a {name}"
    if "timestamp" not in bundle:
        yield "timestamp", "bdl-10: a document needs a date"


def _first_resource(bundle: Value) -> Iterator[Finding]:
    key, needed = FIRST_RESOURCE.get(bundle.get("type", ""), ("", ""))
    entries = bundle.get("entry") or [{}]
    if needed and entries[0].get("resource", {}).get("resourceType") != needed:
        yield "entry[0].resource", f"{key}: the first resource of a {bundle['type']} is a {needed}"


def _plain_contained(resource: Value) -> Iterator[Finding]:
    """dom-2, dom-4, dom-5: what is contained has no life of its own."""
    for index, item in enumerate(resource["contained"]):
        path, meta = f"contained[{index}]", item.get("meta", {})
        if "contained" in item:
            yield f"{path}.contained", "dom-2: a contained resource contains no other"
        for name in ("versionId", "lastUpdated"):
            if _has(meta, name):
                yield f"{path}.meta.{name}", f"dom-4: a contained resource has no {name}"
        if "security" in meta:
            yield f"{path}.meta.security", "dom-5: a contained resource has no security label"


def _contained_is_used(resource: Value) -> Iterator[Finding]:
    """dom-3."""
    unused = {f"#{item.get('id')}": index for index, item in enumerate(resource["contained"])}
    for pointer in _internal(resource):
        unused.pop(pointer, None)
        if not unused:  # mostly it is the subject, which stands before the samples
            return
    for index in unused.values():
        if "#" not in _internal(resource["contained"][index]):
            yield (
                f"contained[{index}]",
                "dom-3: nothing refers to this contained resource, nor does it to its container",
            )


def _internal(value: object) -> Iterator[str]:
    """Each text that may point within a resource: `reference`, a canonical, a uri or a url, all written as #id."""
    if isinstance(value, str):
        yield from (value,) if value.startswith("#") else ()
    elif isinstance(value, dict | list):
        for child in value.values() if isinstance(value, dict) else value:
            yield from _internal(child)


QUANTITY = (_needs("code", "system", "qty-3"),)

# Asked of every resource that contains others.
CONTAINMENT: tuple[Invariant, ...] = (_plain_contained, _contained_is_used)

INVARIANTS: dict[str, tuple[Invariant, ...]] = {
    "Age": (*QUANTITY, _needs("value", "code", "age-1"), _only("system", UCUM, "age-1"), _positive),
    "Attachment": (_needs("data", "contentType", "att-1"),),
    "AuditEvent.entity": (_excludes("query", "name", "sev-1"),),
    "Bundle": (
        _total_where_counted,
        _search_where_searched,
        _exactly_in(WITH_REQUEST, "request", "bdl-3"),
        _exactly_in(WITH_RESPONSE, "response", "bdl-4"),
        _entries_differ,
        _identified_and_dated,
        _first_resource,
    ),
    "Bundle.entry": (_any_of("bdl-5", "resource", "request", "response"), _no_version_in_url),
    "ContactPoint": (_needs("value", "system", "cpt-2"),),
    "Count": (
        *QUANTITY,
        _needs("value", "code", "cnt-3"),
        _only("system", UCUM, "cnt-3"),
        _only("code", "1", "cnt-3"),
        _whole,
    ),
    "DataRequirement.codeFilter": (_one_of("drq-1", "path", "searchParam"),),
    "DataRequirement.dateFilter": (_one_of("drq-2", "path", "searchParam"),),
    "Distance": (*QUANTITY, _needs("value", "code", "dis-1"), _only("system", UCUM, "dis-1")),
    "Duration": (*QUANTITY, _needs("code", "value", "drt-1"), _only("system", UCUM, "drt-1")),
    "Expression": (_any_of("exp-1", "expression", "reference"),),
    "Extension": (_one_of("ext-1", "extension", "value[x]"),),
    "Observation": (_excludes("dataAbsentReason", "value[x]", "obs-6"), _value_in_component_or_here),
    "Observation.referenceRange": (_any_of("obs-3", "low", "high", "text"),),
    "Organization": (_any_of("org-1", "identifier", "name"), _nobodys_home),
    "Parameters.parameter": (_one_of("inv-1", "value[x]", "resource", "part"),),
    "Patient.contact": (_any_of("pat-1", "name", "telecom", "address", "organization"),),
    "Period": (_in_order("start", "end", "per-1"),),
    "Quantity": QUANTITY,
    "Range": (_low_before_high,),
    "Ratio": (
        _needs("numerator", "denominator", "rat-1"),
        _needs("denominator", "numerator", "rat-1"),
        _any_of("rat-1", "numerator", "denominator", "extension"),
    ),
    "ServiceRequest": (_needs("orderDetail", "code", "prr-1"),),
    "Task": (_in_order("authoredOn", "lastModified", "inv-1"),),
    "Timing.repeat": (
        _needs("duration", "durationUnit", "tim-1"),
        _needs("period", "periodUnit", "tim-2"),
        _not_negative("duration", "tim-4"),
        _not_negative("period", "tim-5"),
        _needs("periodMax", "period", "tim-6"),
        _needs("durationMax", "duration", "tim-7"),
        _needs("countMax", "count", "tim-8"),
        _offset_from_an_event,
        _excludes("timeOfDay", "when", "tim-10"),
    ),
    "TriggerDefinition": (
        _excludes("data", "timing[x]", "trd-1"),
        _needs("condition", "data", "trd-2"),
        _what_its_kind_needs,
    ),
}

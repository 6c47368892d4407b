"""Is this JSON a FHIR R4 resource? The model classes of `fhir.resources` say so first, then our own tables.

The classes check structure, primitive formats and choices, but let through what the official definitions forbid:
codes outside required bindings, references to the wrong type, ids of any length, null and empty values. The rules for
these come from `definitions.json`, which `scripts/fhir_definitions.py` writes from the official definitions of 4.0.1.
All problems are reported at once, each with its FHIRPath expression.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from importlib import resources
from typing import Any, NamedTuple, cast

import orjson
from fhir.resources.R4B import get_fhir_model_class
from pydantic import ValidationError

from inference.errors import InvalidContent, MissingElement
from interop.resources.invariants import INVARIANTS

Json = Mapping[str, Any]

DEFINITIONS: dict[str, dict[str, dict[str, Any]]] = orjson.loads(
    resources.files(__package__).joinpath("definitions.json").read_bytes()
)

ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
# FHIR R4 section 2.3.0.1: [base/]Type/id[/_history/version]
LITERAL_REFERENCE = re.compile(
    r"(https?://\S+/)?(?P<type>[A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(/_history/[A-Za-z0-9\-.]{1,64})?"
)
READABLE_REFERENCE = re.compile(rf"{LITERAL_REFERENCE.pattern}|(urn|https?):\S+|#\S*")
# Nothing clinical nests deeper; extensions can be nested without end.
MAX_DEPTH = 64

# How JSON carries the primitive types (FHIR R4 section 2.6.0.1); all others are strings.
PRIMITIVES: dict[str, tuple[type, ...]] = {
    "boolean": (bool,),
    "integer": (int,),
    "positiveInt": (int,),
    "unsignedInt": (int,),
    "decimal": (int, float),
}


# What the model classes raise, beside their ValidationError, on unknown types and on objects in place of primitives.
UNREADABLE = (KeyError, TypeError, AttributeError, IndexError)

# A lead as devices send it: nothing but these elements, with decimals for samples. Its form, which is remembered, is
# all but the samples.
LEAD_ELEMENTS = frozenset({"code", "valueSampledData"})
SAMPLE_BYTES = b"0123456789+-. "
MAX_LEAD_FORM = 2048


class Problem(NamedTuple):
    """One broken rule. missing: a required element is absent."""

    element: str
    message: str
    missing: bool = False


def validate(resource: Json) -> None:
    """Raises MissingElement when required elements are absent and nothing else is wrong, else InvalidContent; both
    carry every problem. `resource` must be of a type in `DEFINITIONS`."""
    refuse(problems(resource))


def refuse(found: list[Problem]) -> None:
    """Raise what `validate` raises for these problems; nothing when there are none."""
    if not found:
        return
    kind = MissingElement if all(problem.missing for problem in found) else InvalidContent
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    raise kind(found[0].message + more, element=found[0].element, problems=[(p.element, p.message) for p in found])


def problems(resource: Json) -> list[Problem]:
    """Everything that is wrong with a resource, our own rules first."""
    name = resource["resourceType"]
    if _too_deep(resource, MAX_DEPTH):
        return [Problem(name, f"nested deeper than {MAX_DEPTH} levels")]
    rest = _without_known_leads(resource)
    if rest is not resource and not _by_the_rules(rest):
        return list(_invariants(resource, name))
    return _by_the_rules(resource) or list(_invariants(resource, name))


def _by_the_rules(resource: Json) -> list[Problem]:
    """What the tables and the model classes say: rules that look at one element each."""
    name = resource["resourceType"]
    own = list(_resource(resource, name, resource))
    # What the classes say of the resource as a whole is there in detail once anything of our own is.
    named = {problem.element for problem in own} | ({name} if own else set())
    return own + [problem for problem in _model_problems(resource) if problem.element not in named]


def _without_known_leads(resource: Json) -> Json:
    """An ECG without the leads whose like was found valid before; the resource itself where there is none.

    A device sends the same twelve components each time, but for their samples, and checking them is most of the work.
    """
    components = resource.get("component")
    if resource["resourceType"] != "Observation" or not isinstance(components, list):
        return resource
    left = [component for component in components if not _is_known_lead(component)]
    if len(left) == len(components):
        return resource
    rest = {element: value for element, value in resource.items() if element != "component"}
    return rest | {"component": left} if left else rest


def _is_known_lead(component: Any) -> bool:
    if not isinstance(component, dict) or component.keys() != LEAD_ELEMENTS:
        return False
    sampled = component["valueSampledData"]
    data = sampled.get("data") if isinstance(sampled, dict) else None
    if not isinstance(data, str) or not data.strip() or data.encode(errors="replace").translate(None, SAMPLE_BYTES):
        return False
    form = orjson.dumps(component | {"valueSampledData": sampled | {"data": "0"}})
    # A reference may point to another part of the resource.
    return len(form) <= MAX_LEAD_FORM and b'"reference"' not in form and _is_valid_lead(form)


@lru_cache(maxsize=1024)  # the leads of some eighty kinds of devices
def _is_valid_lead(form: bytes) -> bool:
    ecg = {"resourceType": "Observation", "status": "final", "code": {"text": "ECG"}, "component": [orjson.loads(form)]}
    return not _by_the_rules(ecg)


def _too_deep(value: object, left: int) -> bool:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return left == 0 or any(_too_deep(child, left - 1) for child in children if isinstance(child, dict | list))


@cache
def _model(name: str) -> Any:
    return get_fhir_model_class(name)


def _model_problems(resource: Json) -> Iterator[Problem]:
    """What the model classes find."""
    name = resource["resourceType"]
    try:
        _model(name).model_validate(resource)
    except ValidationError as error:
        for item in error.errors(include_url=False, include_input=False, include_context=False):
            message = item["msg"].removeprefix("Value error, ")
            yield Problem(_expression(name, item["loc"]), message, missing=item["type"] == "missing")
    except UNREADABLE:
        yield Problem(name, "holds a resource of an unknown type, or a value of the wrong kind")


def _expression(name: str, location: tuple[int | str, ...]) -> str:
    """('component', 3, 'code') -> Observation.component[3].code"""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part.removesuffix('__ext')}" for part in location]
    return name + "".join(parts)


def _resource(resource: Json, path: str, root: Json) -> Iterator[Problem]:
    """Own rules for a resource; contained ones are checked where we know their type."""
    name = resource.get("resourceType")
    identity = resource.get("id")
    if not isinstance(name, str):
        yield Problem(f"{path}.resourceType", "a resource needs a resourceType", missing=True)
        return
    if isinstance(identity, str) and not ID.fullmatch(identity):
        yield Problem(f"{path}.id", "an id is 1 to 64 letters, digits, '-' and '.'")
    if name in DEFINITIONS:
        yield from _members({k: v for k, v in resource.items() if k != "resourceType"}, name, path, root)


def _invariants(resource: Json, path: str) -> Iterator[Problem]:
    """Rules over several elements; they may rely on each of them being well-formed."""
    for invariant in INVARIANTS.get(resource["resourceType"], ()):
        yield from (Problem(f"{path}.{element}", message) for element, message in invariant(resource))
    for index, contained in enumerate(resource.get("contained", ())):
        yield from _invariants(contained, f"{path}.contained[{index}]")


def _members(value: Json, type_name: str, path: str, root: Json) -> Iterator[Problem]:
    """Every member of one element or resource, then what is absent."""
    elements = DEFINITIONS[type_name]
    for name, content in value.items():
        if name in elements:
            yield from _element(content, elements[name], f"{path}.{name}", root)
        elif not name.startswith("_"):  # `_name` carries extensions of a primitive; the model classes check it
            yield Problem(f"{path}.{name}", f"{type_name} has no element {name[:64]!r}")
    yield from _absent(value, elements, path)


def _absent(value: Json, elements: dict[str, dict[str, Any]], path: str) -> Iterator[Problem]:
    choices: dict[str, int] = {}
    for name, element in elements.items():
        present = name in value or f"_{name}" in value
        group = element.get("choice", name)
        choices[group] = choices.get(group, 0) + present
        if element.get("min") and not present and group == name:
            yield Problem(f"{path}.{name}", f"{name} is required", missing=True)
    for group, count in choices.items():
        if count > 1:
            yield Problem(f"{path}.{group}", f"only one form of {group}[x] is allowed")


def _element(content: object, element: dict[str, Any], path: str, root: Json) -> Iterator[Problem]:
    if content is None or content in ("", [], {}):
        yield Problem(path, "null and empty values are not allowed", missing=bool(element.get("min")))
    elif element.get("many") and isinstance(content, list):
        for index, item in enumerate(content):
            yield from _value(item, element, f"{path}[{index}]", root)
    elif element.get("many") or isinstance(content, list):
        yield Problem(path, "must be a list" if element.get("many") else "must not be a list")
    else:
        yield from _value(content, element, path, root)


def _value(value: object, element: dict[str, Any], path: str, root: Json) -> Iterator[Problem]:
    kind = element["type"]
    if not _is_written_as(value, kind):
        yield Problem(path, f"not written as JSON writes a {kind}")
    if "codes" in element and isinstance(value, str) and value not in element["codes"]:
        yield Problem(path, f"{value[:40]!r} is not one of {', '.join(element['codes'])}")
    if not isinstance(value, dict):
        return
    if kind == "Reference":
        yield from _reference(cast(Json, value), element.get("targets"), path, root)
    if kind in DEFINITIONS:
        yield from _members(value, kind, path, root)
    if kind == "Resource":
        yield from _resource(value, path, root)


def _is_written_as(value: object, kind: str) -> bool:
    """Whether JSON has the right kind of value: an object, a string, a number or a boolean."""
    if kind[0].isupper():
        return isinstance(value, dict)
    allowed = PRIMITIVES.get(kind, (str,))
    return isinstance(value, allowed) and (bool in allowed or not isinstance(value, bool))


def _reference(value: Json, targets: list[str] | None, path: str, root: Json) -> Iterator[Problem]:
    """A literal reference must be readable, resolve when it is internal, and point to an allowed type."""
    literal = value.get("reference")
    kind = target_type(value, root)
    if isinstance(literal, str):
        if literal.startswith("#") and kind is None:
            yield Problem(f"{path}.reference", f"nothing contained has the id {literal[1:65]!r}")
        elif not READABLE_REFERENCE.fullmatch(literal):
            yield Problem(f"{path}.reference", "a reference is Type/id, a URL, a URN or #id")
    if targets and kind is not None and kind not in targets:
        yield Problem(path, f"refers to {kind[:40]!r}; allowed: {', '.join(targets)}")


def target_type(reference: Json, root: Json) -> str | None:
    """The type of what a Reference in the resource `root` points to, as far as it says so."""
    literal, stated = reference.get("reference"), reference.get("type")
    if isinstance(literal, str) and literal.startswith("#"):
        return _contained_type(literal, root)
    match = LITERAL_REFERENCE.fullmatch(literal) if isinstance(literal, str) else None
    return match["type"] if match else stated if isinstance(stated, str) else None


def _contained_type(literal: str, root: Json) -> str | None:
    """The type of what `#id` means; `#` alone is the resource itself."""
    if literal == "#":
        return cast(str, root["resourceType"])
    contained = root.get("contained")
    for item in contained if isinstance(contained, list) else ():
        if isinstance(item, dict) and item.get("id") == literal[1:] and isinstance(item.get("resourceType"), str):
            return cast(str, item["resourceType"])
    return None

"""Is this JSON a FHIR R4 resource? The model classes of `fhir.resources` say so first, then our own tables.

The classes check structure, primitive formats and choices, but let through what the official definitions forbid:
codes outside required bindings, references to the wrong type, ids of any length, null and empty values. The rules for
these come from `definitions.json`, which `scripts/fhir_definitions.py` writes from the official definitions of 4.0.1.
Rules over several elements (`invariants.py`) are asked once each element is well-formed. All problems are reported at
once, each with its FHIRPath expression. What a Bundle or Parameters holds is checked like a resource that came alone.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from importlib import resources
from typing import Any, Final, NamedTuple, cast

import orjson
from fhir.resources.R4B import get_fhir_model_class
from pydantic import ValidationError

from inference.errors import InvalidContent, MissingElement
from interop.resources.invariants import CONTAINMENT, INVARIANTS, Invariant

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


BASE64_BYTES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/= \t\r\n"

# Where resources hold others that stand alone, with an id space of their own for `#` references: the type of each
# element on the way.
HOLDERS: dict[str, dict[str, str]] = {
    "Bundle": {"entry": "Bundle.entry"},
    "Bundle.entry": {"resource": "Resource", "response": "Bundle.entry.response"},
    "Bundle.entry.response": {"outcome": "Resource"},
    "Parameters": {"parameter": "Parameters.parameter"},
    "Parameters.parameter": {"resource": "Resource", "part": "Parameters.parameter"},
}
EXTENDED: Final = object()  # in place of a null in a list of primitives that has an extension instead of a value
STAND_IN: Final[Json] = {"resourceType": "Patient"}  # a valid resource, in place of one that is checked by itself

# Types that only others are made of; the model classes would take them as resources.
ABSTRACT = frozenset({"Resource", "DomainResource"})

EMPTY = "null and empty values are not allowed"
CHILDLESS = "ele-1: an element has a value or more than an id"

ROOT = "root"  # in the model classes' locations: the resource as a whole

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


def problems(resource: Json, *, path: str | None = None, held: bool = True) -> list[Problem]:
    """Everything that is wrong with a resource, our own rules first.

    path: the expression to put before each, such as `Bundle.entry[3].resource`; the resource's type unless given.
    held: also check the resources in a Bundle or Parameters; without it only what surrounds them, as for a batch, whose
    entries fail one by one. A type that has no table is checked by its model class.
    """
    path = path or resource["resourceType"]
    if _too_deep(resource, MAX_DEPTH):
        return [Problem(path, f"nested deeper than {MAX_DEPTH} levels")]
    return _problems(resource, path, held)


def _problems(resource: Json, path: str, held: bool) -> list[Problem]:
    name = resource["resourceType"]
    if name in HOLDERS:
        return _problems_of_holder(resource, path, held)
    rest = _without_known_leads(resource)
    if rest is not resource and not _one_by_one(rest, path):
        return list(_spanning(resource, name, path))
    return _by_the_rules(resource, path) or [*_spanning(resource, name, path), *_within(resource, name, path)]


def _problems_of_holder(resource: Json, path: str, held: bool) -> list[Problem]:
    name, inside = resource["resourceType"], dict[str, Json]()
    shell = cast(Json, _shell(resource, name, path, inside))
    found = _by_the_rules(shell, path) or [*_spanning(resource, name, path), *_within(shell, name, path)]
    for place, inner in inside.items() if held else ():
        if isinstance(inner.get("resourceType"), str):
            found += _problems(inner, place, held)
        else:
            found.append(_untyped(place))
    return found


def _shell(value: object, kind: str, path: str, inside: dict[str, Json]) -> object:
    """A Bundle or Parameters with a stand-in for each resource in it; these go into `inside` by their expression."""
    if isinstance(value, list):
        return [_shell(item, kind, f"{path}[{index}]", inside) for index, item in enumerate(value)]
    if not isinstance(value, dict) or not value:
        return value
    if kind == "Resource":
        inside[path] = value
        return STAND_IN
    inner = HOLDERS[kind]
    return {k: _shell(v, inner[k], f"{path}.{k}", inside) if k in inner else v for k, v in value.items()}


def _one_by_one(resource: Json, path: str) -> list[Problem]:
    """What is wrong with the elements: by the tables and model classes, else by the rules of the elements' types."""
    return _by_the_rules(resource, path) or list(_within(resource, resource["resourceType"], path))


def _by_the_rules(resource: Json, path: str) -> list[Problem]:
    """What the tables and the model classes say: rules that look at one element each."""
    own = list(_resource(resource, path, resource))
    # What the classes say of the resource as a whole is there in detail once anything of our own is.
    named = {problem.element for problem in own} | ({path} if own else set())
    return own + [problem for problem in _model_problems(resource, path) if problem.element not in named]


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
    return not _one_by_one(ecg, "Observation")


def _too_deep(value: object, left: int) -> bool:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return left == 0 or any(_too_deep(child, left - 1) for child in children if isinstance(child, dict | list))


@cache
def _model(name: str) -> Any:
    try:
        model = get_fhir_model_class(name)
    except ValueError as error:
        raise KeyError(name) from error
    if name in ABSTRACT or not issubclass(model, get_fhir_model_class("Resource")):
        raise KeyError(name)
    return model


def _model_problems(resource: Json, path: str) -> Iterator[Problem]:
    """What the model classes find."""
    try:
        _model(resource["resourceType"]).model_validate(resource)
    except ValidationError as error:
        for item in error.errors(include_url=False, include_input=False, include_context=False):
            message = item["msg"].removeprefix("Value error, ")
            yield Problem(_expression(path, item["loc"]), message, missing=item["type"] == "missing")
    except UNREADABLE:
        yield Problem(path, "is or holds a resource of an unknown type, or a value of the wrong kind")


def _expression(path: str, location: tuple[int | str, ...]) -> str:
    """Observation, ('component', 3, 'code') -> Observation.component[3].code"""
    names = (part if isinstance(part, int) else part.removeprefix("_").removesuffix("__ext") for part in location)
    return path + "".join(f"[{name}]" if isinstance(name, int) else f".{name}" for name in names if name != ROOT)


def _untyped(path: str) -> Problem:
    return Problem(f"{path}.resourceType", "a resource needs a resourceType", missing=True)


def _resource(resource: Json, path: str, root: Json) -> Iterator[Problem]:
    """Own rules for a resource; contained ones are checked where we know their type."""
    name = resource.get("resourceType")
    identity = resource.get("id")
    if not isinstance(name, str):
        yield _untyped(path)
        return
    if isinstance(identity, str) and not ID.fullmatch(identity):
        yield Problem(f"{path}.id", "an id is 1 to 64 letters, digits, '-' and '.'")
    if name in DEFINITIONS:
        yield from _members({k: v for k, v in resource.items() if k != "resourceType"}, name, path, root)


def _spanning(value: Json, kind: str, path: str) -> Iterator[Problem]:
    """Rules over several members of one element or resource; they may rely on each member being well-formed."""
    for invariant in _invariants_of(value, kind):
        for element, message in invariant(value):
            yield Problem(f"{path}.{element}" if element else path, message)


def _invariants_of(value: Json, kind: str) -> tuple[Invariant, ...]:
    own = INVARIANTS.get(kind, ())
    return own + CONTAINMENT if "contained" in value else own


def _within(value: Json, kind: str, path: str) -> Iterator[Problem]:
    """The same for everything inside an element or resource, except resources whose type has no table."""
    elements = DEFINITIONS.get(kind, {})
    for name, content in value.items():
        if isinstance(content, dict | list) and (name in elements or name.startswith("_")):
            inner = elements[name]["type"] if name in elements else "Element"
            for place, item in _places(content, f"{path}.{name.removeprefix('_')}"):
                known = item["resourceType"] if inner == "Resource" else inner
                yield from _spanning(item, known, place)
                yield from _within(item, known, place)


def _places(content: Json | list[Any], path: str) -> Iterator[tuple[str, Json]]:
    """The objects in an element's content, each with its expression."""
    if isinstance(content, list):
        yield from ((f"{path}[{index}]", item) for index, item in enumerate(content) if isinstance(item, dict))
    else:
        yield path, content


def _members(value: Json, type_name: str, path: str, root: Json) -> Iterator[Problem]:
    """Every member of one element or resource, then what is absent."""
    elements = DEFINITIONS[type_name]
    for name, content in value.items():
        if name in elements:
            if isinstance(content, list) and None in content:
                content = _with_extended(content, value.get(f"_{name}"))
            yield from _element(content, elements[name], f"{path}.{name}", root)
        elif name[1:] in elements and name[0] == "_" and not elements[name[1:]]["type"][0].isupper():
            yield from _extended(content, elements[name[1:]], value.get(name[1:]), f"{path}.{name[1:]}", root)
        else:
            yield Problem(f"{path}.{name}", f"{type_name} has no element {name[:64]!r}")
    yield from _absent(value, type_name, path)


def _with_extended(items: list[Any], extensions: object) -> list[Any]:
    """A list of primitives in which a null that only keeps the place of an extension is left out of the checks."""
    beside = dict(enumerate(extensions)) if isinstance(extensions, list) else {}
    return [EXTENDED if item is None and beside.get(place) else item for place, item in enumerate(items)]


def _extended(content: object, element: dict[str, Any], value: object, path: str, root: Json) -> Iterator[Problem]:
    """What `_name` adds to the primitive `name`: an id and extensions, for a list one by one (FHIR R4 JSON format)."""
    if isinstance(content, list) != bool(element.get("many")):
        yield Problem(path, "must not be a list" if isinstance(content, list) else "must be a list")
    elif isinstance(content, list):
        values = dict(enumerate(value)) if isinstance(value, list) else {}
        for index, item in enumerate(content):
            yield from _extension_of(item, values.get(index), f"{path}[{index}]", root)
    elif content is None:
        yield Problem(path, EMPTY)
    else:
        yield from _extension_of(content, value, path, root)


def _extension_of(content: object, value: object, path: str, root: Json) -> Iterator[Problem]:
    if content is not None and (not isinstance(content, dict) or not content):
        yield Problem(path, "an object with an id or extensions is needed beside a primitive")
    elif value is None and (content is None or content.keys() == {"id"}):
        yield Problem(path, CHILDLESS)
    elif content is not None:
        yield from _members(content, "Element", path, root)


def _absent(value: Json, type_name: str, path: str) -> Iterator[Problem]:
    for name, forms in _required(type_name):
        if forms.isdisjoint(value):
            yield Problem(f"{path}.{name}", f"{name} is required", missing=True)
    forms_of = _choices(type_name)
    if not forms_of:
        return
    chosen = [forms_of[form] for form in {name.removeprefix("_") for name in value} if form in forms_of]
    for choice in sorted({choice for choice in chosen if chosen.count(choice) > 1}):
        yield Problem(f"{path}.{choice}", f"only one form of {choice}[x] is allowed")


@cache
def _required(type_name: str) -> tuple[tuple[str, frozenset[str]], ...]:
    """The required elements of a type, each with the members that may carry it."""
    forms: dict[str, set[str]] = {}
    for name, element in DEFINITIONS[type_name].items():
        if element.get("min"):
            forms.setdefault(element.get("choice", name), set()).update((name, f"_{name}"))
    return tuple((name, frozenset(members)) for name, members in forms.items())


@cache
def _choices(type_name: str) -> dict[str, str]:
    """The members of a type that are one form of a choice: valueString -> value."""
    return {name: element["choice"] for name, element in DEFINITIONS[type_name].items() if "choice" in element}


def _element(content: object, element: dict[str, Any], path: str, root: Json) -> Iterator[Problem]:
    if content is None or content in ("", [], {}):
        yield Problem(path, EMPTY, missing=bool(element.get("min")))
    elif element.get("many") and isinstance(content, list):
        for index, item in enumerate(content):
            yield from _value(item, element, f"{path}[{index}]", root)
    elif element.get("many") or isinstance(content, list):
        yield Problem(path, "must be a list" if element.get("many") else "must not be a list")
    else:
        yield from _value(content, element, path, root)


def _value(value: object, element: dict[str, Any], path: str, root: Json) -> Iterator[Problem]:
    kind = element["type"]
    if value is EXTENDED:
        return
    if value == {}:  # in a list; elsewhere it was refused before
        yield Problem(path, EMPTY)
        return
    if not _is_written_as(value, kind):
        yield Problem(path, f"not written as JSON writes a {kind}")
    if "codes" in element and isinstance(value, str) and value not in element["codes"]:
        yield Problem(path, f"{value[:40]!r} is not one of {', '.join(element['codes'])}")
    if not isinstance(value, dict):
        return
    if len(value) == 1 and "id" in value and kind != "Resource":
        yield Problem(path, CHILDLESS)
    if kind == "Reference":
        yield from _reference(cast(Json, value), element.get("targets"), path, root)
    if kind in DEFINITIONS:
        yield from _members(value, kind, path, root)
    if kind == "Resource":
        # Only `contained` repeats, and what it holds shares the ids of its container.
        yield from _resource(value, path, root if element.get("many") else value)


def _is_written_as(value: object, kind: str) -> bool:
    """Whether JSON has the right kind of value: an object, a string, a number or a boolean."""
    if kind[0].isupper():
        return isinstance(value, dict)
    if kind == "base64Binary":
        return isinstance(value, str) and not value.encode(errors="replace").translate(None, BASE64_BYTES)
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

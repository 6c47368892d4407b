"""Rules of the R4 definitions that span several elements, per resource type (constraints on its page).

They are asked of resources whose elements are well-formed one by one.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Finding = tuple[str, str]
Invariant = Callable[[Mapping[str, Any]], Iterator[Finding]]


def _has_value(element: Mapping[str, Any]) -> bool:
    return any(name.startswith("value") for name in element)


def _codings(element: Mapping[str, Any]) -> set[tuple[str | None, str]]:
    codings = element["code"].get("coding", ())
    return {(coding.get("system"), coding["code"]) for coding in codings if "code" in coding}


def _no_reason_beside_a_value(observation: Mapping[str, Any]) -> Iterator[Finding]:
    """obs-6."""
    if "dataAbsentReason" in observation and _has_value(observation):
        yield "dataAbsentReason", "obs-6: dataAbsentReason only where value[x] is absent"


def _value_in_component_or_here(observation: Mapping[str, Any]) -> Iterator[Finding]:
    """obs-7."""
    if not _has_value(observation):
        return
    own = _codings(observation)
    for index, component in enumerate(observation.get("component", ())):
        if own & _codings(component):
            yield f"component[{index}].code", "obs-7: a component with the Observation's own code excludes value[x]"


INVARIANTS: dict[str, tuple[Invariant, ...]] = {
    "Observation": (_no_reason_beside_a_value, _value_in_component_or_here),
}

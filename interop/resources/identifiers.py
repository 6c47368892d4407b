"""Business identifiers: system and value, beside the logical ids that servers give."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from interop.resources.codes import V2_IDENTIFIER_TYPE


@dataclass(frozen=True, slots=True)
class Identifier:
    """One identifier. system is None where the source names no authority."""

    value: str
    system: str | None = None

    @property
    def key(self) -> str:
        """`system|value`, the form in which identifiers are compared."""
        return f"{self.system or ''}|{self.value}"

    def as_json(self, type_code: str | None = None) -> dict[str, Any]:
        """The FHIR Identifier; type_code: of table v2-0203, such as PLAC and FILL."""
        kind = {"type": {"coding": [{"system": V2_IDENTIFIER_TYPE, "code": type_code}]}} if type_code else {}
        return kind | ({"system": self.system} if self.system else {}) | {"value": self.value}


def identifiers_of(items: Iterable[Mapping[str, Any]]) -> tuple[Identifier, ...]:
    """The FHIR Identifiers that have a value."""
    return tuple(Identifier(item["value"], item.get("system")) for item in items if item.get("value"))

"""Identifiers with their assigning authority: PID-3 (CX), OBR-2 and OBR-3 (EI), and their FHIR Identifier.system.

A number without its authority is no identity: two hospitals both have a patient 1001.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from hl7 import Segment

from inference.errors import MissingPatientId
from interop.hl7.fields import Separators, component, raw, unescape
from interop.hl7.message import Header
from interop.hl7.senders import Sender

# CX.5 (table 0203) of numbers that name an account or a visit, not a person; those change from stay to stay.
NOT_A_PERSON = frozenset({"AN", "ANC", "AND", "ANT", "VN"})

# HD.3 (table 0301) -> how a universal id of that type reads as a URI.
_UNIVERSAL: Mapping[str, str] = MappingProxyType(
    {"ISO": "urn:oid:", "UUID": "urn:uuid:", "GUID": "urn:uuid:", "URI": "", "": ""}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignedId:
    """A number, who assigned it (as the message says it; may be empty) and the FHIR system (None where unknown)."""

    value: str
    authority: str
    system: str | None

    @property
    def key(self) -> str:
        """`authority|value`."""
        return f"{self.system or self.authority}|{self.value}"

    def reference(self) -> dict[str, Any]:
        """A FHIR Reference by identifier."""
        identifier: dict[str, Any] = {"value": self.value}
        if self.system:
            identifier["system"] = self.system
        elif self.authority:
            identifier["assigner"] = {"display": self.authority}
        return {"identifier": identifier}


def patient_id(pid: Segment | None, header: Header, sender: Sender) -> AssignedId:
    """The first repetition of PID-3 that names a person. Raises MissingPatientId."""
    separators = header.separators
    for repetition in raw(pid, 3).split(separators.repetition):
        found = _assigned(repetition, separators, sender, authority_at=4)
        if found is not None and component(repetition, separators, 5) not in NOT_A_PERSON:
            return found
    raise MissingPatientId("PID-3 has no number that identifies the patient", element="PID-3")


def order_number(obr: Segment | None, field: int, header: Header, sender: Sender) -> AssignedId | None:
    """OBR-2 (placer) or OBR-3 (filler)."""
    return _order_number(raw(obr, field), header.separators, sender)


def _order_number(text: str, separators: Separators, sender: Sender) -> AssignedId | None:
    # EI spreads over components 2 to 4 what CX holds in the subcomponents of one.
    value, *authority = text.split(separators.component)
    as_cx = separators.component.join([value, "", "", separators.subcomponent.join(authority)])
    return _assigned(as_cx, separators, sender, authority_at=4)


def _assigned(repetition: str, separators: Separators, sender: Sender, authority_at: int) -> AssignedId | None:
    def text(number: int, subcomponent: int = 1) -> str:
        return unescape(component(repetition, separators, number, subcomponent), separators)

    value = text(1)
    if not value:
        return None
    namespace, universal, kind = (text(authority_at, part) for part in (1, 2, 3))
    return AssignedId(value=value, authority=namespace or universal, system=_system(namespace, universal, kind, sender))


def _system(namespace: str, universal: str, kind: str, sender: Sender) -> str | None:
    """The sender's table first, then a universal id that can be read as a URI."""
    for name in (namespace, universal, "" if not namespace and not universal else None):
        if name is not None and name in sender.identifier_systems:
            return sender.identifier_systems[name]
    prefix = _UNIVERSAL.get(kind.upper())
    if not universal or prefix is None or (not prefix and ":" not in universal):
        return None
    return prefix + universal

"""Where an analysed recording came from, as far as the results name it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from interop.resources.codes import NOT_IDENTIFIED, Json
from interop.resources.identifiers import Identifier
from interop.resources.observation import ReceivedObservation
from interop.resources.subjects import seen_from_outside

# What a result may repeat of the sender's Reference. A display is often the patient's name, and stays where it was.
REFERENCE_MEMBERS = ("reference", "type", "identifier")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The source of one recording. observation: when it came as one. subject: a FHIR Reference, None when nobody is
    named (/predict). placer_order_number, filler_order_number: OBR-2 and OBR-3."""

    observation: ReceivedObservation | None
    subject: Mapping[str, Any] | None
    observation_identifiers: tuple[Identifier, ...] = field(default=())
    placer_order_number: Identifier | None = None
    filler_order_number: Identifier | None = None

    def subject_reference(self) -> Json:
        """The subject of every result.

        Where nobody is named, subject is still there, because a ServiceRequest must have one: R4 allows a Reference
        with nothing but an extension and a display, and the extension is the standard one for a value that is unknown.
        """
        patient = self.observation.patient if self.observation else None
        subject = seen_from_outside(self.subject or {}, patient) or {}
        kept = {name: subject[name] for name in REFERENCE_MEMBERS if name in subject}
        return kept or NOT_IDENTIFIED

    def copied(self, *names: str) -> Json:
        """Members of the received Observation that the results share with it."""
        raw = self.observation.raw if self.observation else {}
        return {name: raw[name] for name in names if name in raw}

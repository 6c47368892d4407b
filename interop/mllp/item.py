"""One message on its way in."""

from dataclasses import dataclass

from actions.analysis import Door, RequestContext
from audit.records import Received
from inference.errors import Malformed
from interop.hl7.message import Header

MEDIA_TYPE = "x-application/hl7-v2+er7"  # as HL7 over HTTP calls it; none is registered


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A message as it came. header: its MSH, or why that could not be read."""

    content: bytes
    context: RequestContext
    header: Header | Malformed

    @property
    def readable_header(self) -> Header | None:
        """MSH, None when it could not be read."""
        return self.header if isinstance(self.header, Header) else None

    @property
    def control_id(self) -> str | None:
        """MSH-10, None when empty."""
        return (self.header.control_id or None) if isinstance(self.header, Header) else None

    def received(self, patient_key: str | None = None) -> Received:
        """As the inbox keeps it."""
        return Received(
            door=Door.MLLP,
            content=self.content,
            media_type=MEDIA_TYPE,
            received_at=self.context.received_at,
            correlation_id=self.context.correlation_id,
            sender=self.context.sender,
            control_id=self.control_id,
            patient_key=patient_key,
        )

"""MSH-10 of our own messages."""

import base64
from uuid import UUID

_BYTES = 12  # 96 bits make the 20 characters that MSH-10 may have before version 2.6


def control_id(id: UUID) -> str:
    """20 letters and digits from the lower 96 bits of a UUID; of a UUIDv7, 74 of them are random (RFC 9562)."""
    return base64.b32hexencode(id.bytes[-_BYTES:]).rstrip(b"=").decode("ascii")

"""What retention deletes, without SQLAlchemy."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionLimits:
    """What is deleted: payloads of audit entries recorded before a time, contents of items received before another;
    None: none of them."""

    payloads_before: datetime | None
    items_before: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """How much retention finds to delete. item_bytes: as stored, compressed."""

    payloads: int
    payload_bytes: int
    items: int
    item_bytes: int

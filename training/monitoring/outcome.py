"""What a monitor has found: a report, and whether somebody has to look at something."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Judgement(StrEnum):
    """What can be said. `too few to judge` is an answer of its own: neither good nor bad."""

    JUDGED = "judged"
    TOO_FEW = "too few to judge"
    NOBODY_URGENT = "no urgent results"
    NOTHING = "nothing to compare"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at. key: of its alert. flag: whether somebody has to look; None where that cannot be
    told, and then an open alert stays open. severity: a word of `audit.monitoring_records.Severity`."""

    key: str
    flag: bool | None
    severity: str
    title: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """content: the report, without what every report has. page: the same as HTML, where there is such a thing."""

    content: Mapping[str, Any]
    findings: tuple[Finding, ...]
    page: bytes | None = field(default=None, repr=False)

    @property
    def flag(self) -> bool:
        """Whether somebody has to look at anything."""
        return any(finding.flag for finding in self.findings)

"""Signal quality: usable as it is, usable with a warning, or refused with the reason."""

from dataclasses import dataclass
from enum import StrEnum


class QualityCode(StrEnum):
    """What can be wrong with a signal."""

    TOO_SHORT = "too-short"
    INVALID_SAMPLES = "invalid-samples"
    FLAT_LEAD = "flat-lead"
    SATURATION = "saturation"
    AMPLITUDE = "amplitude"
    NO_ECG = "no-ecg"
    NOISE = "noise"
    BASELINE_WANDER = "baseline-wander"
    LEAD_REVERSAL = "lead-reversal"
    EINTHOVEN = "einthoven"
    PACING_SPIKES = "pacing-spikes"


class Severity(StrEnum):
    """`warning`: a clinician still could read it. `refused`: nobody could."""

    WARNING = "warning"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class QualityFinding:
    """One observation on the signal. leads: names from `LEADS`, empty when it concerns the whole. text: for a reader."""

    code: QualityCode
    severity: Severity
    leads: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class QualityReport:
    """All findings of one recording."""

    findings: tuple[QualityFinding, ...] = ()

    @property
    def usable(self) -> bool:
        """False when any finding refuses the recording."""
        return all(f.severity is not Severity.REFUSED for f in self.findings)

    @property
    def clean(self) -> bool:
        """True when nothing at all was found."""
        return not self.findings

    def has(self, code: QualityCode) -> bool:
        """Whether a finding of this kind is present."""
        return any(f.code is code for f in self.findings)

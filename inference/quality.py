"""Signal quality: usable as it is, usable with a warning, or refused with the reason."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from inference.coarse_beat import find_coarse_beats
from inference.einthoven import disagreeing_leads
from inference.lead_reversal import suspected_reversal
from inference.lead_statistics import LeadStatistics, lead_statistics
from inference.median import middle
from inference.pacing import paced
from inference.prepare import MIN_DURATION
from inference.recording import LEADS, Recording

Mask = NDArray[np.bool_]


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
    """One observation on the signal. leads: names from `LEADS`, empty when it concerns the whole. text: for a
    reader."""

    code: QualityCode
    severity: Severity
    leads: tuple[str, ...]
    text: str


# Ways to lose a lead: what it is called, which leads, in words.
Losses = tuple[tuple[QualityCode, Mask, str], ...]


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


# Leads lost to whatever cause before the whole is refused: a reader can do without two of twelve, as can the network,
# which was trained with leads left out. Three chest leads of six are gone in two of the Chapman recordings.
MAX_LOST_LEADS = 2

# Shares of a lead.
MAX_INVALID = 0.1  # a second of ten bridged by straight lines; more is invention
MAX_FLAT = 0.5  # an electrode that was off for half of the time
FLAT_PART = 0.2  # worth telling: two seconds of ten
MAX_RAILED = 0.3  # most of what should be there is beyond the converter's range
RAILED_SECONDS = 0.2  # ten clipped R waves; PTB-XL's own plateaus (held samples at the end) stay under 0.13

# mV, typical peak to peak within a second. Real recordings: the median lead 0.2 to 6, the largest 0.8 to 10.
MAX_AMPLITUDE = 20.0  # microvolts or converter counts taken for mV give hundreds
MIN_AMPLITUDE = 0.05  # volts taken for mV give 0.01 at most; open inputs no more

# mV. 2 mV are 20 mm on paper, where the traces of neighbouring leads cross.
MAX_WANDER = 2.0
# mV, standard deviation between QRS complexes: hides P waves, which are 0.1 mV high.
MAX_NOISE = 0.04

# White, pink and brown noise stay below 2, real recordings above 2.5 (`inference.coarse_beat`).
MIN_CONTRAST = 2.2
# QRS complexes a second: 20 a minute. In 2.5 s a single one will do.
MIN_QRS_RATE = 20 / 60


def assess(recording: Recording) -> QualityReport:
    """Judge a recording: refused where no clinician could read it, warnings where one still could.

    Costs about a millisecond for 12 x 5,000 samples. Raises nothing: what is wrong is in the findings.
    """
    if recording.duration < MIN_DURATION:
        text = f"{recording.duration:.1f} s of signal; at least {MIN_DURATION} s are needed."
        return QualityReport((QualityFinding(QualityCode.TOO_SHORT, Severity.REFUSED, (), text),))
    leads = lead_statistics(recording.signal, recording.sampling_rate)
    if absurd := _absurd_amplitude(leads):
        return QualityReport((absurd,))
    losses = _losses(leads)
    lost: Mask = np.logical_or.reduce([mask for _, mask, _ in losses])
    findings = [*_lost_leads(losses, lost), *_impaired_leads(leads, lost)]
    if lost.sum() <= MAX_LOST_LEADS:
        findings += _of_the_whole(leads, lost, recording.sampling_rate)
    return QualityReport(tuple(findings))


def _absurd_amplitude(leads: LeadStatistics) -> QualityFinding | None:
    largest, typical = float(leads.amplitude.max()), float(middle(leads.amplitude))
    if largest == 0:
        return QualityFinding(QualityCode.FLAT_LEAD, Severity.REFUSED, LEADS, "There is no signal in any lead.")
    if typical > MAX_AMPLITUDE:
        text = f"Deflections of {typical:.0f} mV: microvolts or converter counts seem to have been sent as millivolts."
    elif largest < MIN_AMPLITUDE:
        text = (
            f"No deflection above {largest * 1000:.2g} µV: volts seem to have been sent as millivolts, or no electrode "
            "is connected."
        )
    else:
        return None
    return QualityFinding(QualityCode.AMPLITUDE, Severity.REFUSED, (), text)


def _losses(leads: LeadStatistics) -> Losses:
    """The ways to lose a lead, the first that applies to it counts."""
    return (
        (QualityCode.INVALID_SAMPLES, leads.invalid > MAX_INVALID, "invalid for much of the recording"),
        (QualityCode.FLAT_LEAD, leads.flat >= MAX_FLAT, "flat or missing"),
        (QualityCode.SATURATION, leads.railed > MAX_RAILED, "at the limit of the converter for much of the recording"),
        (QualityCode.AMPLITUDE, leads.amplitude > MAX_AMPLITUDE, "of an amplitude that no heart makes"),
    )


def _lost_leads(losses: Losses, lost: Mask) -> Iterator[QualityFinding]:
    severity = Severity.REFUSED if lost.sum() > MAX_LOST_LEADS else Severity.WARNING
    told = np.zeros(len(LEADS), np.bool_)
    for code, mask, what in losses:
        if (mask & ~told).any():
            yield _finding(code, severity, mask & ~told, what)
        told |= mask


def _impaired_leads(leads: LeadStatistics, lost: Mask) -> Iterator[QualityFinding]:
    """Warnings on leads that can still be read."""
    impairments = (
        (QualityCode.INVALID_SAMPLES, leads.invalid > 0, "interrupted by invalid samples, bridged by straight lines"),
        (QualityCode.FLAT_LEAD, leads.flat >= FLAT_PART, "flat for a part of the recording"),
        (QualityCode.SATURATION, leads.railed * leads.duration > RAILED_SECONDS, "clipped"),
        (QualityCode.NOISE, leads.noise > MAX_NOISE, "overlaid by strong noise (mains or muscle)"),
        (QualityCode.BASELINE_WANDER, leads.wander > MAX_WANDER, "of a wandering baseline"),
    )
    for code, mask, what in impairments:
        if (mask & ~lost).any():
            yield _finding(code, Severity.WARNING, mask & ~lost, what)


def _of_the_whole(leads: LeadStatistics, lost: Mask, sampling_rate: float) -> Iterator[QualityFinding]:
    present = np.where(lost[:, np.newaxis], np.float32(0), leads.steps) if lost.any() else leads.steps
    beats = find_coarse_beats(leads.grid, leads.grid_rate, present)
    if beats.contrast < MIN_CONTRAST or beats.count < max(1, int(leads.duration * MIN_QRS_RATE)):
        yield QualityFinding(QualityCode.NO_ECG, Severity.REFUSED, (), "Nothing in the signal looks like a heart beat.")
        return
    if disagreeing := disagreeing_leads(leads.steps, lost):
        text = f"{_list(disagreeing)} do not follow from I and II: a limb lead may be mislabelled."
        yield QualityFinding(QualityCode.EINTHOVEN, Severity.WARNING, disagreeing, text)
    if suspicion := suspected_reversal(beats, lost):
        yield QualityFinding(QualityCode.LEAD_REVERSAL, Severity.WARNING, suspicion.leads, suspicion.text)
    if paced(leads.signal, sampling_rate):
        text = "Spikes as of a pacemaker before the QRS complexes."
        yield QualityFinding(QualityCode.PACING_SPIKES, Severity.WARNING, (), text)


def _finding(code: QualityCode, severity: Severity, mask: Mask, what: str) -> QualityFinding:
    names = tuple(lead for lead, is_meant in zip(LEADS, mask, strict=True) if is_meant)
    return QualityFinding(code, severity, names, f"{_list(names)}: {what}.")


def _list(names: tuple[str, ...]) -> str:
    return "All leads" if len(names) == len(LEADS) else ", ".join(names)

"""What the system is made for: resting 12-lead ECGs of adults without a pacemaker rhythm. Outside of it nothing is
recommended and nothing is coded."""

from inference.quality import QualityCode, QualityReport
from inference.recording import Recording

ADULT_AGE = 18.0


def outside_intended_use(recording: Recording, quality: QualityReport) -> tuple[str, ...]:
    """Every reason why this recording lies outside; empty when it lies inside. An unknown age counts as adult."""
    # Whole years as people count them: 17.9 years is 17, never "18 years old, under 18".
    reasons = {
        f"the patient is {int(recording.age or 0)} years old, under {ADULT_AGE:.0f}": _is_minor(recording.age),
        "the source states a paced rhythm": recording.paced is True,
        "pacing spikes are suspected": quality.has(QualityCode.PACING_SPIKES),
        "the source states that it is not a resting 12-lead ECG": recording.resting is False,
    }
    return tuple(reason for reason, applies in reasons.items() if applies)


def _is_minor(age: float | None) -> bool:
    return age is not None and age < ADULT_AGE

"""Measurements and probabilities as Observations derived from the ECG."""

from collections.abc import Iterator
from dataclasses import dataclass

from actions.analysis import Analysis
from inference.labels import SUPERCLASS_NAMES, Superclass
from inference.prediction import Prediction
from interop.resources.codes import LOINC, OWN_SUPERCLASSES, Json, concept, quantity

# Decimals of a probability: a float32 network has no more to say.
PROBABILITY_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Measurement:
    """How one field of `inference.measurements.Measurements` is sent. loinc: (code, display), None where no code was
    verified. unit and ucum: as shown and as coded. decimals: more would be false precision."""

    field: str
    text: str
    unit: str
    ucum: str
    loinc: tuple[str, str] | None
    decimals: int = 0


MEASUREMENTS = (
    Measurement("heart_rate", "Heart rate", "/min", "/min", ("8867-4", "Heart rate"), decimals=1),
    Measurement("pr", "PR interval", "ms", "ms", ("8625-6", "P-R Interval")),
    Measurement("qrs", "QRS duration", "ms", "ms", ("8633-0", "QRS duration")),
    Measurement("qt", "QT interval", "ms", "ms", ("8634-8", "Q-T interval")),
    Measurement("qtc", "QTc interval (Fridericia)", "ms", "ms", ("76634-5", "Q-T interval corrected by Fridericia")),
    Measurement("axis", "Frontal QRS axis", "deg", "deg", None),
)


def measurement_observations(analysis: Analysis) -> Iterator[Json]:
    """What distinguishes one Observation for each interval that could be measured."""
    for measurement in MEASUREMENTS:
        value: float | None = getattr(analysis.measurements, measurement.field)
        if value is not None:
            codings = [dict(zip(("code", "display"), measurement.loinc, strict=True))] if measurement.loinc else []
            yield {
                "code": concept(*({"system": LOINC} | coding for coding in codings), text=measurement.text),
                "valueQuantity": quantity(round(value, measurement.decimals), measurement.unit, measurement.ucum),
                "method": {"text": "Measured by software on the 0.05-125 Hz signal"},
            }


def probability_observation(prediction: Prediction) -> Json:
    """What distinguishes the Observation with one component for each superclass. No LOINC code means these."""
    return {
        "code": {"text": "Probability of diagnostic superclass by ECG classification model"},
        "component": [_probability(superclass, prediction) for superclass in Superclass],
    }


def _probability(superclass: Superclass, prediction: Prediction) -> Json:
    """Each class stands alone (multi-label); the reference range says from where on it is decided."""
    name = SUPERCLASS_NAMES[superclass]
    return {
        "code": concept({"system": OWN_SUPERCLASSES, "code": superclass.value, "display": name}, text=name),
        "valueQuantity": _share(prediction.probabilities[superclass]),
        "referenceRange": [{"high": _share(prediction.thresholds[superclass]), "text": "below the decision threshold"}],
    }


def _share(value: float) -> Json:
    return quantity(round(value, PROBABILITY_DECIMALS), "1", "1")

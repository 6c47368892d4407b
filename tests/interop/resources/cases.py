"""Recordings, Analyses and Observations for the tests of this package: valid, unless a test changes something."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
import orjson

from actions.analysis import Analysis, Door, Mode, PolicyInfo, Recommendation, Urgency
from audit.records import Received
from inference.labels import CONCLUSION_CODES, Superclass
from inference.measurements import Measurements
from inference.quality import QualityCode, QualityFinding, QualityReport, Severity
from inference.recording import LEADS, Recording, Sex
from interop.resources import observation
from interop.resources.identifiers import Identifier
from tests.fakes import NOW, make_prediction

RECORDED_AT = NOW - timedelta(minutes=10)
MEASUREMENTS = Measurements(heart_rate=72.34, pr=160.0, qrs=92.0, qt=388.0, qtc=411.0, axis=-12.0)
MDC_OID = "urn:oid:2.16.840.1.113883.6.24"

RECOMMENDATIONS = (
    Recommendation(
        action="Activate cath lab",
        urgency=Urgency.IMMEDIATE,
        confidence=0.83,
        diagnosis=Superclass.MI,
        rule="mi-high",
        rationale="If clinically acute; compare with the previous ECG.",
        source="ESC 2023",
    ),
    Recommendation(
        action="Check electrolytes",
        urgency=Urgency.ROUTINE,
        confidence=1.0,
        diagnosis=None,
        rule="qtc",
        rationale="QTc is long.",
        source="AHA 2010",
    ),
    Recommendation(
        action="Nothing to do",
        urgency=Urgency.NONE,
        confidence=0.9,
        diagnosis=Superclass.NORM,
        rule="norm",
        rationale="Nothing found.",
        source="none",
    ),
)


def make_recording(samples: int = 1000, **given: Any) -> Recording:
    """Twelve leads on a grid of 1 uV, 500 Hz."""
    counts = np.random.default_rng(7).integers(-2000, 2000, (len(LEADS), samples))
    fields: dict[str, Any] = {"sampling_rate": 500.0, "recorded_at": RECORDED_AT}
    return Recording((counts * 0.001).astype(np.float32), **fields | given)


def make_analysis(**given: Any) -> Analysis:
    """A decided MI with three recommendations, one of them not worth a request."""
    fields: dict[str, Any] = {
        "id": UUID("018f0000-0000-7000-8000-000000000abc"),
        "door": Door.FHIR,
        "analyzed_at": NOW,
        "recorded_at": RECORDED_AT,
        "age": 60.0,
        "sex": Sex.FEMALE,
        "sampling_rate": 500.0,
        "duration": 2.0,
        "quality": QualityReport(),
        "measurements": MEASUREMENTS,
        "prediction": make_prediction(MI=0.83),
        "recommendations": RECOMMENDATIONS,
        "conclusion": "Findings: myocardial infarction (probability 0.83).",
        "conclusion_codes": (CONCLUSION_CODES[Superclass.MI],),
        "outside_intended_use": (),
        "archived": False,
        "warnings": ("The age is unknown; adult is assumed.",),
        "mode": Mode.LIVE,
        "policy": PolicyInfo(name="default rules", version="1", sha256="a" * 64),
        "timings": {"classify": 0.003},
    }
    return Analysis(**fields | given)


def uninterpretable() -> Analysis:
    """An Analysis of a flat line."""
    finding = QualityFinding(QualityCode.NO_ECG, Severity.REFUSED, (), "There is no ECG in the signal.")
    return make_analysis(
        quality=QualityReport((finding,)),
        measurements=Measurements(),
        prediction=None,
        recommendations=(),
        conclusion="The ECG could not be interpreted: There is no ECG in the signal.",
        conclusion_codes=(),
        warnings=(finding.text,),
    )


def make_received(content: bytes = b"{}", **given: Any) -> Received:
    """One item at the FHIR door."""
    fields: dict[str, Any] = {
        "door": "fhir",
        "content": content,
        "media_type": "application/fhir+json",
        "received_at": datetime(2026, 3, 2, 9, 29, tzinfo=UTC),
        "correlation_id": "c-1",
    }
    return Received(**fields | given)


def ecg_observation(**given: Any) -> dict[str, Any]:
    """An Observation as a sender writes it: eight leads, four samples, one identifier."""
    leads = ("131329", "131330", "131331", "131332", "131333", "131334", "131335", "131336")
    document: dict[str, Any] = {
        "resourceType": "Observation",
        "identifier": [{"system": "urn:oid:1.2.3", "value": "ECG-1"}],
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "11524-6"}]},
        "subject": {"reference": "Patient/1"},
        "effectiveDateTime": "2026-03-02T10:20:00.120+01:00",
        "component": [component(code, f"{n} {n + 1} {n + 2} -{n}") for n, code in enumerate(leads, 1)],
    }
    return {name: value for name, value in (document | given).items() if value is not None}


def component(code: str, data: str, **sampled: Any) -> dict[str, Any]:
    """One lead in mV at 500 Hz, factor 0.001."""
    values: dict[str, Any] = {
        "origin": {"value": 0, "unit": "mV", "system": "http://unitsofmeasure.org", "code": "mV"},
        "period": 2,
        "factor": 0.001,
        "dimensions": 1,
        "data": data,
    }
    kept = {name: value for name, value in (values | sampled).items() if value is not None}
    return {"code": {"coding": [{"system": MDC_OID, "code": code}]}, "valueSampledData": kept}


def received_observation(**given: Any) -> observation.ReceivedObservation:
    """`ecg_observation`, parsed."""
    return observation.parse(orjson.dumps(ecg_observation(**given)))


ORDER = Identifier("P-77", "urn:oid:1.2.4")
FILLER = Identifier("F-88")

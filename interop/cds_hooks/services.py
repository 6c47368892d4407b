"""The CDS services of this door (CDS Hooks 2.0, section Discovery): one for each hook, all about the patient's ECGs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from interop.resources.codes import LOINC, MDC, Json

# The newest ECG and the one before, to compare with. A waveform takes some hundred kilobytes.
ECGS = 2
REPORTS = 5
PATIENT_KEY, ECGS_KEY, REPORTS_KEY = "patient", "ecgs", "reports"


class Hook(StrEnum):
    """The hooks of the library of CDS Hooks that are served."""

    PATIENT_VIEW = "patient-view"
    ORDER_SIGN = "order-sign"
    ORDER_SELECT = "order-select"
    ENCOUNTER_START = "encounter-start"

    @property
    def is_of_orders(self) -> bool:
        """Whether it comes with what is being ordered."""
        return self in (Hook.ORDER_SIGN, Hook.ORDER_SELECT)


def patient_query(patient_id: str) -> str:
    """The FHIR query for the patient."""
    return f"Patient/{patient_id}"


def ecgs_query(patient_id: str) -> str:
    """The FHIR query for the newest ECG waveforms."""
    return f"Observation?patient={patient_id}&code={LOINC}|11524-6,{MDC}|131328&_sort=-date&_count={ECGS}"


def reports_query(patient_id: str) -> str:
    """The FHIR query for what has been said of them."""
    return f"DiagnosticReport?patient={patient_id}&code={LOINC}|11524-6&_sort=-date&_count={REPORTS}"


_PATIENT_ID = "{{context.patientId}}"
PREFETCH: Mapping[str, str] = {
    PATIENT_KEY: patient_query(_PATIENT_ID),
    ECGS_KEY: ecgs_query(_PATIENT_ID),
    REPORTS_KEY: reports_query(_PATIENT_ID),
}
USAGE = (
    "Needs the patient's ECG waveforms (12 leads, SampledData), or identifiers by which ECGs that came by HL7v2 or "
    "FHIR are found. For adults; rhythm and pacing are not assessed."
)


@dataclass(frozen=True, slots=True)
class HookService:
    """One CDS service."""

    id: str
    hook: Hook
    title: str
    description: str
    prefetch: Mapping[str, str] = field(default_factory=lambda: PREFETCH)

    def as_json(self) -> Json:
        """As the discovery tells it."""
        return {
            "hook": self.hook.value,
            "title": self.title,
            "description": self.description,
            "id": self.id,
            "prefetch": dict(self.prefetch),
            "usageRequirements": USAGE,
        }


SERVICES: Mapping[str, HookService] = {
    service.id: service
    for service in (
        HookService(
            "ecg-patient-view",
            Hook.PATIENT_VIEW,
            "ECG: what needs attention",
            "What the newest 12-lead ECG of the patient asks for, while it is recent: findings and proposed actions of "
            "an AI model, to be confirmed.",
        ),
        HookService(
            "ecg-encounter-start",
            Hook.ENCOUNTER_START,
            "ECG: what needs attention at the start of an encounter",
            "The same when an encounter begins.",
        ),
        HookService(
            "ecg-order-select",
            Hook.ORDER_SELECT,
            "ECG: what speaks against the selected orders",
            "Warns when the newest 12-lead ECG speaks against an order that was just selected, such as a QT-prolonging "
            "drug at a long QTc.",
        ),
        HookService(
            "ecg-order-sign",
            Hook.ORDER_SIGN,
            "ECG: what speaks against the orders",
            "Warns when the newest 12-lead ECG speaks against an order that is about to be signed, such as a "
            "QT-prolonging drug at a long QTc.",
        ),
    )
}


def discovery() -> Json:
    """The answer to `GET /cds-services`."""
    return {"services": [service.as_json() for service in SERVICES.values()]}

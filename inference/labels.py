"""The closed vocabulary: five diagnostic superclasses of PTB-XL (Wagner et al., Sci Data 7:154, 2020) and their codes.

SNOMED CT codes are those of the PhysioNet/CinC 2021 tables and of the published FHIR examples; `docs/codes.md` tells
where each was checked. NORM has no code of its own here: 164854000 may be sent only under the conditions that
`actions.mapping` applies.
"""

from dataclasses import dataclass
from enum import StrEnum

SNOMED_CT = "http://snomed.info/sct"


class Superclass(StrEnum):
    """Diagnostic superclass; the order is the order of the model's outputs."""

    NORM = "NORM"
    MI = "MI"
    STTC = "STTC"
    CD = "CD"
    HYP = "HYP"


@dataclass(frozen=True, slots=True)
class Coding:
    """A code of a terminology, as FHIR's Coding and HL7's CWE carry it."""

    system: str
    code: str
    display: str


SUPERCLASS_NAMES: dict[Superclass, str] = {
    Superclass.NORM: "Normal ECG",
    Superclass.MI: "Myocardial infarction",
    Superclass.STTC: "ST/T change",
    Superclass.CD: "Conduction disturbance",
    Superclass.HYP: "Hypertrophy",
}

ECG_NORMAL = Coding(SNOMED_CT, "164854000", "Electrocardiogram normal")

CONCLUSION_CODES: dict[Superclass, Coding] = {
    Superclass.MI: Coding(SNOMED_CT, "164865005", "Electrocardiographic myocardial infarction"),
    Superclass.STTC: Coding(SNOMED_CT, "428750005", "Nonspecific ST-T abnormality on electrocardiogram"),
    Superclass.CD: Coding(SNOMED_CT, "44808001", "Conduction disorder of the heart"),
    Superclass.HYP: Coding(SNOMED_CT, "266249003", "Ventricular hypertrophy"),
}

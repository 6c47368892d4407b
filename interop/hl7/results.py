"""An Analysis as ORU^R01 (HL7 v2.5.1 chapter 7.3.1), for the EHR that sent the ECG.

It is a second opinion beside the cardiologist's, so it has its own filler number (OBR-3) and names the source's order
in OBR-29: EHRs file by OBR-3, and a result that reused it could replace the confirmed report. Everything is
preliminary (P) until a clinician has confirmed it, or X where the ECG could not be interpreted.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from types import MappingProxyType

from actions.analysis import Analysis, Recommendation, Urgency
from inference.labels import SUPERCLASS_NAMES, Superclass
from interop.hl7.ack import APPLICATION
from interop.hl7.fields import Separators, escape, without_control
from interop.hl7.oru import DecodedEcg
from interop.hl7.times import write_time

VERSION = "2.5.1"
CHARACTER_SET = "UNICODE UTF-8"
LOCAL = "99ECG"  # a local coding system begins with 99 (HL7 v2.5.1 chapter 2.A.13)

# Table 0027 (TQ1-9, formerly OBR-5). `none` travels as routine: the result itself is sent all the same.
PRIORITIES = MappingProxyType({Urgency.IMMEDIATE: "S", Urgency.URGENT: "A", Urgency.ROUTINE: "R", Urgency.NONE: "R"})

# Attribute of Measurements -> LOINC code, text, UCUM unit.
_MEASUREMENTS = MappingProxyType(
    {
        "heart_rate": ("8867-4", "Heart rate", "/min"),
        "pr": ("8625-6", "P-R Interval", "ms"),
        "qrs": ("8633-0", "QRS duration", "ms"),
        "qt": ("8634-8", "Q-T interval", "ms"),
        "qtc": ("76634-5", "Q-T interval corrected based on Fridericia formula", "ms"),
    }
)

OBX = tuple[str, str, str, str]  # OBX-2 type, OBX-3 identifier, OBX-5 value, OBX-6 unit; all but plain text escaped


def result_message(
    analysis: Analysis, decoded: DecodedEcg, *, control_id: str, created_at: datetime, echo_filler: bool
) -> bytes:
    """The result for an ECG that came by HL7 v2. echo_filler: OBR-3 is the source's (`ECG_RESULT_ECHO_OBR3`)."""
    writer = _Writer(decoded.header.separators)
    segments = [
        _msh(writer, decoded, control_id, created_at),
        writer.segment("PID", {1: "1", 3: _echo(decoded.patient_ids), 5: _echo(decoded.patient_name)}),
        writer.segment("PV1", {1: "1", 2: "U", 19: _echo(decoded.visit_number)}),
        writer.segment("OBR", _obr(writer, analysis, decoded, created_at, echo_filler)),
        writer.segment("TQ1", {1: "1", 9: PRIORITIES[analysis.urgency]}),
        *_observations(writer, analysis),
    ]
    return "".join(segment + "\r" for segment in segments).encode("utf-8")


class _Writer:
    """Puts segments together with the delimiters of the message that is answered, so that echoed fields keep theirs."""

    def __init__(self, separators: Separators) -> None:
        self.separators = separators

    def segment(self, name: str, fields: dict[int, str]) -> str:
        values = [fields.get(number, "") for number in range(1, max(fields) + 1)]
        return self.separators.field.join([name, *values]).rstrip(self.separators.field)

    def coded(self, code: str, text: str, system: str) -> str:
        return self.separators.component.join([self.text(code), self.text(text), system])

    def text(self, value: str) -> str:
        return escape(value, self.separators)


def _echo(field: str) -> str:
    return without_control(field)


def _msh(writer: _Writer, decoded: DecodedEcg, control_id: str, created_at: datetime) -> str:
    header, separators = decoded.header, writer.separators
    fields = {
        2: _echo(header.receiving_application) or APPLICATION,
        3: _echo(header.receiving_facility),
        4: _echo(header.sending_application),
        5: _echo(header.sending_facility),
        6: write_time(created_at),
        8: separators.component.join(["ORU", "R01", "ORU_R01"]),
        9: control_id,
        10: _echo(header.processing_id),
        11: VERSION,
        17: CHARACTER_SET,
    }
    # MSH-1 is the separator itself, so every later field stands one place to the left.
    return writer.segment("MSH", {1: separators.msh_2, **fields})


def _obr(
    writer: _Writer, analysis: Analysis, decoded: DecodedEcg, created_at: datetime, echo_filler: bool
) -> dict[int, str]:
    own_number = writer.separators.component.join([str(analysis.id), APPLICATION])
    service = [writer.coded("ecg-ai", "ECG analysis by software", LOCAL), writer.coded("11524-6", "EKG study", "LN")]
    return {
        1: "1",
        2: _echo(decoded.placer_field),
        3: (_echo(decoded.filler_field) if echo_filler else "") or own_number,
        4: writer.separators.component.join(service),
        7: write_time(analysis.recorded_at) if analysis.recorded_at else "",
        22: write_time(created_at),
        24: "EC",
        25: _status(analysis),
        29: _parent(writer.separators, decoded),
    }


def _parent(separators: Separators, decoded: DecodedEcg) -> str:
    """OBR-29 (EIP): the source's placer and filler numbers, their components one level down."""
    numbers = [
        _echo(field).replace(separators.component, separators.subcomponent)
        for field in (decoded.placer_field, decoded.filler_field)
    ]
    return separators.component.join(numbers).rstrip(separators.component)


def _status(analysis: Analysis) -> str:
    return "P" if analysis.interpretable else "X"


def _observations(writer: _Writer, analysis: Analysis) -> Iterator[str]:
    recorded = write_time(analysis.recorded_at) if analysis.recorded_at else ""
    rows = [*_conclusion(writer, analysis), *_probabilities(writer, analysis), *_measured(writer, analysis),
            *_recommended(writer, analysis.recommendations), *_remarks(writer, analysis)]  # fmt: skip
    counts: dict[str, int] = {}
    for number, (value_type, identifier, value, unit) in enumerate(rows, 1):
        counts[identifier] = counts.get(identifier, 0) + 1
        fields = {1: str(number), 2: value_type, 3: identifier, 4: str(counts[identifier]), 5: value, 6: unit}
        yield writer.segment(
            "OBX", {**fields, 11: _status(analysis), 14: recorded, 19: write_time(analysis.analyzed_at)}
        )


def _conclusion(writer: _Writer, analysis: Analysis) -> Iterator[OBX]:
    identifier = writer.coded("conclusion", "ECG conclusion", LOCAL)
    yield "TX", identifier, writer.text(analysis.conclusion), ""
    for code in analysis.conclusion_codes:
        identifier = writer.coded("conclusion-code", "ECG conclusion, coded", LOCAL)
        yield "CWE", identifier, writer.coded(code.code, code.display, "SCT"), ""


def _probabilities(writer: _Writer, analysis: Analysis) -> Iterator[OBX]:
    if analysis.prediction is None:
        return
    for superclass in Superclass:
        name = f"Probability of {SUPERCLASS_NAMES[superclass]}"
        identifier = writer.coded(f"probability-{superclass.lower()}", name, LOCAL)
        probability = analysis.prediction.probabilities[superclass]
        yield "NM", identifier, f"{probability:.4f}", _unit(writer, "1")


def _measured(writer: _Writer, analysis: Analysis) -> Iterator[OBX]:
    for name, (code, text, unit) in _MEASUREMENTS.items():
        value = getattr(analysis.measurements, name)
        if value is not None:
            yield "NM", writer.coded(code, text, "LN"), f"{value:.0f}", _unit(writer, unit)


def _recommended(writer: _Writer, recommendations: Sequence[Recommendation]) -> Iterator[OBX]:
    for recommendation in recommendations:
        priority = PRIORITIES[recommendation.urgency]
        confidence = f"confidence {recommendation.confidence:.2f}"
        text = (
            f"[{priority}] {recommendation.action} ({recommendation.urgency}, {confidence}). {recommendation.rationale}"
        )
        yield "TX", writer.coded("recommendation", "Proposed action", LOCAL), writer.text(text), ""


def _remarks(writer: _Writer, analysis: Analysis) -> Iterator[OBX]:
    for text in (*analysis.outside_intended_use, *analysis.warnings):
        yield "TX", writer.coded("remark", "Remark", LOCAL), writer.text(text), ""
    if analysis.prediction is not None:
        model = analysis.prediction.model
        text = f"{model.name} {model.version} ({model.status}), rules {analysis.policy.name} {analysis.policy.version}"
        yield "TX", writer.coded("model", "Model and rules", LOCAL), writer.text(text), ""


def _unit(writer: _Writer, unit: str) -> str:
    return writer.coded(unit, unit, "UCUM")

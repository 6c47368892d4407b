"""Values to store."""

from datetime import UTC, datetime, timedelta

from audit.packed import Plain
from audit.records import AnalysisRow, AuditEntry, AuditEvent, Document, FeatureRow, QueueRow, Received
from audit.shadow_records import ShadowRow

NOW = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def received(content: bytes = b"MSH|1", *, sender: str | None = "MUSE|WARD", control_id: str | None = "M1") -> Received:
    return Received(
        door="mllp",
        content=content,
        media_type="x-application/hl7-v2+er7",
        received_at=NOW,
        correlation_id="c-1",
        sender=sender,
        control_id=control_id,
        patient_key="HOSP|123",
    )


def document(id: str, *, seconds: float = 0, deleted: bool = False, content: bytes = b'{"a":1.50}') -> Document:
    return Document(
        type="DiagnosticReport", id=id, version=1, body=Plain(content), last_updated=at(seconds), deleted=deleted
    )


def message(
    control_id: str, patient: str = "p", *, destination: str | None = "ehr:2575", priority: int = 2
) -> QueueRow:
    return QueueRow(
        destination=destination,
        patient_key=patient,
        priority=priority,
        control_id=control_id,
        content=b"MSH|out",
        analysis_id="a-1",
        created_at=NOW,
    )


def analysis(id: str, inbox_id: int) -> AnalysisRow:
    return AnalysisRow(
        id=id,
        inbox_id=inbox_id,
        door="mllp",
        sender=None,
        analyzed_at=NOW,
        recorded_at=at(-60),
        age=63.4,
        sex="female",
        urgency="urgent",
        interpretable=True,
        mode="live",
        model_name="ecg-resnet",
        model_version="1.0.0",
        probabilities={"MI": 0.1 + 0.2, "NORM": 0.05},
        detail=b'{"conclusion":"..."}',
    )


def shadow(analysis_id: str) -> ShadowRow:
    return ShadowRow(
        analysis_id=analysis_id,
        model_name="ecg-resnet",
        model_version="1.1.0",
        model_sha256="1" * 64,
        probabilities={"MI": 0.1 + 0.2, "NORM": 0.05},
        decided=["MI"],
        urgency="urgent",
        milliseconds=4.25,
        recorded_at=at(1),
    )


def entry(subject: str = "Analysis/1", *, payload: bytes = b'{"urgency":"urgent"}') -> AuditEntry:
    return AuditEntry(
        event=AuditEvent.ECG_ANALYSED, recorded_at=NOW, subject=subject, correlation_id="c-1", payload=payload
    )


def features(number: int) -> FeatureRow:
    """Of any bytes: the store does not look into them."""
    return FeatureRow(number.to_bytes(32), 2**32 - 1, b"\x00\xff" * 24, bytes(40), bytes(range(256)) * 4)

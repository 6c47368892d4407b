"""The outbox rows that an analysed message leaves behind."""

from datetime import datetime
from types import MappingProxyType

from actions.analysis import Analysis, Mode
from actions.ports import Ids
from audit.records import QueueRow, QueueState
from interop.hl7.control_ids import control_id
from interop.hl7.oru import DecodedEcg
from interop.hl7.results import PRIORITIES, result_message
from interop.settings import Settings

_QUEUE_PRIORITY = MappingProxyType({"S": 0, "A": 1, "R": 2})


def outbox_rows(
    analysis: Analysis, decoded: DecodedEcg, *, settings: Settings, ids: Ids, now: datetime
) -> tuple[QueueRow, ...]:
    """The result; none for archives and in silent mode, held while there is nowhere to send it."""
    if analysis.archived or analysis.mode is Mode.SILENT:
        return ()
    own_id = control_id(ids())
    row = QueueRow(
        destination=settings.outbound_mllp,
        patient_key=decoded.patient_key,
        priority=_QUEUE_PRIORITY[PRIORITIES[analysis.urgency]],
        control_id=own_id,
        content=result_message(
            analysis, decoded, control_id=own_id, created_at=now, echo_filler=settings.result_echo_obr3
        ),
        analysis_id=str(analysis.id),
        created_at=now,
        state=QueueState.WAITING if settings.outbound_mllp else QueueState.HELD,
    )
    return (row,)

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actions.analysis import Analysis, Mode
from actions.computed import Computed
from actions.serialize import from_json
from audit.records import AcknowledgementState, AuditEvent, Document, ProcessingState, QueueRow
from inference.digest import signal_digest
from inference.errors import Duplicate, SenderError
from inference.features import FEATURE_NAMES
from inference.measurements import Measurements
from inference.recording import Recording
from interop.feature_row import to_row
from interop.record import Origin, Recorded, prepare, record, record_unanalysed
from interop.resources.identifiers import Identifier
from interop.resources.observation import parse, to_recording
from interop.resources.validation import problems
from tests.fakes import NOW, SequentialIds, make_prediction
from tests.fakes_store import FakeUnitOfWork
from tests.interop.resources.cases import (
    FILLER,
    ORDER,
    ecg_observation,
    make_analysis,
    make_received,
    make_recording,
    received_observation,
    uninterpretable,
)

OUTBOUND = QueueRow(
    destination=None, patient_key="k", priority=0, control_id="1", content=b"MSH", analysis_id="a", created_at=NOW
)


class Desk:
    """One store and one source of ids, to record into."""

    def __init__(self) -> None:
        self.store = FakeUnitOfWork()
        self.ids = SequentialIds()

    def take(self, origin: Origin, recording: Recording | None = None, **given: Any) -> Recorded:
        analysis: Analysis = given.pop("analysis", None) or make_analysis(id=self.ids())
        return record(
            self.store.uow,
            analysis=analysis,
            recording=recording or make_recording(),
            received=make_received(sender="S"),
            origin=origin,
            ids=self.ids,
            **given,
        )


def by_fhir(**changes: Any) -> tuple[Origin, Recording]:
    received = received_observation(**changes)
    return Origin(observation=received, subject=received.subject), to_recording(received)


MESSAGE = Origin(
    observation=None,
    subject={"identifier": {"system": "urn:oid:1.2", "value": "77"}},
    placer_order_number=ORDER,
    filler_order_number=FILLER,
)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def stored_types(desk: Desk) -> list[str]:
    return sorted(document.type for document in desk.store.documents.stored.values())


def content(document: Document) -> dict[str, Any]:
    parsed: dict[str, Any] = orjson.loads(document.content)
    return parsed


def test_one_ecg_leaves_everything_behind(desk: Desk) -> None:
    recorded = desk.take(*by_fhir(), outbox=(OUTBOUND,))
    assert recorded.created
    assert stored_types(desk) == [
        *["Device"] * 2,
        "DiagnosticReport",
        *["Observation"] * 8,
        "Provenance",
        *["ServiceRequest"] * 2,
    ]
    assert desk.store.inbox.rows[0].processing is ProcessingState.ANALYSED
    assert desk.store.inbox.rows[0].analysis_id == recorded.report.id == str(recorded.analysis.id)
    assert len(desk.store.outbox.rows) == len(desk.store.trail.entries) == len(desk.store.analyses.rows) == 1


def test_a_received_observation_is_kept_as_it_came(desk: Desk) -> None:
    origin, recording = by_fhir(id="theirs", note=[{"text": "left arm tremor"}])
    recorded = desk.take(origin, recording)
    kept = content(recorded.observation)
    assert kept["id"] == recorded.observation.id != "theirs"
    assert kept["component"] == origin.observation.raw["component"] if origin.observation else False
    assert kept["note"] == [{"text": "left arm tremor"}]


def test_a_recording_from_elsewhere_is_kept_as_an_observation(desk: Desk) -> None:
    recorded = desk.take(MESSAGE)
    kept = content(recorded.observation)
    assert len(kept["component"]) == 12
    assert kept["subject"] == MESSAGE.subject
    assert content(recorded.report)["result"][0] == {"reference": f"Observation/{kept['id']}"}


def test_the_one_audit_entry_names_what_ran_and_nobody(desk: Desk) -> None:
    recorded = desk.take(MESSAGE)
    (entry,) = desk.store.trail.entries
    payload = orjson.loads(entry.payload)
    assert entry.event is AuditEvent.ECG_ANALYSED
    assert entry.subject == f"DiagnosticReport/{recorded.report.id}"
    assert entry.correlation_id == "c-1"
    assert payload["analysis"] == recorded.report.id
    assert payload["model"]["version"] == "1.2.3"
    assert payload["policy"]["name"] == "default rules"
    assert payload["signal_sha256"] == signal_digest(make_recording())
    assert "77" not in str({k: v for k, v in payload.items() if not k.endswith("sha256")})


def test_the_analysis_row_carries_the_whole_analysis(desk: Desk) -> None:
    recorded = desk.take(MESSAGE)
    row = desk.store.analyses.get(recorded.report.id)
    assert from_json(row.detail) == recorded.analysis
    assert (row.inbox_id, row.sender, row.urgency, row.model_version) == (1, "S", "immediate", "1.2.3")
    assert row.probabilities is not None
    assert row.probabilities["MI"] == 0.83


def test_an_uninterpretable_ecg_is_recorded_with_its_reason(desk: Desk) -> None:
    recorded = desk.take(MESSAGE, analysis=uninterpretable())
    assert content(recorded.report)["status"] == "cancelled"
    assert desk.store.trail.entries[0].event is AuditEvent.ECG_UNINTERPRETABLE
    row = desk.store.analyses.get(recorded.report.id)
    assert (row.interpretable, row.model_name, row.probabilities) == (False, None, None)


def test_the_same_ecg_again_gives_back_the_first_results(desk: Desk) -> None:
    first = desk.take(*by_fhir())
    count = len(desk.store.documents.stored)
    again = desk.take(*by_fhir(), outbox=(OUTBOUND,))
    assert not again.created
    assert (again.observation, again.report, again.provenance) == (first.observation, first.report, first.provenance)
    assert again.service_requests == first.service_requests
    assert len(desk.store.documents.stored) == count
    assert len(desk.store.trail.entries) == len(desk.store.analyses.rows) == 1
    assert desk.store.outbox.rows == []
    assert desk.store.inbox.rows[1].analysis_id == first.report.id


def test_the_same_ecg_again_is_found_in_silent_mode_too(desk: Desk) -> None:
    first = desk.take(*by_fhir(), analysis=make_analysis(mode=Mode.SILENT))
    assert desk.take(*by_fhir()).report == first.report


def test_the_same_identifier_with_another_signal_is_a_duplicate(desk: Desk) -> None:
    desk.take(*by_fhir())
    origin, recording = by_fhir()
    changed = recording.signal.copy()
    changed[0, 0] += 0.5
    with pytest.raises(Duplicate):
        desk.take(origin, replace(recording, signal=changed))


def test_an_identifier_more_than_the_first_time_is_a_duplicate(desk: Desk) -> None:
    desk.take(*by_fhir(identifier=[{"value": "A"}]))
    with pytest.raises(Duplicate):
        desk.take(*by_fhir(identifier=[{"value": "A"}, {"value": "B"}]))


def test_the_same_value_of_another_authority_is_another_ecg(desk: Desk) -> None:
    desk.take(*by_fhir(identifier=[{"system": "urn:oid:1", "value": "A"}]))
    assert desk.take(*by_fhir(identifier=[{"system": "urn:oid:2", "value": "A"}])).created


def test_without_an_identifier_nothing_is_merged(desk: Desk) -> None:
    first = desk.take(*by_fhir(identifier=None))
    second = desk.take(*by_fhir(identifier=None))
    assert first.created
    assert second.created
    assert first.report.id != second.report.id


def test_identifiers_of_a_message_count_too(desk: Desk) -> None:
    origin = replace(MESSAGE, observation_identifiers=(Identifier("ECG-9", "urn:oid:9"),))
    first = desk.take(origin)
    assert not desk.take(origin).created
    assert content(first.observation)["identifier"] == [{"system": "urn:oid:9", "value": "ECG-9"}]


def test_devices_are_made_once(desk: Desk) -> None:
    desk.take(MESSAGE)
    desk.take(MESSAGE)
    assert stored_types(desk).count("Device") == 2


def test_silent_results_are_stored_as_silent_but_the_ecg_and_the_devices_are_not(desk: Desk) -> None:
    recorded = desk.take(MESSAGE, analysis=make_analysis(mode=Mode.SILENT))
    others = {key for key in desk.store.documents.stored if key not in desk.store.documents.silent}
    assert {key.split("/")[0] for key in others} == {"Observation", "Device"}
    assert f"Observation/{recorded.observation.id}" in others


def test_the_answer_is_kept_with_the_item(desk: Desk) -> None:
    recorded = desk.take(MESSAGE, answer=b"ACK", acknowledgement=AcknowledgementState.PENDING)
    row = desk.store.inbox.get(recorded.inbox_id)
    assert row.answer == b"ACK"
    assert row.acknowledgement is AcknowledgementState.PENDING


def test_what_was_prepared_before_is_what_is_stored(desk: Desk) -> None:
    analysis, recording = make_analysis(), make_recording()
    prepared = prepare(analysis, recording=recording, origin=MESSAGE, ids=desk.ids)
    recorded = desk.take(MESSAGE, recording, analysis=analysis, prepared=prepared)
    assert recorded.observation == prepared.ecg.observation.document
    assert recorded.report == prepared.rendered.report.document


def test_a_withdrawn_observation_is_stored_without_results(desk: Desk) -> None:
    received = received_observation(status="entered-in-error")
    document, created = record_unanalysed(
        desk.store.uow, received=make_received(), observation=received, id=str(desk.ids()), at=NOW
    )
    assert created
    assert stored_types(desk) == ["Observation"]
    assert content(document)["status"] == "entered-in-error"
    assert desk.store.inbox.rows[0].processing is ProcessingState.NOTHING_TO_ANALYSE
    assert [entry.event for entry in desk.store.trail.entries] == [AuditEvent.OBSERVATION_STORED]


def test_the_same_withdrawn_observation_is_stored_once(desk: Desk) -> None:
    received = received_observation(status="cancelled")
    for created in (True, False):
        assert (
            record_unanalysed(
                desk.store.uow, received=make_received(), observation=received, id=str(desk.ids()), at=NOW
            )[1]
            is created
        )
    assert stored_types(desk) == ["Observation"]
    assert len(desk.store.inbox.rows) == 2


def test_an_ecg_cannot_take_the_identifier_of_a_withdrawn_one(desk: Desk) -> None:
    record_unanalysed(
        desk.store.uow,
        received=make_received(),
        observation=received_observation(status="cancelled"),
        id=str(desk.ids()),
        at=NOW,
    )
    with pytest.raises(Duplicate):
        desk.take(*by_fhir())


FULL = ecg_observation(
    contained=[{"resourceType": "Patient", "id": "p", "gender": "male", "birthDate": "1960-01"}],
    subject={"reference": "#p"},
    basedOn=[{"reference": "ServiceRequest/1"}],
    encounter={"reference": "Encounter/1"},
    note=[{"text": "x"}],
    extension=[{"url": "urn:x", "valueDecimal": 1.5}],
)
WRONG: st.SearchStrategy[object] = st.sampled_from(
    [None, "", 0, -1, 1.5, True, [], {}, "x", "#p", "2026", [None], [{}], {"a": 1}, [1], 1e308, {"reference": "#p"}]
)


def places(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield from places(inner, (*path, name))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([path for path in places(FULL) if path]), WRONG)
def test_a_wrong_value_anywhere_is_refused_as_the_senders_fault_or_does_no_harm(
    path: tuple[Any, ...], wrong: object
) -> None:
    document = deepcopy(FULL)
    *parents, last = path
    place: Any = document
    for name in parents:
        place = place[name]
    place[last] = wrong
    try:
        received = parse(orjson.dumps(document))
        recording = to_recording(received)
    except SenderError:
        return
    origin = Origin(observation=received, subject=received.subject)
    report = prepare(make_analysis(), recording=recording, origin=origin, ids=SequentialIds()).rendered.report
    assert problems(content(report.document)) == []


def test_what_was_calculated_for_it_is_stored_once_under_its_key(desk: Desk) -> None:
    features = np.arange(len(FEATURE_NAMES), dtype=np.float32)
    computed = Computed("d", bytes(32), features, Measurements(heart_rate=61.0), make_prediction(MI=0.8))
    desk.take(MESSAGE, analysis=make_analysis(id=desk.ids(), computed=computed))
    assert desk.store.features.rows == {bytes(32): to_row(computed)}
    known = replace(computed, key=bytes(31) + b"1", is_new=False)
    desk.take(MESSAGE, analysis=make_analysis(id=desk.ids(), computed=known))
    assert list(desk.store.features.rows) == [bytes(32)]
    assert len(desk.store.analyses.rows) == 2, "each item has an analysis of its own"

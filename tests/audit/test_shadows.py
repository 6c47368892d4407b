"""What models in shadow mode said, on both databases."""

from dataclasses import replace
from datetime import timedelta

from audit.monitoring_store import MonitoringStore
from audit.records import AcknowledgementState, OverreadRow, ProcessingState
from audit.store import Store
from tests.audit.values import NOW, analysis, received, shadow

HOUR = timedelta(hours=1)


def overread(id: str, report_id: str, hours: float) -> OverreadRow:
    return OverreadRow(
        id=id,
        report_id=report_id,
        at=NOW + hours * HOUR,
        practitioner="Practitioner/7",
        status_before="preliminary",
        status_after="final",
        agreed=True,
        findings={"MI": True},
        detail=b"{}",
    )


def analysed(store: Store, *hours: float) -> None:
    """An analysis `a-<n>` made so many hours after NOW, for each."""
    with store.unit_of_work() as uow:
        inbox = uow.inbox.add(received(), ProcessingState.ANALYSED, AcknowledgementState.PENDING)
        for number, after in enumerate(hours):
            uow.analyses.add(replace(analysis(f"a-{number}", inbox), analyzed_at=NOW + after * HOUR))


def test_what_was_said_of_an_analysis_is_kept_once(store: Store) -> None:
    analysed(store, 0)
    said = shadow("a-0")
    with store.unit_of_work() as uow:
        assert uow.shadows.add(said)
        assert not uow.shadows.add(replace(said, model_version="1.2.0"))
    with store.reader() as reader:
        assert reader.shadows.of("a-0") == said
        assert reader.shadows.of("a-1") is None


def test_nothing_is_kept_of_an_analysis_that_was_not_stored_and_the_rest_of_the_transaction_is(store: Store) -> None:
    analysed(store, 0)
    with store.unit_of_work() as uow:
        assert not uow.shadows.add(shadow("a-9"))
        assert uow.shadows.add(shadow("a-0"))
    with store.reader() as reader:
        assert reader.shadows.of("a-9") is None
        assert reader.shadows.of("a-0") is not None


def test_results_are_observed_beside_their_analyses_with_the_newest_over_read(store: Store) -> None:
    analysed(store, 0, 1, 2, 50)
    with store.unit_of_work() as uow:
        for name in ("a-3", "a-1", "a-0"):
            uow.shadows.add(shadow(name))
        for one in (overread("o-1", "a-1", 5), overread("o-2", "a-1", 90), overread("o-3", "a-2", 5)):
            uow.overreads.add(one)
    observed = MonitoringStore(store)
    found = list(observed.shadowed(NOW, NOW + 51 * HOUR))
    assert [(one.id, said.analysis_id) for one, said, _ in found] == [("a-0", "a-0"), ("a-1", "a-1"), ("a-3", "a-3")]
    assert [None if read is None else read.id for *_, read in found] == [None, "o-2", None]
    assert found[0][1] == shadow("a-0")
    assert [one.id for one, *_ in observed.shadowed(NOW + HOUR, NOW + 50 * HOUR)] == ["a-1"]


def test_analyses_with_a_prediction_are_counted(store: Store) -> None:
    analysed(store, 0, 1, 2)
    with store.unit_of_work() as uow:
        inbox = uow.inbox.add(received(control_id="M2"), ProcessingState.ANALYSED, AcknowledgementState.PENDING)
        unreadable = replace(analysis("b", inbox), analyzed_at=NOW + HOUR, model_name=None, probabilities=None)
        uow.analyses.add(unreadable)
    assert MonitoringStore(store).classified(NOW + HOUR, NOW + 2 * HOUR) == 1
    assert MonitoringStore(store).classified(NOW, NOW + 3 * HOUR) == 3

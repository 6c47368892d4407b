from dataclasses import replace

import pytest

from audit.records import AcknowledgementState, ProcessingState, QueueState
from audit.store import Store
from inference.errors import ConfigurationError, Duplicate, NotFound
from tests.audit.values import NOW, at, message, received

ANALYSED, PENDING = ProcessingState.ANALYSED, AcknowledgementState.PENDING


def test_a_received_item_reads_back_as_it_came(store: Store) -> None:
    with store.unit_of_work() as uow:
        item = uow.inbox.add(
            received(b"MSH|\x00\xff"), ANALYSED, PENDING, analysis_id="a-1", answer=b"ACK", error="none"
        )
    with store.reader() as reader:
        row = reader.inbox.get(item)
    assert row.received == received(b"MSH|\x00\xff")
    assert (row.processing, row.acknowledgement) == (ANALYSED, PENDING)
    assert (row.analysis_id, row.answer, row.error) == ("a-1", b"ACK", "none")


@pytest.mark.parametrize("sender", ["MUSE|WARD", None])
def test_the_same_item_is_refused_and_the_transaction_goes_on(store: Store, sender: str | None) -> None:
    with store.unit_of_work() as uow:
        first = uow.inbox.add(received(sender=sender), ANALYSED, PENDING)
        with pytest.raises(Duplicate):
            uow.inbox.add(received(sender=sender), ANALYSED, PENDING)
        assert [row.id for row in uow.inbox.find("mllp", sender, "M1")] == [first]


def test_items_that_differ_in_content_or_sender_or_have_no_control_id_are_no_duplicates(store: Store) -> None:
    with store.unit_of_work() as uow:
        ids = [
            uow.inbox.add(item, ANALYSED, PENDING)
            for item in (
                received(),
                received(b"other"),
                received(sender="other"),
                received(control_id=None),
                received(control_id=None),
            )
        ]
        found = uow.inbox.find("mllp", "MUSE|WARD", "M1")
    assert len(set(ids)) == 5
    assert [row.id for row in found] == [ids[1], ids[0]]


@pytest.mark.parametrize("control_id", ["M" * 100_000, "nul\0", "\ud800", "é" * 300])
def test_a_control_id_that_no_index_takes_is_still_found_and_deduplicated(store: Store, control_id: str) -> None:
    with store.unit_of_work() as uow:
        item = uow.inbox.add(received(control_id=control_id), ANALYSED, PENDING)
        with pytest.raises(Duplicate):
            uow.inbox.add(received(control_id=control_id), ANALYSED, PENDING)
        assert [row.id for row in uow.inbox.find("mllp", "MUSE|WARD", control_id)] == [item]


def test_the_answer_and_its_delivery_are_recorded(store: Store) -> None:
    with store.unit_of_work() as uow:
        item = uow.inbox.add(received(), ANALYSED, PENDING)
        uow.inbox.set_answer(item, b"AA", PENDING)
        uow.inbox.set_acknowledgement(item, AcknowledgementState.DELIVERED)
        row = uow.inbox.get(item)
    assert (row.answer, row.acknowledgement) == (b"AA", AcknowledgementState.DELIVERED)


def test_unknown_items_are_not_found(store: Store) -> None:
    with store.unit_of_work() as uow:
        with pytest.raises(NotFound):
            uow.inbox.get(7)
        with pytest.raises(NotFound):
            uow.inbox.set_answer(7, b"", PENDING)
        with pytest.raises(NotFound):
            uow.inbox.set_acknowledgement(7, PENDING)
        for change in (uow.outbox.sent, lambda item: uow.outbox.failed(item, "x", None)):
            with pytest.raises(NotFound):
                change(7)


def test_a_message_reads_back_and_its_control_id_is_unique(store: Store) -> None:
    with store.unit_of_work() as uow:
        item = uow.outbox.add(message("R1"))
        with pytest.raises(Duplicate):
            uow.outbox.add(message("R1"))
        (row,) = uow.outbox.list(None, 10)
    assert (row.id, row.state, row.content, row.created_at) == (item, QueueState.WAITING, b"MSH|out", NOW)


def test_due_gives_the_oldest_of_each_patient_and_destination_by_priority(store: Store) -> None:
    with store.unit_of_work() as uow:
        uow.outbox.add(message("routine-p", "p", priority=2))
        uow.outbox.add(message("stat-behind-p", "p", priority=0))
        uow.outbox.add(message("urgent-q", "q", priority=1))
        uow.outbox.add(message("stat-r", "r", priority=0))
        uow.outbox.add(message("other-destination-p", "p", destination="lab:2575", priority=2))
        due = [row.control_id for row in uow.outbox.due(NOW, 10)]
        first = [row.control_id for row in uow.outbox.due(NOW, 1)]
        elsewhere = [row.control_id for row in uow.outbox.due(NOW, 10, ["lab:2575", "nobody:1"])]
    assert elsewhere == [one for one in due if one != "other-destination-p"]
    assert due == ["stat-r", "urgent-q", "routine-p", "other-destination-p"]
    assert first == ["stat-r"]


def test_a_message_that_waits_for_its_next_attempt_holds_back_its_patient_only(store: Store) -> None:
    with store.unit_of_work() as uow:
        first = uow.outbox.add(message("p1", "p"))
        uow.outbox.add(message("p2", "p"))
        uow.outbox.add(message("q1", "q"))
        uow.outbox.failed(first, "time-out", at(30))
        assert [row.control_id for row in uow.outbox.due(at(29), 10)] == ["q1"]
        (p1, _) = uow.outbox.due(at(30), 10)
        assert (p1.control_id, p1.attempts, p1.error) == ("p1", 1, "time-out")
        uow.outbox.failed(first, "AR", None)
        assert [row.control_id for row in uow.outbox.due(at(30), 10)] == ["p2", "q1"]
        assert [row.control_id for row in uow.outbox.list(QueueState.DEAD, 10)] == ["p1"]


def test_an_accepted_message_is_not_due_again(store: Store) -> None:
    with store.unit_of_work() as uow:
        item = uow.outbox.add(message("p1"))
        uow.outbox.sent(item)
        assert uow.outbox.due(NOW, 10) == []
        for again in (uow.outbox.sent, lambda item: uow.outbox.failed(item, "x", None)):
            with pytest.raises(NotFound):
                again(item)
        (row,) = uow.outbox.list(QueueState.SENT, 10)
    assert row.attempts == 1


def test_a_message_without_destination_is_held_until_it_is_given_one(store: Store) -> None:
    with store.unit_of_work() as uow:
        item = uow.outbox.add(message("p1", destination=None))
        assert uow.outbox.due(NOW, 10) == []
        with pytest.raises(ConfigurationError):
            uow.outbox.retry(item, None, NOW)
        uow.outbox.retry(item, "ehr:2575", NOW)
        (row,) = uow.outbox.due(NOW, 10)
    assert row.destination == "ehr:2575"


def test_a_dead_message_can_be_sent_again_but_a_sent_one_cannot(store: Store) -> None:
    with store.unit_of_work() as uow:
        dead, sent = uow.outbox.add(message("p1")), uow.outbox.add(message("p2"))
        uow.outbox.failed(dead, "AR", None)
        uow.outbox.sent(sent)
        uow.outbox.retry(dead, None, NOW)
        (row,) = uow.outbox.due(NOW, 10)
        with pytest.raises(NotFound):
            uow.outbox.retry(sent, None, NOW)
    assert (row.id, row.attempts, row.destination) == (dead, 0, "ehr:2575")


def test_the_newest_received_items_are_listed_first(store: Store) -> None:
    with store.unit_of_work() as uow:
        ids = [uow.inbox.add(received(control_id=f"M{n}"), ANALYSED, PENDING) for n in range(3)]
    with store.reader() as reader:
        assert [row.id for row in reader.inbox.list(2)] == [ids[2], ids[1]]


def test_the_oldest_item_that_waits_tells_since_when(store: Store) -> None:
    with store.unit_of_work() as uow:
        assert uow.inbox.oldest_waiting() is None
        uow.inbox.add(replace(received(control_id="done"), received_at=at(-9)), ANALYSED, PENDING)
        first, _ = (
            uow.inbox.add(replace(received(control_id=f"W{n}"), received_at=at(n)), ProcessingState.RECEIVED, PENDING)
            for n in range(2)
        )
        assert uow.inbox.oldest_waiting() == at(0)
        uow.inbox.finish(first, ANALYSED, b"answer", None)
    with store.reader() as reader:
        assert reader.inbox.oldest_waiting() == at(1)


def test_outbound_messages_are_counted_by_state(store: Store) -> None:
    with store.unit_of_work() as uow:
        for number in range(3):
            last = uow.outbox.add(message(control_id=f"R{number}"))
        uow.outbox.sent(last)
    with store.reader() as reader:
        assert reader.outbox.counts() == {QueueState.WAITING: 2, QueueState.SENT: 1}

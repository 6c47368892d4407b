import asyncio
import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from actions.analysis import Mode
from audit.records import AcknowledgementState, ProcessingState, QueueState
from inference.recording import Recording
from interop.hl7.ack import split
from interop.hl7.waveform import to_oru
from interop.mllp.framing import frame
from tests.fakes import NOW
from tests.interop.mllp.world import Door, World, ecg, fields, recording
from tests.vectors.hl7 import oru

VECTOR_SENDER = "CARDIO|GENERAL"


def asked(world: World, *contents: bytes, **settings: object) -> list[bytes]:
    """The answers to messages sent one after the other, each on a connection of its own."""

    async def run() -> list[bytes]:
        async with world.serving(**settings) as door:
            return [await door.ask(content) for content in contents]

    return asyncio.run(run())


def test_an_ecg_is_acknowledged_analysed_stored_and_its_result_queued(world: World) -> None:
    async def run() -> None:
        async with world.serving() as door:
            answer = await door.ask(ecg(placer_order_number="PL-5", filler_order_number="FI-7"))
            assert fields(answer, "MSA") == ["MSA", "AA", "M-1"]
            (row,) = await door.inbox()
            assert row.processing is ProcessingState.ANALYSED
            assert row.answer == answer
            assert row.received.patient_key == "LOCAL|4711"
            (result,) = await door.outbox()
            assert result.state is QueueState.HELD
            assert fields(result.content, "OBR")[2] == "PL-5"
            assert result.analysis_id == row.analysis_id
            report = await door.intake.read(
                lambda reader: reader.documents.read("DiagnosticReport", str(row.analysis_id))
            )
            document = json.loads(report.content)
            assert document["status"] == "preliminary"
            assert document["subject"]["identifier"]["value"] == "4711"

    asyncio.run(run())


def test_the_acknowledgement_is_marked_delivered(world: World) -> None:
    async def run() -> None:
        async with world.serving() as door:
            await door.ask(ecg())
            for _ in range(100):
                (row,) = await door.inbox()
                if row.acknowledgement is not AcknowledgementState.PENDING:
                    break
                await asyncio.sleep(0.02)
            assert row.acknowledgement is AcknowledgementState.DELIVERED

    asyncio.run(run())


def test_the_same_message_again_gets_the_same_answer_and_no_second_analysis(world: World) -> None:
    first, second = asked(world, ecg(), ecg())
    assert first == second
    assert len(world.classify.calls) == 1


def test_the_same_message_again_after_a_restart_gets_the_same_answer(world: World) -> None:
    (first,), (second,) = asked(world, ecg()), asked(world, ecg())
    assert first == second
    assert len(world.classify.calls) == 1


def test_the_same_message_on_two_connections_at_once_is_stored_once(world: World) -> None:
    async def run() -> None:
        async with world.serving() as door:
            answers = await asyncio.gather(*(door.ask(ecg()) for _ in range(4)))
            assert len(set(answers)) == 1
            assert len(await door.inbox()) == 1
            assert len(await door.outbox()) == 1

    asyncio.run(run())


def test_a_control_id_with_other_content_is_processed_again(world: World) -> None:
    first, second = asked(world, ecg(), ecg(patient_id="4712"))
    assert fields(first, "MSA")[1] == fields(second, "MSA")[1] == "AA"
    assert len(world.classify.calls) == 2


def test_a_control_id_with_other_content_is_refused_where_that_is_set(world: World) -> None:
    _, second = asked(world, ecg(), ecg(patient_id="4712"), mllp_reused_id="refuse")
    assert fields(second, "MSA")[1] == "AR"
    assert fields(second, "ERR")[3].startswith("205^")


def test_the_same_control_id_of_another_sender_is_another_message(world: World) -> None:
    asked(world, ecg(), ecg(sending_facility="ELSEWHERE"), mllp_reused_id="refuse")
    assert len(world.classify.calls) == 2


def test_a_small_message_again_gets_the_same_answer_and_is_stored_once(world: World) -> None:
    async def run() -> None:
        async with world.serving() as door:
            first, second = await door.ask(oru.ADT), await door.ask(oru.ADT)
            assert first == second
            assert len(await door.inbox("M-0001", VECTOR_SENDER)) == 1

    asyncio.run(run())


def test_a_small_message_with_a_used_control_id_is_taken_or_refused_as_it_is_set(world: World) -> None:
    other = oru.ADT.replace(b"A08", b"A01")
    first, second = asked(world, oru.ADT, other)
    assert fields(first, "MSA")[1] == fields(second, "MSA")[1] == "AA"
    third, again = (asked(world, oru.ADT + b"ZZ1|%d\r" % n, mllp_reused_id="refuse")[0] for n in (1, 1))
    assert third == again
    assert fields(third, "MSA")[1] == "AR"
    assert fields(third, "ERR")[3].startswith("205^")


@pytest.mark.parametrize("content", [oru.POTASSIUM, oru.ADT])
def test_a_message_without_an_ecg_is_accepted_and_kept(world: World, content: bytes) -> None:
    async def run() -> None:
        async with world.serving() as door:
            assert fields(await door.ask(content), "MSA")[1] == "AA"
            (row,) = await door.inbox("M-0001", VECTOR_SENDER)
            assert row.processing is ProcessingState.NOTHING_TO_ANALYSE
            assert row.received.content == content

    asyncio.run(run())
    assert not world.classify.calls


@pytest.mark.parametrize(
    ("content", "code", "condition", "place"),
    [
        (oru.ECG.replace(b"ORU^R01", b"ORM^O01"), "AR", "200", "MSH^1^9^1^1"),
        (oru.ECG.replace(b"|P|", b"|D|"), "AR", "202", "MSH^1^11"),
        (oru.ECG.replace(b"4711^^^GENERAL", b"^^^GENERAL"), "AE", "101", "PID^1^3"),
        (oru.ECG.replace(b"0.1^0.2^0.3", b"0.1^^0.3", 1), "AE", "102", "OBX^1^5"),
        (oru.ECG.replace(oru.MILLIVOLT, b"", 1), "AE", "101", "OBX^1^6"),
        (oru.ECG + b"what is this\r", "AE", "100", ""),
    ],
)
def test_what_can_never_be_read_is_kept_as_failed_and_refused(
    world: World, content: bytes, code: str, condition: str, place: str
) -> None:
    async def run() -> None:
        async with world.serving() as door:
            answer = await door.ask(content)
            assert fields(answer, "MSA")[:3] == ["MSA", code, "M-0001"]
            assert fields(answer, "ERR")[2] == place
            assert fields(answer, "ERR")[3].startswith(f"{condition}^")
            (row,) = await door.inbox("M-0001", VECTOR_SENDER)
            assert row.processing is ProcessingState.FAILED
            assert row.answer == answer
            assert await door.ask(content) == answer

    asyncio.run(run())
    assert not world.classify.calls


def test_what_is_no_hl7_at_all_is_answered_ae(world: World) -> None:
    (answer,) = asked(world, b"hello")
    assert fields(answer, "MSA")[1] == "AE"
    assert fields(answer, "ERR")[3].startswith("100^")


def test_an_acknowledgement_is_never_acknowledged(world: World) -> None:
    async def run() -> None:
        async with world.serving() as door:
            peer = await door.connect()
            ack = oru.message(oru.MSH.replace(b"ORU^R01^ORU_R01", b"ACK^R01^ACK"), b"MSA|AA|R-1")
            await peer.send(frame(ack) + frame(ecg()))
            assert fields(await peer.answer(), "MSA")[2] == "M-1"

    asyncio.run(run())


def test_an_ecg_that_nobody_could_read_is_accepted_with_a_result_that_says_so(world: World) -> None:
    flat = Recording(np.zeros((12, 5000), np.float32), 500.0, recorded_at=NOW)
    content = to_oru(flat, control_id="M-1", sent_at=NOW, patient_id="4711")

    async def run() -> None:
        async with world.serving() as door:
            answer = await door.ask(content)
            assert fields(answer, "MSA")[1] == "AA"
            assert fields(answer, "MSA")[3]
            (result,) = await door.outbox()
            assert fields(result.content, "OBR")[25] == "X"

    asyncio.run(run())


@pytest.mark.parametrize("case", ["silent", "archived"])
def test_nothing_leaves_in_silent_mode_or_for_an_archive(world: World, case: str) -> None:
    if case == "silent":
        world.mode = Mode.SILENT
    old = to_oru(
        recording(recorded_at=NOW - timedelta(days=400)), control_id="M-1", sent_at=NOW, patient_id="4711"
    )  # fmt: skip

    async def run() -> None:
        async with world.serving(outbound_mllp="127.0.0.1:9") as door:
            answer = await door.ask(ecg() if case == "silent" else old)
            assert fields(answer, "MSA")[1] == "AA"
            assert await door.outbox() == []

    asyncio.run(run())
    assert len(world.classify.calls) == 1


def test_a_result_waits_for_the_configured_destination(world: World) -> None:
    async def run() -> None:
        async with world.serving(outbound_mllp="127.0.0.1:9") as door:
            await door.ask(ecg())
            (result,) = await door.outbox()
            assert (result.state, result.destination) == (QueueState.WAITING, "127.0.0.1:9")
            assert result.priority == 0

    asyncio.run(run())


def test_a_failure_of_ours_stores_nothing_and_may_be_tried_again(world: World) -> None:
    async def run() -> None:
        async with world.serving() as door:
            answer = await failing(door)
            assert fields(answer, "MSA")[1] == "AE"
            assert fields(answer, "ERR")[3].startswith("207^")
            assert await door.inbox() == []
            assert fields(await door.ask(ecg()), "MSA")[1] == "AA"

    async def failing(door: Door) -> bytes:
        door.intake.lane._limit, limit = 0, door.intake.lane._limit
        try:
            return await door.ask(ecg())
        finally:
            door.intake.lane._limit = limit

    asyncio.run(run())


def test_a_defect_of_ours_is_answered_and_the_connection_lives_on(world: World) -> None:
    class Broken:
        def __call__(self, windows: object) -> None:
            raise ZeroDivisionError

    async def run() -> None:
        async with world.serving() as door:
            peer = await door.connect()
            await peer.send(frame(ecg()) + frame(oru.ADT))
            assert fields(await peer.answer(), "ERR")[3].startswith("207^")
            assert fields(await peer.answer(), "MSA")[1] == "AA"

    world.classify = Broken()  # type: ignore[assignment]
    asyncio.run(run())


def test_enhanced_mode_commits_then_accepts_then_answers(world: World) -> None:
    async def run() -> None:
        async with world.serving() as door:
            peer = await door.connect()
            await peer.send(frame(ecg(accept_ack="AL", application_ack="AL")))
            accept, application = await peer.answer(), await peer.answer()
            assert (fields(accept, "MSA")[1], fields(application, "MSA")[1]) == ("CA", "AA")
            assert fields(accept, "MSH")[9] != fields(application, "MSH")[9]
            (row,) = await door.inbox()
            assert split(row.answer or b"") == [accept, application]

    asyncio.run(run())


def test_a_sender_that_wants_no_acknowledgement_gets_none(world: World) -> None:
    async def run() -> None:
        async with world.serving() as door:
            peer = await door.connect()
            await peer.send(frame(ecg(accept_ack="NE", application_ack="NE")) + frame(ecg("M-2")))
            assert fields(await peer.answer(), "MSA")[2] == "M-2"
            (row,) = await door.inbox()
            assert row.acknowledgement is AcknowledgementState.NOT_OWED

    asyncio.run(run())


def test_a_senders_own_rules_apply(world: World, tmp_path: Path) -> None:
    file = tmp_path / "senders.json"
    rules = {"CARDIO|GENERAL": {"processing_ids": ["T"], "identifier_systems": {"GENERAL": "urn:oid:1.2.3"}}}
    file.write_text(json.dumps(rules), encoding="utf-8")
    production, test = asked(
        world, oru.ADT, oru.ADT.replace(b"M-0001", b"M-0002").replace(b"|P|", b"|T|"), senders=file
    )  # fmt: skip
    assert (fields(production, "MSA")[1], fields(test, "MSA")[1]) == ("AR", "AA")

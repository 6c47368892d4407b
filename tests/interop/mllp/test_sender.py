import asyncio
import socket

import pytest

from interop.mllp.framing import frame
from interop.mllp.sender import Acknowledgement, Sender, Unanswered, Unreachable
from tests.interop.mllp.receiver import Receiver, Script, ack, always
from tests.vectors.hl7 import oru


def message(control_id: str) -> bytes:
    return oru.ADT.replace(b"M-0001", control_id.encode())


def sent(script: Script, *control_ids: str, timeout_seconds: float = 5) -> tuple[list[Acknowledgement | str], Receiver]:
    """What the sender made of it, message by message; the name of the error where there was one."""
    receiver = Receiver(script)

    async def run() -> list[Acknowledgement | str]:
        async with receiver.listening():
            sender = Sender("127.0.0.1", receiver.port, timeout_seconds=timeout_seconds)
            found: list[Acknowledgement | str] = []
            for control_id in control_ids:
                try:
                    found.append(await sender.send(message(control_id), control_id))
                except Unanswered as error:
                    found.append(type(error).__name__)
            await sender.close()
            return found

    return asyncio.run(run()), receiver


@pytest.mark.parametrize(
    ("code", "accepted", "final"),
    [("AA", True, False), ("CA", True, False), ("AE", False, False), ("AR", False, True), ("CR", False, True)],
)
def test_the_acknowledgement_of_the_message_is_given_back(code: str, accepted: bool, final: bool) -> None:
    ((found,), _) = sent(lambda control_id, _: frame(ack(code, control_id, "because")), "R-1")
    assert isinstance(found, Acknowledgement)
    assert (found.code, found.text, found.accepted, found.final) == (code, "because", accepted, final)
    assert b"MSA|" in found.content


def test_one_connection_serves_many_messages() -> None:
    found, receiver = sent(always("AA"), "R-1", "R-2", "R-3")
    assert len(found) == 3
    assert receiver.connections == 1


def test_the_acknowledgement_of_another_message_is_not_taken() -> None:
    late = frame(ack("AR", "R-0")) + b"\r\n" + frame(b"no hl7")
    found, _ = sent(lambda control_id, _: late + frame(ack("AA", control_id)), "R-1")
    assert isinstance(found[0], Acknowledgement)
    assert found[0].code == "AA"


def test_after_a_time_out_the_connection_is_dropped_with_what_may_still_arrive() -> None:
    found, receiver = sent(
        lambda control_id, number: b"" if number == 1 else frame(ack("AA", control_id)), "R-1", "R-2",
        timeout_seconds=0.3,
    )  # fmt: skip
    assert found[0] == "Unanswered"
    assert isinstance(found[1], Acknowledgement)
    assert receiver.connections == 2


def test_a_receiver_that_closes_without_an_answer_leaves_it_unanswered() -> None:
    found, receiver = sent(
        lambda control_id, number: None if number == 1 else frame(ack("AA", control_id)), "R-1", "R-2"
    )  # fmt: skip
    assert found[0] == "Unanswered"
    assert isinstance(found[1], Acknowledgement)
    assert receiver.connections == 2


def test_a_connection_that_the_receiver_closed_meanwhile_is_made_anew() -> None:
    receiver = Receiver()

    async def run() -> Acknowledgement:
        async with receiver.listening():
            sender = Sender("127.0.0.1", receiver.port, timeout_seconds=5)
            await sender.send(message("R-1"), "R-1")
        async with receiver.listening(receiver.port):
            await asyncio.sleep(0.05)
            try:
                return await sender.send(message("R-2"), "R-2")
            finally:
                await sender.close()

    assert asyncio.run(run()).accepted


def test_an_error_without_text_gives_the_text_of_err() -> None:
    answer = ack("AE", "R-1") + b"ERR||PID^1^3|101^Required field missing^HL70357|E\r"
    found, _ = sent(lambda _, __: frame(answer), "R-1")
    assert isinstance(found[0], Acknowledgement)
    assert found[0].text == "101^Required field missing^HL70357"


def test_a_receiver_that_does_not_listen_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    async def run() -> None:
        await Sender("127.0.0.1", port, timeout_seconds=5).send(message("R-1"), "R-1")

    with pytest.raises(Unreachable, match=str(port)):
        asyncio.run(run())

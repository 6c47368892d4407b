import asyncio
import socket
from datetime import timedelta
from pathlib import Path

import pytest

from inference.errors import ConfigurationError
from interop.mllp.framing import frame
from interop.mllp.server import MllpServer
from tests.interop.mllp.world import World, ecg, fields
from tests.vectors.hl7 import oru


def adt(control_id: str) -> bytes:
    return oru.ADT.replace(b"M-0001", control_id.encode())


def test_pipelined_messages_are_answered_in_their_order(world: World) -> None:
    async def run() -> list[str]:
        async with world.serving() as door:
            peer = await door.connect()
            contents = [adt("1"), ecg("2"), adt("3"), ecg("4", "4712"), adt("5")]
            await peer.send(b"".join(frame(content) for content in contents))
            answers = [await peer.answer() for _ in contents]
            return [fields(answer, "MSA")[2] for answer in answers]

    assert asyncio.run(run()) == ["1", "2", "3", "4", "5"]


def test_a_sender_of_single_bytes_is_answered(world: World) -> None:
    async def run() -> bytes:
        async with world.serving() as door:
            peer = await door.connect()
            for byte in frame(adt("1")):
                await peer.send(bytes([byte]))
                await asyncio.sleep(0)
            return await peer.answer()

    assert fields(asyncio.run(run()), "MSA")[1] == "AA"


def test_several_connections_are_served_at_once(world: World) -> None:
    async def run() -> None:
        async with world.serving() as door:
            slow = await door.connect()
            await slow.send(b"\x0bMSH|")
            others = await asyncio.gather(*(door.ask(adt(str(number))) for number in range(10)))
            assert {fields(answer, "MSA")[1] for answer in others} == {"AA"}

    asyncio.run(run())


def test_a_peer_that_closes_its_sending_side_still_gets_its_answer(world: World) -> None:
    async def run() -> bytes:
        async with world.serving() as door:
            peer = await door.connect()
            await peer.send(frame(ecg()))
            peer.writer.write_eof()
            answer = await peer.answer()
            assert await peer.ended()
            return answer

    assert fields(asyncio.run(run()), "MSA")[1] == "AA"


def test_a_message_over_the_limit_is_refused_by_its_control_id_and_the_connection_closed(world: World) -> None:
    async def run() -> bytes:
        async with world.serving(mllp_max_bytes=4096) as door:
            peer = await door.connect()
            await peer.send(frame(adt("1")))
            assert fields(await peer.answer(), "MSA")[1] == "AA"
            await peer.send(b"\x0b" + ecg("M-9")[:20_000])
            answer = await peer.answer()
            assert await peer.ended()
            (row,) = await door.inbox("M-9")
            assert len(row.received.content) == 4096
            return answer

    answer = asyncio.run(run())
    assert fields(answer, "MSA")[:3] == ["MSA", "AR", "M-9"]
    assert fields(answer, "ERR")[3].startswith("104^")


def test_a_frame_that_does_not_arrive_in_time_ends_the_connection(world: World) -> None:
    async def run() -> None:
        async with world.serving(mllp_message_timeout=timedelta(seconds=0.3)) as door:
            peer = await door.connect()
            await peer.send(frame(adt("1")))
            await peer.answer()
            await asyncio.sleep(0.5)  # idle is allowed for longer than a frame
            await peer.send(b"\x0bMSH|")
            assert await peer.ended()

    asyncio.run(run())


def test_a_peer_that_speaks_another_protocol_is_cut_off(world: World) -> None:
    async def run() -> None:
        async with world.serving() as door:
            peer = await door.connect()
            await peer.send(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"x" * 20_000)
            assert await peer.ended()

    asyncio.run(run())


def test_a_peer_that_is_not_on_the_list_is_turned_away(world: World) -> None:
    async def run(allowed: str) -> bool:
        async with world.serving(mllp_allow=allowed) as door:
            peer = await door.connect()
            try:
                await peer.send(frame(adt("1")))
            except ConnectionError:
                return True
            return await peer.ended()

    assert asyncio.run(run("10.0.0.0/8,192.168.7.1"))
    assert not asyncio.run(run("10.0.0.0/8,127.0.0.0/8"))


def test_closing_lets_the_message_in_hand_be_answered(world: World) -> None:
    async def run() -> bytes:
        async with world.serving() as door:
            peer, idle = await door.connect(), await door.connect()
            await peer.send(frame(ecg()))
            while not door.intake.lane.waiting:
                await asyncio.sleep(0.001)
            assert door.server.listening
            closing = asyncio.create_task(door.server.close(10))
            answer = await peer.answer()
            assert await peer.ended()
            assert await idle.ended()
            await closing
            assert not door.server.listening
            return answer

    assert fields(asyncio.run(run()), "MSA")[1] == "AA"


def test_a_busy_port_is_named(world: World) -> None:
    async def run(port: int) -> None:
        async with world.intake() as intake:
            await MllpServer(intake, world.settings()).start("127.0.0.1", port)

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"127.0.0.1:{port} .ECG_MLLP_PORT"):
            asyncio.run(run(port))


def test_a_wrong_senders_file_stops_the_start(world: World, tmp_path: Path) -> None:
    async def run() -> None:
        async with world.intake() as intake:
            MllpServer(intake, world.settings(senders=tmp_path / "absent.json"))

    with pytest.raises(ConfigurationError, match="ECG_SENDERS"):
        asyncio.run(run())

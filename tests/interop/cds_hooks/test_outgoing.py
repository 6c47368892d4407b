import asyncio
import subprocess
import sys
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interop.cds_hooks.outgoing import CallFailed, CallRefused, Outgoing, Reach, Request, permits
from interop.cds_hooks.server_url import ServerUrl
from tests.interop.cds_hooks.ehr import Ehr, Names, silence

ENOUGH = timedelta(seconds=30)  # on a busy machine, too
EITHER = Reach.GLOBAL | Reach.LOOPBACK


def request(base: str, reach: Reach = Reach.LOOPBACK) -> Request:
    return Request(server=ServerUrl.parse(base), target="/fhir/x", headers={}, reach=reach, max_bytes=1000)


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "2606:4700::1111",
        "::ffff:8.8.8.8",  # mapped
        "64:ff9b::808:808",  # NAT64
    ],
)
def test_global_addresses_are_told(address: str) -> None:
    assert permits(Reach.GLOBAL, [ip_address(address)])
    assert not permits(Reach.LOOPBACK, [ip_address(address)])


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",  # carrier-grade NAT
        "100.100.100.200",  # metadata of one cloud
        "169.254.169.254",  # of the others
        "fd00:ec2::254",
        "0.0.0.0",
        "0.1.2.3",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "127.0.0.1",
        "::1",
        "::",
        "::127.0.0.1",  # IPv4-compatible
        "::8.8.8.8",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::808:808",  # NAT64 of local use
        "2002:7f00:1::",  # 6to4
        "2002:a00:1::1",
        "2001:0:808:808::f5ff:fffe",  # Teredo, 10.0.0.1 inside
        "2001:db8::1",
        "fc00::1",
        "fe80::1",
        "fec0::1",
        "ff0e::1",
        "4000::1",
        "100::1",
    ],
)
def test_addresses_of_networks_that_others_cannot_reach_are_not_global(address: str) -> None:
    assert not permits(Reach.GLOBAL, [ip_address(address)])


@pytest.mark.parametrize(
    ("address", "is_loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_loopback_is_this_machine_and_no_translation_of_its_number(address: str, is_loopback: bool) -> None:
    assert permits(Reach.LOOPBACK, [ip_address(address)]) is is_loopback


@pytest.mark.parametrize(
    ("reach", "addresses", "permitted"),
    [
        (Reach.GLOBAL, "8.8.8.8 9.9.9.9", True),
        (Reach.GLOBAL, "8.8.8.8 10.0.0.1", False),
        (EITHER, "127.0.0.1 ::1", True),
        (EITHER, "8.8.8.8", True),
        (EITHER, "8.8.8.8 127.0.0.1", False),
        (EITHER, "10.0.0.1", False),
        (Reach.ANYWHERE, "10.0.0.1 127.0.0.1 8.8.8.8", True),
        (Reach.ANYWHERE, "", False),
        (Reach.GLOBAL, "", False),
        (Reach(0), "8.8.8.8", False),
    ],
)
def test_every_address_of_a_name_counts(reach: Reach, addresses: str, permitted: bool) -> None:
    assert permits(reach, [ip_address(one) for one in addresses.split()]) is permitted


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_inside_an_ipv6_one_is_no_way_around(address: IPv4Address) -> None:
    """6to4 may be refused where the plain address is not, never the other way round."""
    plain = permits(Reach.GLOBAL, [address])
    number = int(address)
    assert permits(Reach.GLOBAL, [ip_address((0xFFFF << 32) | number)]) is plain
    assert permits(Reach.GLOBAL, [ip_address((0x64FF9B << 96) | number)]) is plain
    assert permits(Reach.GLOBAL, [ip_address((0x2002 << 112) | (number << 80) | 1)]) <= plain
    assert not permits(Reach.GLOBAL, [IPv6Address(number)])


def test_an_answer_is_brought_and_the_connection_kept() -> None:
    async def scene() -> tuple[int, int, int]:
        async with Ehr() as ehr:
            outgoing = Outgoing(ENOUGH)
            first = await outgoing.get(request(ehr.base))
            await outgoing.get(request(ehr.base))
            kept = ehr.connections
            await outgoing.close()
            await outgoing.get(request(ehr.base))
            await outgoing.close()
            return first.status, kept, ehr.connections

    assert asyncio.run(scene()) == (200, 1, 2)


def test_calls_at_once_before_the_first_answer_share_one_keeper() -> None:
    async def scene() -> list[int]:
        async with Ehr() as ehr:
            outgoing = Outgoing(ENOUGH)
            replies = await asyncio.gather(*(outgoing.get(request(ehr.base)) for _ in range(5)))
            await outgoing.close()
            return [reply.status for reply in replies]

    assert asyncio.run(scene()) == [200] * 5


def test_a_call_ends_when_its_time_is_over() -> None:
    async def scene() -> None:
        async with Ehr(silence) as ehr:
            outgoing = Outgoing(timedelta(seconds=0.3))
            with pytest.raises(CallFailed, match="timed out"):
                await outgoing.get(request(ehr.base))
            await outgoing.close()

    asyncio.run(scene())


def test_a_resolver_that_hangs_counts_as_slow() -> None:
    async def hangs(host: str, port: int) -> list[IPv4Address]:
        await asyncio.sleep(60)
        return []

    async def scene() -> None:
        outgoing = Outgoing(timedelta(seconds=0.3), resolve=hangs)  # type: ignore[arg-type]
        with pytest.raises(CallFailed, match="timed out"):
            await outgoing.get(request("https://ehr.example"))
        await outgoing.close()

    asyncio.run(scene())


def test_the_guard_stands_before_the_connection() -> None:
    async def scene() -> int:
        async with Ehr() as ehr:
            outgoing = Outgoing(ENOUGH, resolve=Names(ehr_example="127.0.0.1"))
            with pytest.raises(CallRefused):
                await outgoing.get(request(f"http://ehr.example:{ehr.port}", Reach.GLOBAL))
            await outgoing.close()
            return ehr.connections

    assert asyncio.run(scene()) == 0


def test_nothing_is_imported_before_the_first_call() -> None:
    code = (
        "import sys; from interop.cds_hooks import client_jwt, fhir_server; "
        "sys.exit(bool({'httpx', 'httpcore', 'jwt', 'cryptography'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""The socket shell: both families, nothing that waits, nothing that raises."""

from __future__ import annotations

import asyncio
import socket

from loacodecs.address import Address
from loaedge.udp import UdpSocket


async def test_ipv4_datagrams_come_and_go_under_ipv4_addresses() -> None:
    arrived: asyncio.Queue[tuple[bytes, Address]] = asyncio.Queue()
    ours = UdpSocket(lambda data, source: arrived.put_nowait((data, source)))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        other.settimeout(5)
        ours.send(b"there", other.getsockname())
        data, source = await asyncio.to_thread(other.recvfrom, 100)
        assert (data, source) == (b"there", ("127.0.0.1", ours.port))
        other.sendto(b"back", source)
        assert await asyncio.wait_for(arrived.get(), 5) == (b"back", other.getsockname())
    ours.close()
    ours.close()


async def test_an_address_that_cannot_be_reached_is_counted() -> None:
    ours = UdpSocket(lambda _data, _source: None)
    ours.send(b"x" * 70_000, ("127.0.0.1", 9))
    ours.send(b"x", ("no address", 9))
    assert ours.dropped == 2
    ours.close()


async def test_closing_in_the_middle_of_a_batch_is_harmless() -> None:
    done = asyncio.Event()

    def receive(_data: bytes, _source: Address) -> None:
        ours.close()
        done.set()

    ours = UdpSocket(receive)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        for _ in range(3):
            other.sendto(b"x", ("127.0.0.1", ours.port))
        await asyncio.wait_for(done.wait(), 5)


async def test_the_local_address_is_the_one_on_the_way() -> None:
    ours = UdpSocket(lambda _data, _source: None)
    assert ours.local_address(socket.AF_INET, ("127.0.0.1", 9)) == ("127.0.0.1", ours.port)
    assert ours.local_address(socket.AF_INET, ("not an address", 9)) is None
    ours.close()

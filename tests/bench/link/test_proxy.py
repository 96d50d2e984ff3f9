"""The proxy on loopback sockets: each test is a client, a relay that answers, and what is between them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest

from bench.errors import BenchError
from bench.link.core import Limits
from bench.link.delay import Delay
from bench.link.loss import Loss
from bench.link.model import LinkConfig, PathConfig
from bench.link.presets import NONE
from bench.link.proxy import UdpProxy
from loacodecs.address import Address

PATIENCE_S = 10.0


class End(asyncio.DatagramProtocol):
    """One end of the path: keeps what comes, and from where and when."""

    def __init__(self) -> None:
        self.received: list[tuple[bytes, Address, float]] = []
        self._came = asyncio.Event()
        self.transport: asyncio.DatagramTransport | None = None

    async def open(self, address: Address = ("127.0.0.1", 0), remote: Address | None = None) -> End:
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=None if remote else address, remote_addr=remote
        )
        return self

    @property
    def address(self) -> Address:
        assert self.transport is not None
        name = self.transport.get_extra_info("sockname")
        return str(name[0]), int(name[1])

    def send(self, data: bytes, to: Address | None = None) -> None:
        assert self.transport is not None
        self.transport.sendto(data, to)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.received.append((data, addr, time.monotonic()))
        self._came.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self._came.clear()
                await self._came.wait()

    async def next(self, number: int) -> tuple[bytes, Address, float]:
        """The datagram with that number, from 0."""
        await self.until(lambda: len(self.received) > number)
        return self.received[number]

    def close(self) -> None:
        assert self.transport is not None
        self.transport.close()


@pytest.fixture
async def relay() -> AsyncIterator[End]:
    end = await End().open()
    yield end
    end.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_clients_share_the_port_and_each_has_its_own_towards_the_relay(host: str) -> None:
    relay = await End().open((host, 0))
    async with UdpProxy(NONE.links(1), to=relay.address, listen=(host, 0)) as proxy:
        one, two = [await End().open(remote=proxy.address) for _ in range(2)]
        one.send(b"one")
        await relay.next(0)
        two.send(b"two")
        await relay.next(1)
        (first, first_from, _), (second, second_from, _) = relay.received
        assert (first, second) == (b"one", b"two")
        assert len({first_from[:2], second_from[:2], one.address, two.address}) == 4
        relay.send(b"to two", second_from)
        relay.send(b"to one", first_from)
        assert (await two.next(0))[:2] == (b"to two", proxy.address + two.received[0][1][2:])
        assert (await one.next(0))[0] == b"to one"
        one.send(b"again")
        assert (await relay.next(2))[:2] == (b"again", first_from)
        report = proxy.report()
        assert (report.clients, report.up.offered, report.down.offered, report.sent) == (2, 3, 2, 5)
        assert report.problems == [] or "late" in report.problems[0]
        for end in (one, two, relay):
            end.close()


async def test_delays_are_those_of_the_links_each_way(relay: End) -> None:
    path = PathConfig(LinkConfig(delay=Delay(0.05)), LinkConfig(delay=Delay(0.1)))
    async with UdpProxy(path.links(1), to=relay.address) as proxy:
        client = await End().open(remote=proxy.address)
        there, back = [], []
        for number in range(5):
            began = time.monotonic()
            client.send(b"ping")
            _, source, at = await relay.next(number)
            there.append(at - began)
            began = time.monotonic()
            relay.send(b"pong", source)
            _, _, at = await client.next(number)
            back.append(at - began)
        # A busy machine makes some of them later, none earlier.
        assert 0.05 <= min(there) < 0.06
        assert 0.1 <= min(back) < 0.11
        assert 0 < proxy.report().late_max <= max(max(there) - 0.05, max(back) - 0.1)
        client.close()


async def test_the_links_decide_what_arrives_and_it_arrives_in_order(relay: End) -> None:
    path = PathConfig(down=LinkConfig(Loss(0.2, burst=2), Delay(0.01, 0.005), duplicate=0.1))
    rows: list[tuple[float, int, str, int, tuple[float, ...]]] = []
    async with UdpProxy(path.links(5), to=relay.address, record=lambda *row: rows.append(row)) as proxy:
        client = await End().open(remote=proxy.address)
        client.send(b"hello")
        source = (await relay.next(0))[1]
        for number in range(100):
            relay.send(number.to_bytes(2, "big"), source)
            if number % 25 == 24:  # lets the proxy read meanwhile; a socket's buffer holds them all
                await asyncio.sleep(0)
        link = path.links(5)(0, 0.0)[1]
        expected = [number for number in range(100) for _ in link.fate(0.0, 2)]
        await client.until(lambda: len(client.received) >= len(expected))
        # Copies come right behind their originals here, since order is kept.
        assert [int.from_bytes(data, "big") for data, _, _ in client.received] == expected
        assert proxy.report().down.lost == link.counts.lost > 10
        assert [bool(row[4]) for row in rows if row[2] == "down"] == [
            number in set(expected) for number in range(100)
        ]
        client.close()


async def test_too_many_clients_are_refused_counted_and_told(relay: End) -> None:
    async with UdpProxy(NONE.links(1), to=relay.address, limits=Limits(clients=1)) as proxy:
        first, second = [await End().open(remote=proxy.address) for _ in range(2)]
        first.send(b"1")
        await relay.next(0)
        second.send(b"2")
        first.send(b"3")
        assert (await relay.next(1))[0] == b"3"
        report = proxy.report()
        assert report.refused == 1
        assert any("beyond --clients" in problem for problem in report.problems)
        first.close()
        second.close()


async def test_a_relay_that_is_not_there_is_survived(relay: End) -> None:
    nowhere = relay.address
    relay.close()
    await asyncio.sleep(0)
    async with UdpProxy(NONE.links(1), to=nowhere) as proxy:
        client = await End().open(remote=proxy.address)
        async with asyncio.timeout(PATIENCE_S):
            while proxy.unsent == 0:
                client.send(b"anybody?")
                await asyncio.sleep(0.005)
        back = await End().open(nowhere)
        async with asyncio.timeout(PATIENCE_S):
            while not back.received:
                client.send(b"anybody?")
                await asyncio.sleep(0.005)
        client.close()
        back.close()


async def test_what_is_too_long_for_webrtc_is_counted_and_dropped(relay: End) -> None:
    async with UdpProxy(NONE.links(1), to=relay.address) as proxy:
        client = await End().open(remote=proxy.address)
        client.send(bytes(6000))
        client.send(b"short")
        await relay.until(lambda: any(data == b"short" for data, _, _ in relay.received))
        assert [data for data, _, _ in relay.received] == [b"short"]
        assert proxy.report().oversize == 1
        client.close()


async def test_a_port_in_use_is_one_sentence_with_the_mend(relay: End) -> None:
    proxy = UdpProxy(NONE.links(1), to=relay.address, listen=relay.address)
    with pytest.raises(BenchError, match=r"127\.0\.0\.1:\d+ cannot be listened to: .* choose another"):
        async with proxy:
            pass


async def test_leaving_closes_every_socket(relay: End) -> None:
    async with UdpProxy(NONE.links(1), to=relay.address) as proxy:
        address = proxy.address
        client = await End().open(remote=address)
        client.send(b"x")
        await relay.next(0)
    again = await End().open(address)
    again.close()
    client.close()

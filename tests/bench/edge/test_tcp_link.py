"""A stream comes through whole and in order, as late as the path says; segments that are lost come later."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import pytest

from bench.edge.tcp_link import RTO_MIN_S, SEGMENT, TRIES, Carried, SegmentClock, TcpProxy
from bench.errors import BenchError
from bench.link.counts import Counts
from bench.link.delay import Delay
from bench.link.model import LinkConfig, PathConfig


@dataclass
class Scripted:
    """Loses those packets whose number is named; the others take a tenth of a second."""

    lost: set[int]
    counts: Counts = field(default_factory=Counts)

    def fate(self, now: float, size: int) -> tuple[float, ...]:
        number = self.counts.offered
        self.counts.offered += 1
        return () if number in self.lost else (now + 0.1,)


def test_what_is_lost_comes_after_its_timeout_and_holds_up_what_is_behind() -> None:
    clock = SegmentClock(Scripted({1, 2}))
    assert clock.arrival(0.0, 100) == pytest.approx(0.1)
    # Lost twice: after 0.2 s, and after 0.4 s more.
    assert clock.arrival(0.01, 100) == pytest.approx(0.01 + 3 * RTO_MIN_S + 0.1)
    assert clock.arrival(0.02, 100) == pytest.approx(0.01 + 3 * RTO_MIN_S + 0.1)
    assert clock.arrival(2.0, 100) == pytest.approx(2.1)


def test_a_dead_path_is_given_up() -> None:
    clock = SegmentClock(Scripted(set(range(TRIES))))
    assert clock.arrival(0.0, 100) == pytest.approx((2**TRIES - 1) * RTO_MIN_S)


def test_headers_and_acknowledgements_count_on_the_wire() -> None:
    assert Carried(connections=1, segments=10, bytes=1000).wire_bytes == 1000 + 20 * 52 + 7 * 52


async def test_both_directions_come_whole_in_order_and_late() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.write_eof()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    delayed = LinkConfig(delay=Delay(0.03))
    sent = bytes(range(256)) * 100
    async with server:
        to = server.sockets[0].getsockname()
        async with TcpProxy(PathConfig(delayed, delayed).links(1), to=(to[0], to[1])) as proxy:
            reader, writer = await asyncio.open_connection(*proxy.address)
            began = time.monotonic()
            writer.write(sent)
            writer.write_eof()
            assert await reader.read(-1) == sent
            assert time.monotonic() - began >= 0.06
            carried = proxy.carried
            writer.close()
    assert carried.connections == 1
    assert carried.bytes == 2 * len(sent)
    assert carried.segments >= 2 * len(sent) / SEGMENT


async def test_a_relay_that_is_gone_ends_the_connection() -> None:
    nobody = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    to = nobody.sockets[0].getsockname()
    nobody.close()
    await nobody.wait_closed()
    async with TcpProxy(PathConfig().links(1), to=(to[0], to[1])) as proxy:
        reader, writer = await asyncio.open_connection(*proxy.address)
        assert await reader.read(-1) == b""
        writer.close()
        with pytest.raises(BenchError, match="cannot be listened to"):
            async with TcpProxy(PathConfig().links(1), to=to[:2], listen=proxy.address):
                pass

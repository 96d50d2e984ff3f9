"""Clients that reach the relay by IPv4 and by IPv6: what is for an address leaves by the socket that reaches it."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from loacodecs import rtcp
from relay.net.port import UdpPort, open_port
from tests.support.world import Client, World

USE_CANDIDATE = b"\x00\x25\x00\x00"


@pytest.fixture
def six() -> Iterator[socket.socket]:
    """The other way of a client."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as way:
        try:
            way.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
        way.setblocking(False)
        yield way


class TwoWays:
    """A client's socket on IPv4 that notes its checks; a flight of its handshake may leave otherwise."""

    def __init__(self, client: Client) -> None:
        self.checks: dict[bool, bytes] = {}
        """The newest by whether it nominates."""
        self.flights = 0
        self._four = client.socket
        client.socket = self  # type: ignore[assignment]

    def __getattr__(self, name: str) -> object:
        return getattr(self._four, name)

    def sendto(self, data: bytes, address: tuple[str, int]) -> int:
        if data[0] < 4:
            self.checks[USE_CANDIDATE in data] = data
        if 20 <= data[0] < 64:
            self.flights += 1
            if self.flights == 2 and self.last_flight(data):
                return len(data)
        return self._four.sendto(data, address)

    def last_flight(self, data: bytes) -> bool:
        """Whether the flight that ends the handshake went another way."""
        return False


def _kind(data: bytes) -> str:
    if data[0] < 128:
        return "other"
    return "rtcp" if 192 <= data[1] <= 223 else "sound"


def _open_six(world: World) -> UdpPort:
    port = open_port("::1", 0, receive_buffer=1 << 20, send_buffer=1 << 20, dual=False)
    world.watch.add(port)
    return port


async def test_a_nomination_that_overtakes_the_handshake_on_the_other_way(six: socket.socket) -> None:
    with World() as world:
        port = _open_six(world)
        voice = await world.publisher()
        listener = await world.listener(connect=False)

        class Overtaken(TwoWays):
            def last_flight(self, data: bytes) -> bool:
                six.sendto(self.checks[True], port.address)
                world.turn()
                return False

        Overtaken(listener)
        world.advance(1.0)
        assert world.core.stats().joins["listen"] == 1
        assert six.recv(2048)[:2] == b"\x01\x01", "the check is answered"
        world.clients.remove(listener)
        voice.say(0, b"sound")
        world.advance(0.02)
        kinds = set()
        while True:
            try:
                kinds.add(_kind(six.recv(2048)))
            except BlockingIOError:
                break
        assert "sound" in kinds
        world.advance(60.0, step=0.1)
        assert "listen" not in world.core.stats().sessions, "who has gone is not kept for ever"
        listener.socket.close()


async def test_a_handshake_that_ends_on_a_way_not_nominated_yet(six: socket.socket) -> None:
    with World() as world:
        port = _open_six(world)
        voice = await world.publisher()
        listener = await world.listener(connect=False)

        class Ahead(TwoWays):
            def last_flight(self, data: bytes) -> bool:
                six.sendto(self.checks[False], port.address)
                world.turn()
                six.sendto(data, port.address)
                return True

        Ahead(listener)
        world.advance(1.0)
        voice.say(0, b"sound")
        world.advance(0.02)
        assert [packet.payload for packet in listener.heard] == [b"sound"]


async def test_a_check_of_the_other_way_leaves_the_publishers_reports_where_they_go(
    six: socket.socket,
) -> None:
    with World() as world:
        port = _open_six(world)
        voice = await world.publisher(connect=False)
        ways = TwoWays(voice)
        world.advance(0.5)
        voice.say(0)
        world.advance(0.02)
        for _ in range(20):
            six.sendto(ways.checks[False], port.address)
            world.advance(0.1)
        reports = [packet for packet in voice.reports if isinstance(packet, rtcp.ReceiverReport)]
        assert len(reports) >= 2


async def test_a_listener_that_checks_many_ways_is_still_known_by_the_one_it_nominated() -> None:
    with World() as world:
        voice = await world.publisher()
        listener = await world.listener(connect=False)
        ways = TwoWays(listener)
        world.advance(1.0)
        voice.say(0)
        world.advance(0.02)
        others = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(12)]
        for other in others:
            other.sendto(ways.checks[False], world.port.address)
            world.settle()
            other.close()
        listener.tell(rtcp.Nack(1, listener.heard[0].ssrc, (listener.heard[0].sequence,)))
        world.advance(0.1)
        assert world.core.stats().channels["xa"].retransmitted == 1

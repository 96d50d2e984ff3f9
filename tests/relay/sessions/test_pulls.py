"""Sessions with the relay upstream, each on a port of its own."""

from __future__ import annotations

import os
import socket
from collections import Counter, deque
from typing import cast

from loacodecs.address import Address
from loacodecs.credentials import generate_credentials
from loacodecs.events import Event, Transmit
from loacodecs.peer import Peer
from relay.channels.ingest import Ingest
from relay.net.port import open_port
from relay.sessions.publisher import Publisher
from relay.sessions.session import Session
from tests.support.world import World


class Answering:
    """A connected peer that answers each datagram."""

    def __init__(self, remote: Address) -> None:
        self.remote = remote
        self.last_received = 0.0
        self.state = "connected"
        self.keys = None
        self.refused: Counter[str] = Counter()
        self._queue: deque[Event] = deque()

    def receive(self, now: float, data: bytes, addr: Address) -> None:
        self.last_received = now
        self._queue.append(Transmit(b"\x16answer", addr))

    def poll(self) -> Event | None:
        return self._queue.popleft() if self._queue else None

    def next_deadline(self) -> None:
        return None

    def close(self, now: float) -> None:
        pass


def test_two_channels_of_one_relay_are_pulled_beside_each_other() -> None:
    with World() as world, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as upstream:
        upstream.bind(("127.0.0.1", 0))
        upstream.settimeout(2)
        for name in ("xa", "tinh"):
            port = open_port("127.0.0.1", 0, receive_buffer=1 << 16, send_buffer=1 << 16)
            world.watch.add(port)
            peer = cast(Peer, Answering(upstream.getsockname()))
            credentials = generate_credentials(os.urandom)
            session = Session("pull", world.hub.channels[name], peer, credentials, world.now)
            session.port = port
            world.hub.add(session, Publisher(session, Ingest(nack=False), 111))
        for _ in range(2):
            for port in world.watch.ports[1:]:
                upstream.sendto(b"\x01\x01 an answer to a check", port.address)
                world.settle()
                assert upstream.recvfrom(2048) == (b"\x16answer", port.address)
        assert world.core.stats().refused == {}

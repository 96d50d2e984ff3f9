"""A client that goes without a word, over real sockets of the loop that serves: the others hear on."""

from __future__ import annotations

import asyncio
import socket
from typing import cast

import uvloop

from relay.http.audience import Audience


class Pages:
    """A stream that has the same to say each turn."""

    title = "Xã Một"

    def welcome(self) -> bytes:
        return b"welcome "

    def turn(self, now: float) -> bytes:
        return b"page "

    def farewell(self) -> bytes:
        return b"farewell "

    def close(self) -> bytes:
        return b"end"


class Client(asyncio.Protocol):
    """The relay's side of a connection."""

    def __init__(self) -> None:
        self.made: asyncio.Future[asyncio.Transport] = asyncio.get_running_loop().create_future()
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.made.set_result(cast(asyncio.Transport, transport))

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set()


async def connection() -> tuple[Client, socket.socket]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    client = Client()
    loop = asyncio.get_running_loop()
    await loop.create_connection(lambda: client, sock=ours)
    return client, theirs


def drain(player: socket.socket) -> bytes:
    """All that was sent to it until the end; the loop goes on meanwhile."""
    player.settimeout(10)
    heard = b""
    while part := player.recv(1000):
        heard += part
    return heard


def test_a_client_that_has_gone_before_its_request_knows_costs_the_others_nothing() -> None:
    async def scene() -> bytes:
        audience = Audience(Pages(), lambda: 0.0)
        gone, their_end = await connection()
        stays, player = await connection()
        for each in (gone, stays):
            audience.add(await each.made)
        their_end.close()
        await asyncio.wait_for(gone.lost.wait(), 10)
        audience.turn()
        assert list(audience.clients) == [await stays.made]
        late, late_end = await connection()
        late_end.close()
        await asyncio.wait_for(late.lost.wait(), 10)
        audience.add(await late.made)
        audience.clients[await late.made] = lambda: True  # as one that goes between the last turn and the end
        audience.end()
        await asyncio.wait_for(stays.lost.wait(), 10)
        heard = await asyncio.to_thread(drain, player)
        player.close()
        return heard

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(scene()) == b"welcome page end"

"""The WebSocket as a link sees it, where a real one would take too long: a peer that never reads."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message
from starlette.websockets import WebSocket

from loacodecs.errors import MalformedError
from relay.device_ports import LinkClosed
from relay.http.edge import Socket
from relay.http.websocket import ABORT, RECEIVED

PATIENCE_S = 5.0


class Peer:
    """An ASGI server whose sends wait while `reads` is False."""

    def __init__(self, *incoming: Message) -> None:
        self.reads = True
        self.aborted = False
        self.sent: list[Message] = []
        self._incoming: list[Message] = [{"type": "websocket.connect"}, *incoming]

    async def receive(self) -> Message:
        if not self._incoming:
            await asyncio.Event().wait()
        return self._incoming.pop(0)

    async def send(self, message: Message) -> None:
        if not self.reads:
            await asyncio.Event().wait()
        self.sent.append(message)

    def abort(self) -> None:
        self.aborted = True

    async def socket(self) -> Socket:
        scope = {"type": "websocket", "headers": [], "path": "/", "state": {ABORT: self.abort}}
        socket = Socket(WebSocket(scope, self.receive, self.send), "198.51.100.7", lambda: 7.0)
        await socket.accept()
        return socket


async def test_a_peer_that_never_reads_is_closed_by_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.http.edge._CLOSE_SECONDS", 0.01)
    peer = Peer()
    socket = await peer.socket()
    peer.reads = False
    async with asyncio.timeout(PATIENCE_S):
        await socket.close(4408, "silence")
    assert peer.aborted


async def test_a_peer_that_reads_is_closed_with_its_reason_and_once() -> None:
    peer = Peer()
    socket = await peer.socket()
    await socket.close(4408, "silence")
    await socket.close(4400, "again")
    assert peer.sent[1:] == [{"type": "websocket.close", "code": 4408, "reason": "silence"}]
    assert not peer.aborted
    with pytest.raises(LinkClosed):
        await socket.send("late")


async def test_the_time_of_arrival_is_the_servers_where_it_has_one() -> None:
    peer = Peer(
        {"type": "websocket.receive", "text": "a", RECEIVED: 3.5},
        {"type": "websocket.receive", "text": "b"},
        {"type": "websocket.receive", "bytes": b"c"},
        {"type": "websocket.disconnect", "code": 1006},
    )
    socket = await peer.socket()
    assert await socket.receive() == ("a", 3.5)
    assert await socket.receive() == ("b", 7.0)
    with pytest.raises(MalformedError):
        await socket.receive()
    for _ in range(2):
        with pytest.raises(LinkClosed):
            await socket.receive()


async def test_who_hangs_up_before_the_handshake_is_gone() -> None:
    scope = {"type": "websocket", "headers": [], "path": "/"}

    async def receive() -> Message:
        return {"type": "websocket.disconnect", "code": 1006}

    async def send(message: Message) -> None:
        raise OSError("gone")

    with pytest.raises(LinkClosed):
        await Socket(WebSocket(scope, receive, send), "198.51.100.7", lambda: 7.0).accept()

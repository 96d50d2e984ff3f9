"""A `Peer` on a real loopback socket: the twenty lines a shell needs, for interop tests."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from loacodecs.address import Address, canonical
from loacodecs.events import Closed, Connected, Event, Rtcp, Rtp, Transmit
from loacodecs.peer import Peer


class UdpPeer(asyncio.DatagramProtocol):
    """Feeds the peer, drains it, keeps its timer; what it received stands in `rtp` and `rtcp`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._peer: Peer | None = None
        self._changed = asyncio.Condition()
        self._transport: asyncio.DatagramTransport | None = None
        self.rtp: list[bytes] = []
        self.rtcp: list[bytes] = []
        self.connected: Connected | None = None
        self.closed: Closed | None = None

    async def open(self, host: str = "127.0.0.1") -> Address:
        """Bind a port of `host` and give back its address; `run` gives it the peer."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.bind((host, 0))
        self._transport, _ = await self._loop.create_datagram_endpoint(lambda: self, sock=sock)
        return canonical(*sock.getsockname()[:2])

    def run(self, peer: Peer) -> None:
        self._peer = peer
        self.touch()

    def touch(self, act: Callable[[float], object] = lambda _now: None) -> None:
        """Do something to the peer at the present time and carry out what it wants."""
        assert self._peer is not None
        act(self._loop.time())
        while (event := self._peer.poll()) is not None:
            self._handle(event)
        if self._timer is not None:
            self._timer.cancel()
        deadline = self._peer.next_deadline()
        if deadline is not None:
            self._timer = self._loop.call_at(deadline, self.touch, self._peer.on_timeout)

    async def until(self, condition: Callable[[], bool], seconds: float = 15.0) -> None:
        """Wait until something received or decided makes `condition` true."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(condition)

    async def close(self) -> None:
        if self._peer is not None and self.closed is None:
            self.touch(self._peer.close)
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int] | tuple[str, int, int, int]) -> None:
        if self._peer is not None:
            peer, source = self._peer, canonical(addr[0], addr[1])
            self.touch(lambda now: peer.receive(now, data, source))

    def _handle(self, event: Event) -> None:
        match event:
            case Transmit(data, addr):
                assert self._transport is not None
                self._transport.sendto(data, addr)
                return
            case Rtp(data):
                self.rtp.append(data)
            case Rtcp(data):
                self.rtcp.append(data)
            case Connected():
                self.connected = event
            case Closed():
                self.closed = event
        self._notifying = self._loop.create_task(self._notify())

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

"""uvicorn's WebSocket protocol with an end to what a peer may have it do, and the time at which bytes came."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import Any, Final, cast

from uvicorn._types import ASGIReceiveEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from relay.ratelimit import Bucket

#: Milliseconds after which unacknowledged data ends the connection: a receiver whose power was cut says nothing.
UNACKNOWLEDGED_MS: Final = 60_000
#: Key of an incoming ASGI message: unix time at which the bytes came that completed it, or later ones.
RECEIVED: Final = "loa.received"
#: Key of the connection's state: a function that ends it without waiting for a peer that does not read.
ABORT: Final = "loa.abort"
#: Messages that may wait for the application. uvicorn stops reading while one waits, but takes whole reads of 256 KiB.
MESSAGES_MAX: Final = 512
_PINGS_A_SECOND: Final = 1.0
_PINGS_AT_ONCE: Final = 10.0


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """One WebSocket connection.

    uvicorn answers every ping, whether its peer reads the answers or not, and keeps whatever one read has brought; here
    a peer that sends so much is let go. What a lost connection still had to say is dropped.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._received = 0.0
        self._pings = Bucket(rate=_PINGS_A_SECOND, burst=_PINGS_AT_ONCE, now=self.loop.time())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Have the kernel give up on a peer that has vanished."""
        super().connection_made(transport)
        raw = transport.get_extra_info("socket")
        with contextlib.suppress(OSError, AttributeError):
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS)

    def data_received(self, data: bytes) -> None:
        """Note the time: the application may look at the message a little later."""
        self._received = time.time()
        super().data_received(data)
        if self.queue.qsize() > MESSAGES_MAX:
            self.transport.abort()

    def handle_ping(self) -> None:
        """Answer, within measure."""
        if self._pings.take(self.loop.time()) > 0:
            self.transport.abort()
            return
        super().handle_ping()

    async def run_asgi(self) -> None:
        """Hand the application the means to abort."""
        self.scope["state"][ABORT] = self.transport.abort
        await super().run_asgi()

    async def receive(self) -> ASGIReceiveEvent:
        """The next event, with its time."""
        if self.disconnected:
            return {"type": "websocket.disconnect", "code": 1006}
        event = await super().receive()
        return cast(ASGIReceiveEvent, {**event, RECEIVED: self._received})

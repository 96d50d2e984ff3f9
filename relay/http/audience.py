"""Those who hear one channel's Ogg stream by HTTP: a plain loop writes each page to every one of them.

No client has a task, a queue or an await in that loop. What a client does not take waits in its transport; who lets
more than `WAITING_MAX` wait is cut off, and counted, for a player that is half a minute behind is better told to come
again. The packet path never knows: pages are made here from a copy of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Callable
from typing import Final

from relay.errors import Unavailable
from relay.http.output_metrics import StreamCounts
from relay.output_ports import OutputDesk, PageStream

TURN_S: Final = 0.1
WAITING_MAX: Final = 131_072
"""Octets: 16 s at 64 kb/s, besides what the kernel holds."""
KERNEL_BUFFER: Final = 65_536
"""Left to itself the kernel would hold minutes of sound for a client that went away."""
CLIENTS_MAX: Final = 4_000
_RETRY_AFTER_S: Final = 10


class Audience:
    """The clients of one channel; `on_empty` when the last has left."""

    def __init__(self, stream: PageStream, clock: Callable[[], float]) -> None:
        self.stream = stream
        self.clients: dict[asyncio.Transport, Callable[[], bool]] = {}
        """With what tells whether each may still listen."""
        self.slow = 0
        """Clients cut off because they did not keep up."""
        self._clock = clock
        self._ended = False

    def add(self, client: asyncio.Transport, may_listen: Callable[[], bool] = lambda: True) -> None:
        """Let `client` hear the channel from now on, as long as it `may_listen`, which is asked each turn."""
        if self._ended:
            client.close()
            return
        if client.is_closing():  # it went while the stream was opened
            return
        with contextlib.suppress(OSError, AttributeError):  # what is no socket of the kernel needs no bound
            client.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER)
        client.write(self.stream.welcome())
        self.clients[client] = may_listen

    def remove(self, client: asyncio.Transport) -> None:
        """It has gone."""
        self.clients.pop(client, None)

    def turn(self) -> None:
        """Write what is new to everybody; who may listen no more gets the end of the stream."""
        pages = self.stream.turn(self._clock())
        for client, may_listen in list(self.clients.items()):
            if (
                client.is_closing()
            ):  # it has gone and its request does not know yet; uvloop raises on writing to it
                self.remove(client)
            elif not may_listen():
                self.remove(client)
                client.write(pages + self.stream.farewell())
                client.close()
            elif pages and client.get_write_buffer_size() > WAITING_MAX:
                self.slow += 1
                self.remove(client)
                client.abort()
            elif pages:
                client.write(pages)

    def end(self) -> None:
        """Let everybody know that there is no more, as when the relay ends."""
        self._ended = True
        last = self.stream.close()
        for client in self.clients:
            if not client.is_closing():
                client.write(last)
                client.close()
        self.clients.clear()


class Audiences:
    """One audience for each channel that somebody hears. `draining` says when all are to go."""

    def __init__(self, desk: OutputDesk, draining: Callable[[], bool], clock: Callable[[], float]) -> None:
        self.joined: Counter[str] = Counter()
        self.cut_off: Counter[str] = Counter()
        self._desk = desk
        self._draining = draining
        self._clock = clock
        self._playing: dict[str, Audience] = {}
        self._pumps: set[asyncio.Task[None]] = set()
        self._opening = asyncio.Lock()

    def counts(self) -> StreamCounts:
        """Clients now and so far; takes no time."""
        clients = {channel: len(audience.clients) for channel, audience in list(self._playing.items())}
        return StreamCounts(clients, dict(self.joined), dict(self.cut_off))

    async def audience(self, channel: str) -> Audience:
        """The channel's audience; raises ChannelNotFound, and Unavailable when there are too many clients."""
        if sum(self.counts().clients.values()) >= CLIENTS_MAX:
            raise Unavailable(f"this relay streams to its {CLIENTS_MAX} clients by HTTP", _RETRY_AFTER_S)
        async with self._opening:
            audience = self._playing.get(channel)
            if audience is None:
                audience = Audience(await self._desk.open_stream(channel), self._clock)
                self._playing[channel] = audience
                pump = asyncio.create_task(self._pump(channel, audience))
                self._pumps.add(pump)
                pump.add_done_callback(self._pumps.discard)
        self.joined[channel] += 1
        return audience

    async def _pump(self, channel: str, audience: Audience) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        idle = 0
        try:
            while idle < 2 and not self._draining():  # who has just been given the audience is not in it yet
                due = max(due + TURN_S, loop.time())
                await asyncio.sleep(due - loop.time())
                audience.turn()
                self.cut_off[channel] += audience.slow
                audience.slow = 0
                idle = 0 if audience.clients else idle + 1
        finally:
            self._playing.pop(channel, None)
            audience.end()
            await self._desk.close_stream(channel, audience.stream)

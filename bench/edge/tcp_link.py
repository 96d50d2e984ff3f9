"""The impairment link for TCP: what a receiver's HTTP and control link meet on the path that its sound takes.

A stream is carried in segments of at most `SEGMENT` bytes. Each meets the fate of a datagram of its size; one that the
path loses comes after a retransmission timeout (RFC 6298: at least `RTO_MIN_S`, doubled each time), and whatever is
behind it waits, as in TCP. Acknowledgements and windows are not modelled.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from bench.errors import BenchError
from bench.link.model import Fates, Links
from loacodecs.address import Address

SEGMENT: Final = 1448
RTO_MIN_S: Final = 0.2
TRIES: Final = 8
_IN_FLIGHT: Final = 256
_ROUNDED_S: Final = 0.0015
"""So much before its time a wait begins to look at the clock in every turn of the loop: there are few segments."""
_HEADERS: Final = 52
"""IPv4, TCP and its timestamp option."""
_AROUND: Final = 7
"""Segments without data that a connection takes to begin and to end."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What went through: connections, segments sent (again, too) and the bytes in them, both directions."""

    connections: int
    segments: int
    bytes: int

    @property
    def wire_bytes(self) -> int:
        """In IPv4 packets, every segment acknowledged by one of its own: no less than TCP would send."""
        return self.bytes + _HEADERS * (2 * self.segments + _AROUND * self.connections)


class SegmentClock:
    """When the segments of one direction arrive, in order. Pure: `now` is in seconds of any monotonic clock."""

    def __init__(self, fates: Fates) -> None:
        self._fates = fates
        self._last = float("-inf")

    def arrival(self, now: float, size: int) -> float:
        """When `size` bytes sent at `now` are delivered to the application at the other end."""
        sent, timeout = now, RTO_MIN_S
        for _ in range(TRIES):
            if deliveries := self._fates.fate(sent, size):
                self._last = max(self._last, deliveries[0])
                return self._last
            sent, timeout = sent + timeout, 2 * timeout
        self._last = max(self._last, sent)
        return self._last


class TcpProxy:
    """`async with` it: connections to `address` reach `to` over what `links` decides, each over links of its own."""

    def __init__(self, links: Links, *, to: Address, listen: Address = ("127.0.0.1", 0)) -> None:
        self._links = links
        self._to = to
        self._listen = listen
        self._fates: list[tuple[Fates, Fates]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._epoch: float | None = None

    @property
    def address(self) -> Address:
        """Where clients connect to."""
        name = self._server.sockets[0].getsockname()
        return str(name[0]), int(name[1])

    @property
    def carried(self) -> Carried:
        """What was carried so far."""
        counts = [fates.counts for pair in self._fates for fates in pair]
        return Carried(len(self._fates), sum(one.offered for one in counts), sum(one.bytes for one in counts))

    async def __aenter__(self) -> TcpProxy:
        """Open the port. Raises BenchError."""
        self._loop = asyncio.get_running_loop()
        try:
            self._server = await asyncio.start_server(self._on_client, *self._listen)
        except OSError as error:
            host, port = self._listen
            raise BenchError(f"{host}:{port} cannot be listened to: {error.strerror}") from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _on_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(OSError, asyncio.CancelledError), contextlib.closing(writer):
            far_reader, far_writer = await asyncio.open_connection(*self._to)
            with contextlib.closing(far_writer):
                self._epoch = self._loop.time() if self._epoch is None else self._epoch
                up, down = self._links(len(self._fates), self._epoch)
                self._fates.append((up, down))
                async with asyncio.TaskGroup() as group:
                    group.create_task(carry(reader, far_writer, SegmentClock(up), self._loop.time))
                    group.create_task(carry(far_reader, writer, SegmentClock(down), self._loop.time))


async def carry(
    source: asyncio.StreamReader,
    sink: asyncio.StreamWriter,
    segments: SegmentClock,
    clock: Callable[[], float],
) -> None:
    """Carry one direction until its end, and tell the other side that it is over."""
    waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_IN_FLIGHT)

    async def take() -> None:
        while True:
            try:
                data = await source.read(SEGMENT)
            except OSError:
                data = b""
            now = clock()
            await waiting.put((segments.arrival(now, len(data)), data))
            if not data:
                return

    async def give() -> None:
        while True:
            due, data = await waiting.get()
            await _until(due, clock)
            if not data:
                break
            sink.write(data)
            with contextlib.suppress(OSError):
                await sink.drain()
        with contextlib.suppress(OSError, NotImplementedError):
            if sink.can_write_eof():
                sink.write_eof()

    async with asyncio.TaskGroup() as group:
        group.create_task(take())
        group.create_task(give())


async def _until(due: float, clock: Callable[[], float]) -> None:
    """Wait to the fraction of a millisecond: the loop rounds its sleep up to whole ones, which on a LAN would be the
    whole of the way, and another share of it up than down; clocks are compared over this."""
    while (pause := due - clock()) > 0:  # noqa: ASYNC110 - time sets no events
        await asyncio.sleep(max(0.0, pause - _ROUNDED_S))

"""The UDP proxy: sockets and clock around `core.ProxyCore`.

Clients send to one port; each gets a socket of its own towards the relay, so the relay sees as many addresses as
there are clients. Arrival times are the kernel's, so a proxy that is woken late still delivers in time.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from types import TracebackType
from typing import Any, Final

from bench.errors import BenchError
from loacodecs.address import Address

from .core import Delivery, Flow, Limits, Observer, ProxyCore
from .lateness import Lateness
from .model import Links
from .report import LinkReport
from .timer import PreciseTimer
from .trace import Row

_SO_TIMESTAMPNS: Final = 35  # asm-generic/socket.h; the socket module has neither name
_SO_RXQ_OVFL: Final = 40
_TIMESPEC: Final = struct.Struct("@ll")
_COUNT: Final = struct.Struct("@I")
_ANCILLARY: Final = socket.CMSG_SPACE(_TIMESPEC.size) + socket.CMSG_SPACE(_COUNT.size)
_DATAGRAM_MAX: Final = 4096
_TRUNCATED: Final = int(socket.MSG_TRUNC)  # a plain number: the enum's & costs as much as a system call
_BATCH: Final = 64
_BUFFER: Final = 4 * 1024 * 1024
_SWEEP_S: Final = 5.0
_OLDEST_S: Final = 1.0


class UdpProxy:
    """`async with` it: clients reach the relay at `to` through `address`, and meet what `links` decides."""

    def __init__(
        self,
        links: Links,
        *,
        to: Address,
        listen: Address = ("127.0.0.1", 0),
        limits: Limits | None = None,
        record: Row | None = None,
        observer: Observer | None = None,
    ) -> None:
        """`record` is told every datagram's fate (`TraceWriter.row` fits); `observer` sees every datagram."""
        self.core = ProxyCore(links, limits, record=record, observer=observer)
        self.unsent = 0
        self.oversize = 0
        self._to = to
        self._listen_at = listen
        self._lateness = Lateness()
        self._upstreams: dict[int, socket.socket] = {}
        self._overflows: dict[socket.socket, int] = {}
        self._overflowed = 0  # of sockets that are closed
        self._began = self._cpu_began = 0.0

    @property
    def address(self) -> Address:
        """Where clients send to."""
        name = self._listener.getsockname()
        return str(name[0]), int(name[1])

    async def __aenter__(self) -> UdpProxy:
        """Open the port. Raises BenchError."""
        self._loop = asyncio.get_running_loop()
        self._listener = self._open(self._listen_at[0])
        try:
            self._listener.bind(self._listen_at)
        except OSError as error:
            self._listener.close()
            raise BenchError(
                f"{self._listen_at[0]}:{self._listen_at[1]} cannot be listened to: {error.strerror}; "
                "choose another with --listen"
            ) from error
        self._timer = PreciseTimer(self._dispatch)
        self._loop.add_reader(self._listener, self._on_clients)
        self._sweeper = self._loop.call_later(_SWEEP_S, self._sweep)
        self._began, self._cpu_began = time.monotonic(), time.process_time()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sweeper.cancel()
        self._timer.close()
        for sock in (self._listener, *self._upstreams.values()):
            self._close(sock)
        self._upstreams.clear()

    def report(self) -> LinkReport:
        """What was done so far."""
        core, late = self.core, self._lateness
        up, down = core.counts("up"), core.counts("down")
        offered = up.offered + down.offered
        cpu = time.process_time() - self._cpu_began
        return LinkReport(
            seconds=time.monotonic() - self._began,
            clients=core.clients,
            up=up,
            down=down,
            sent=late.counted,
            late_p50=late.percentile(0.5),
            late_p99=late.percentile(0.99),
            late_max=late.largest,
            overflowed=self._overflowed + sum(self._overflows.values()),
            overfull=core.overfull,
            unsent=self.unsent,
            oversize=self.oversize,
            refused=core.dropped.clients,
            orphans=core.dropped.orphans,
            cpu_us=round(cpu / offered * 1e6, 2) if offered else None,
        )

    def _on_clients(self) -> None:
        offset = time.monotonic() - time.time()
        for _ in range(_BATCH):
            if (taken := self._take(self._listener, offset)) is None:
                break
            data, now, client = taken
            flow = self.core.from_client(now, data, client)
            if flow is not None and flow.number not in self._upstreams:
                self._connect(flow)
        self._dispatch()

    def _on_relay(self, flow: Flow) -> None:
        # One at a time: a client's packets come singly, and to learn so would cost a system call each.
        taken = self._take(self._upstreams[flow.number], time.monotonic() - time.time())
        if taken is not None:
            self.core.from_relay(taken[1], taken[0], flow)
            self._dispatch()

    def _take(self, sock: socket.socket, offset: float) -> tuple[bytes, float, Any] | None:
        """The next datagram, when it came (monotonic seconds), and from where.

        None when there is none, or not a usable one: the loop calls again if there are more.
        """
        try:
            data, ancillary, flags, source = sock.recvmsg(_DATAGRAM_MAX, _ANCILLARY)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:  # an ICMP error of something sent: nobody listens there
            self.unsent += 1
            return None
        arrived = now = time.monotonic()
        for _, kind, value in ancillary:
            if kind == _SO_TIMESTAMPNS:
                seconds, nanoseconds = _TIMESPEC.unpack(value)
                arrived = seconds + nanoseconds / 1e9 + offset
            elif kind == _SO_RXQ_OVFL:
                self._overflows[sock] = _COUNT.unpack(value)[0]
        if flags & _TRUNCATED:
            self.oversize += 1
            return None
        # The wall clock may be set while we run: then its times are worth nothing for a moment.
        return data, arrived if now - _OLDEST_S < arrived < now else now, source

    def _dispatch(self) -> None:
        """Send what is due; come back for the rest, after others had their turn."""
        for _ in range(_BATCH):
            delivery = self.core.pop(time.monotonic())
            if delivery is None:
                break
            self._send(delivery)
            self._lateness.add(time.monotonic() - delivery.due)
        self._timer.set(self.core.next_deadline())

    def _send(self, delivery: Delivery) -> None:
        try:
            if delivery.direction == "up":
                self._upstreams[delivery.flow.number].send(delivery.data)
            else:
                self._listener.sendto(delivery.data, delivery.flow.client)
        except OSError:
            self.unsent += 1

    def _connect(self, flow: Flow) -> None:
        """Give a new client its socket; without one it is forgotten and may come again."""
        try:
            sock = self._open(self._to[0])
            sock.connect(self._to)
        except OSError:
            self.core.forget(flow)
            return
        self._upstreams[flow.number] = sock
        self._loop.add_reader(sock, self._on_relay, flow)

    def _sweep(self) -> None:
        self._sweeper = self._loop.call_later(_SWEEP_S, self._sweep)
        for flow in self.core.sweep(time.monotonic()):
            if (sock := self._upstreams.pop(flow.number, None)) is not None:
                self._close(sock)

    def _open(self, host: str) -> socket.socket:
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        for option in (_SO_TIMESTAMPNS, _SO_RXQ_OVFL):
            sock.setsockopt(socket.SOL_SOCKET, option, 1)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
        return sock

    def _close(self, sock: socket.socket) -> None:
        self._loop.remove_reader(sock)
        self._overflowed += self._overflows.pop(sock, 0)
        sock.close()

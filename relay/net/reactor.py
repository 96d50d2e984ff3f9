"""The media plane's thread: one poll loop that never waits behind anything but the packet path itself.

Why not an asyncio loop: when a thousand receivers come back at once, an asyncio loop runs every ready HTTP
and handshake callback before it looks at the UDP socket again. Here each turn first drains the sockets,
handing media on at once, and then spends at most `WORK_BUDGET_S` on everything else (see docs/adr/001).
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import queue
import select
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol, TypeVar

from relay.net.histogram import HistogramCounter
from relay.net.port import UdpPort
from relay.net.receive import BATCH

T = TypeVar("T")

log = logging.getLogger("loa.media")

TICK_S = 0.004
"""Timers and patient ports are looked at this often while something is pending."""

IDLE_TICK_S = 0.05
"""And this often otherwise. Each look finds the processor's caches cold, so that many datagrams at one look cost little
more than one."""

WORK_BUDGET_S = 0.001
"""Time a turn spends on handshakes, checks, reports and commands before it looks at the sockets again."""

PIECES_A_COMMAND = 16
"""Pieces of deferred work that go before a command."""

BATCHES_A_TURN = 8
"""Batches read from one socket before the others have their turn."""


_PR_SET_TIMERSLACK = 29


def _wake_on_time() -> None:
    """Let the kernel end this thread's timed waits within 1 µs, not 50 (prctl(2)); the wait for the GIL is one."""
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1_000, 0, 0, 0)


class Handler(Protocol):
    """What the reactor drives. All calls come from the media thread; none may raise or block."""

    def on_batch(self, port: UdpPort, count: int, now: float) -> None:
        """`count` datagrams stand in `port.receiver`; they are gone after the call."""
        ...

    def work(self, now: float) -> bool:
        """Do one small piece of deferred work; False when there is none left."""
        ...

    def on_tick(self, now: float) -> bool:
        """Time has passed; True when something is pending that wants the next look after `TICK_S`."""
        ...


class Reactor:
    """Runs a `Handler` in a thread of its own. `call` is the only door into that thread."""

    def __init__(self, handler: Handler, clock: Callable[[], float] = time.monotonic) -> None:
        self.lag = HistogramCounter()
        """How late ticks were, in seconds."""
        self.datagrams = 0
        self.faults = 0
        """Exceptions that should not have been; each is logged, none ends the thread."""
        self._handler = handler
        self._clock = clock
        self._ports: dict[int, UdpPort] = {}
        self._patient: list[UdpPort] = []
        self._mailbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK)
        self._poller = select.epoll()
        self._poller.register(self._wake, select.EPOLLIN)
        self._stopping = False
        self._due = 0.0
        self._closed_send_errors = 0
        self._thread = threading.Thread(target=self._run, name="loa-media", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive() and not self._stopping

    @property
    def send_errors(self) -> int:
        """Datagrams of checks, handshakes and reports that the kernel refused."""
        return self._closed_send_errors + sum(port.send_errors for port in list(self._ports.values()))

    @property
    def overflows(self) -> int:
        """Datagrams the kernel dropped because a socket's buffer was full."""
        return sum(port.receiver.overflows for port in list(self._ports.values()))

    def start(self) -> None:
        """Start the thread."""
        self._due = self._clock()
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the turn it is in, and close every port. Callable from any other thread."""
        self._stopping = True
        os.eventfd_write(self._wake, 1)
        if self._thread.is_alive():
            self._thread.join()
        for port in self._ports.values():
            port.close()
        self._ports.clear()
        self._poller.close()
        os.close(self._wake)

    def call(self, function: Callable[[], T]) -> Future[T]:
        """Run `function` in the media thread; the future carries its result or its exception."""
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(function())
            except Exception as error:
                future.set_exception(error)

        self._mailbox.put(run)
        with contextlib.suppress(BlockingIOError):
            os.eventfd_write(self._wake, 1)
        return future

    def add_port(self, port: UdpPort) -> None:
        """Read `port` from now on: at once when something comes, one that carries control at the next tick.

        Only before `start`, or from the media thread.
        """
        self._ports[port.fd] = port
        if port.carries == "control":
            self._patient.append(port)
        else:
            self._poller.register(port.fd, select.EPOLLIN)

    def remove_port(self, port: UdpPort) -> None:
        """Stop reading `port` and close it. Only from the media thread."""
        if self._ports.pop(port.fd, None) is not None:
            if port.carries == "control":
                self._patient.remove(port)
            else:
                self._poller.unregister(port.fd)
            self._closed_send_errors += port.send_errors
            port.close()

    def _run(self) -> None:
        _wake_on_time()
        busy = False
        while not self._stopping:
            try:
                busy = self._turn(busy)
            except Exception:  # the thread that carries the sound outlives any mistake
                self.faults += 1
                log.exception("a turn of the media loop failed")

    def _turn(self, busy: bool) -> bool:
        wait = 0.0 if busy else max(0.0, self._due - self._clock())
        asked = False
        for fd, _ in self._poller.poll(wait):
            if fd == self._wake:
                asked = True
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(self._wake)
            elif fd in self._ports:
                self._drain(self._ports[fd])
        now = self._clock()
        if busy or asked or now >= self._due:
            for port in self._patient:
                self._drain(port)
        if now >= self._due:
            self.lag.observe(now - self._due)
            self._due = now + IDLE_TICK_S
            if self._handler.on_tick(now):
                self._due = now + TICK_S
        return self._work(now + WORK_BUDGET_S)

    def _drain(self, port: UdpPort) -> None:
        for _ in range(BATCHES_A_TURN):
            now = self._clock()
            count = port.receiver.receive(port.fd)
            if count:
                self._handler.on_batch(port, count, now)
            self.datagrams += count
            if count < BATCH or port.fd not in self._ports:
                return

    def _work(self, until: float) -> bool:
        """Deferred work and commands until the budget is spent; True when some is left."""
        while True:
            worked = self._work_some(until)
            try:
                self._mailbox.get_nowait()()
            except queue.Empty:
                if not worked:
                    return False
            if self._clock() >= until:
                return True

    def _work_some(self, until: float) -> bool:
        """A few pieces of deferred work before the next command, which is decided on what came before it: who said
        goodbye is gone. Returns whether there was any."""
        for piece in range(PIECES_A_COMMAND):
            now = self._clock()
            if (piece and now >= until) or not self._handler.work(now):
                return piece > 0
        return True

"""The media plane's thread: one poll loop that never waits behind anything but the packet path itself.

Why not an asyncio loop: when a thousand receivers come back at once, an asyncio loop runs every ready HTTP
and handshake callback before it looks at the UDP socket again. Here each turn first serves the sockets,
handing media on at once, in compiled code (`watch`) that returns only when Python is wanted, and then spends at most
`WORK_BUDGET_S` on everything else (see docs/adr/001 and 007).
"""

from __future__ import annotations

import ctypes
import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol, TypeVar

from relay.net.histogram import HistogramCounter
from relay.net.port import UdpPort
from relay.net.watch import Batch, Watch

T = TypeVar("T")

log = logging.getLogger("loa.media")

TICK_S = 0.004
"""Timers are looked at this often while something is pending."""

IDLE_TICK_S = 0.5
"""And this often otherwise, at the least; between, nothing but compiled code runs unless something unusual comes."""

WORK_BUDGET_S = 0.001
"""Time a turn spends on handshakes, checks, reports and commands before it looks at the sockets again."""

PIECES_A_COMMAND = 16
"""Pieces of deferred work that go before a command."""

_PR_SET_TIMERSLACK = 29


def _wake_on_time() -> None:
    """Let the kernel end this thread's timed waits within 1 µs, not 50 (prctl(2)); the wait for the GIL is one."""
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1_000, 0, 0, 0)


class Handler(Protocol):
    """What the reactor drives. All calls come from the media thread; none may raise or block."""

    def settle(self) -> None:
        """Book what compiled code sent since the last turn. Called before anything else in a turn."""
        ...

    def on_batch(self, batch: Batch) -> None:
        """Datagrams that compiled code left; they are gone after the call."""
        ...

    def work(self, now: float) -> bool:
        """Do one small piece of deferred work; False when there is none left."""
        ...

    def on_tick(self, now: float) -> None:
        """Time has passed."""
        ...

    def pending(self) -> bool:
        """Whether something waits that wants the next tick after `TICK_S`."""
        ...

    def deadline(self) -> float | None:
        """When the next tick is wanted at the latest (the reactor's clock), None when that does not matter."""
        ...


class Reactor:
    """Runs a `Handler` in a thread of its own. `call` is the only door into that thread."""

    def __init__(
        self, handler: Handler, watch: Watch, clock: Callable[[], float] = time.monotonic,
        idle_s: float = IDLE_TICK_S,
    ) -> None:  # fmt: skip
        self.idle_s = idle_s
        """Timers are looked at, and what was forwarded is booked, after so many seconds at the latest."""
        self.lag = HistogramCounter()
        """How late ticks were, in seconds."""
        self.faults = 0
        """Exceptions that should not have been; each is logged, none ends the thread."""
        self._handler = handler
        self._watch = watch
        self._clock = clock
        self._mailbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._orders = 0
        """Commands that came before the sockets were last looked at: each is decided on what came before it."""
        self._stopping = False
        self._due = 0.0
        self._closed_send_errors = 0
        self._thread = threading.Thread(target=self._run, name="loa-media", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive() and not self._stopping

    @property
    def datagrams(self) -> int:
        """Datagrams received."""
        return self._watch.datagrams

    @property
    def send_errors(self) -> int:
        """Datagrams of checks, handshakes and reports that the kernel refused."""
        return self._closed_send_errors + sum(port.send_errors for port in self._watch.ports)

    @property
    def overflows(self) -> int:
        """Datagrams the kernel dropped because a socket's buffer was full."""
        return self._watch.overflows

    def start(self) -> None:
        """Start the thread."""
        self._due = self._clock()
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the turn it is in, and close every port. Callable from any other thread."""
        self._stopping = True
        self._watch.wake()
        if self._thread.is_alive():
            self._thread.join()
        for port in self._watch.ports:
            self._watch.remove(port)
            port.close()
        self._watch.close()

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
        self._watch.wake()
        return future

    def add_port(self, port: UdpPort) -> None:
        """Read `port` from now on: at once when something comes, one that carries control at the next look.

        Only before `start`, or from the media thread.
        """
        self._watch.add(port)

    def remove_port(self, port: UdpPort) -> None:
        """Stop reading `port` and close it. Only from the media thread."""
        if self._watch.remove(port):
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
        batch = self._watch.wait(0.0 if busy or self._orders else self._due)
        self._handler.settle()
        if batch is not None:
            self._handler.on_batch(batch)
        now = self._clock()
        if now >= self._due:
            self.lag.observe(now - self._due)
            self._due = now + self.idle_s
            self._handler.on_tick(now)
        busy = self._work(now + WORK_BUDGET_S)
        if self._handler.pending():
            self._due = min(self._due, now + TICK_S)
        deadline = self._handler.deadline()
        if deadline is not None:
            self._due = min(self._due, deadline)
        self._orders = self._mailbox.qsize()
        return busy

    def _work(self, until: float) -> bool:
        """Deferred work and commands until the budget is spent; True when some is left."""
        while True:
            worked = self._work_some(until)
            if self._orders:
                self._orders -= 1
                self._mailbox.get_nowait()()
            elif not worked:
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

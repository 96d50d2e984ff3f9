"""The thread `loa-mix`: ticks the studio on time, and sleeps while there is nothing to mix."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import threading
import time
from typing import Final

from relay.live.studio import Studio
from relay.live.tick import PERIOD_S, TickClock

log = logging.getLogger("loa.live")

PRIORITY: Final = 1
"""The lowest of those that go before everything ordinary."""
_PR_SET_TIMERSLACK: Final = 29


class MixThread:
    """Runs `studio` until `stop`."""

    def __init__(self, studio: Studio, *, ahead: bool = False) -> None:
        """With `ahead` the thread goes before all that is not urgent, as sound servers do, if it may (sched(7))."""
        self._studio = studio
        self._ahead = ahead
        self._stopping = False
        self._awake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="loa-mix", daemon=True)
        studio.on_wake = self._awake.set

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End it after the tick it is in. Callable from any other thread."""
        self._stopping = True
        self._awake.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        # The kernel may end this thread's waits within 1 µs, not 50 (prctl(2)).
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1_000, 0, 0, 0)
        if self._ahead:
            with contextlib.suppress(PermissionError):
                os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(PRIORITY))
        clock = TickClock(self._studio.clock())
        while not self._stopping:
            try:
                self._turn(clock)
            except Exception:  # the sound of all channels outlives any mistake
                self._studio.counts.faults += 1
                log.exception("a turn of the mixer's thread failed")
                time.sleep(PERIOD_S)

    def _turn(self, clock: TickClock) -> None:
        studio = self._studio
        if studio.idle:
            self._awake.wait()
            self._awake.clear()
            clock.resume(studio.clock())
            return
        time.sleep(max(0.0, clock.next_at - studio.clock()))
        tick = clock.begin(studio.clock())
        if tick is not None:
            studio.tick(tick)

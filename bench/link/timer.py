"""A timer that wakes an event loop on time: loops round their own timers up to whole milliseconds."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
from collections.abc import Callable
from typing import Final

from bench.errors import BenchError

_CLOCK_MONOTONIC: Final = 1
_ABSOLUTE: Final = 1
_NANOSECONDS: Final = 1_000_000_000


class PreciseTimer:
    """A timerfd(2) in the running loop; times are those of `time.monotonic`."""

    def __init__(self, on_time: Callable[[], None]) -> None:
        """`on_time` is called when the time set has come. Raises BenchError where there is no timerfd."""
        libc = ctypes.CDLL(None, use_errno=True)
        if not hasattr(libc, "timerfd_create"):
            raise BenchError("the impairment link needs Linux: this system has no timerfd")
        self._descriptor = int(libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC))
        if self._descriptor < 0:
            raise BenchError(f"no timer to be had: {os.strerror(ctypes.get_errno())}")
        self._settime = libc.timerfd_settime
        self._specification = (ctypes.c_long * 4)()  # interval, then value: seconds and nanoseconds each
        self._on_time = on_time
        self._at: float | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._descriptor, self._wake)

    def set(self, at: float | None) -> None:
        """Wake at `at`, or not at all (None); a time in the past wakes at once."""
        if at == self._at:
            return
        self._at = at
        nanoseconds = 0 if at is None else max(1, int(at * _NANOSECONDS))
        self._specification[2], self._specification[3] = divmod(nanoseconds, _NANOSECONDS)
        self._settime(self._descriptor, _ABSOLUTE, self._specification, None)

    def close(self) -> None:
        """Wake no more; closing again does nothing."""
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # set anew since it went off
            os.read(self._descriptor, 8)
        self._at = None
        self._on_time()

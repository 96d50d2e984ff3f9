"""Bounds for what waits: no test may keep its process, and with it all others, for ever."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator

import pytest

AGAIN_S = 10.0
"""When the next wait is ended, where the first was not the last: a test that is ended has things to close."""


@contextlib.contextmanager
def within(seconds: float, sentence: str) -> Iterator[None]:
    """Fail by `sentence` if the block takes longer, wherever Python waits in it: locks, queues, pipes, sockets, loops.

    For the main thread; may be nested. Raises pytest.fail.Exception, which is no Exception, so that what is tested
    does not take it for a mishap of its own. What waits in C and is not woken by signals is not ended by this:
    for that there is faulthandler_timeout.
    """

    def ring(*_: object) -> None:
        pytest.fail(sentence)

    began = time.monotonic()
    before = signal.signal(signal.SIGALRM, ring)
    outer, _ = signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if outer:
            left = max(outer - (time.monotonic() - began), 0.001)
            signal.setitimer(signal.ITIMER_REAL, left, AGAIN_S)


def threads() -> set[threading.Thread]:
    """Those that live now."""
    return set(threading.enumerate())


def left_behind(before: set[threading.Thread], patience_s: float = 5.0) -> list[str]:
    """The names of threads that came after `before` and do not end within `patience_s`, though they should.

    Daemons that are none of Loa's may stay: they belong to libraries, and to servers of tests that end with a
    connection.
    """
    end = time.monotonic() + patience_s
    while True:
        new = [each for each in threading.enumerate() if each not in before and _counts(each)]
        if not new or time.monotonic() > end:
            return sorted(each.name for each in new)
        new[0].join(0.05)


def _counts(thread: threading.Thread) -> bool:
    return not thread.daemon or thread.name.startswith("loa-")

"""Waiting for something that another thread brings about."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


def until(condition: Callable[[], bool], timeout: float = 20.0) -> None:
    """Return as soon as `condition()` holds; AssertionError after `timeout` seconds."""
    never = threading.Event()
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        never.wait(0.005)

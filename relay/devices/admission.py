"""Receivers that come by the thousand, after a power cut or a restart of the relay, are let in one after another.

What a link costs when it comes up, its handshake and its signatures, is Python's, and so is what sends the sound: all
at once they would be heard. Addresses have their turns, so that one full of strangers holds up only itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

AT_ONCE: Final = 10
"""Links that come up together when none did just before."""

T = TypeVar("T")


class Arrivals(Generic[T]):
    """Who waits, by address. `a_second` have their turn, and `at_once` when nobody came before. Time is an argument."""

    def __init__(self, *, a_second: float, at_once: int) -> None:
        self._gap = 1.0 / a_second
        self._ahead = (at_once - 0.5) * self._gap  # half a turn's room for what floats round off
        self._waiting: dict[str, deque[T]] = {}
        """The address whose turn is next comes first; none is empty."""
        self._due = 0.0

    def add(self, address: str, who: T) -> None:
        """Another one waits."""
        self._waiting.setdefault(address, deque()).append(who)

    def drop(self, address: str, who: T) -> None:
        """One that may still wait does not want to."""
        waiting = self._waiting.get(address)
        if waiting is not None and who in waiting:
            waiting.remove(who)
            if not waiting:
                del self._waiting[address]

    def next(self, now: float) -> T | None:
        """Whose turn it is at monotonic time `now`; None while it is nobody's."""
        if not self._waiting or now < self._due:
            return None
        address = next(iter(self._waiting))
        waiting = self._waiting.pop(address)
        who = waiting.popleft()
        if waiting:
            self._waiting[address] = waiting  # behind all others
        self._due = max(self._due, now - self._ahead) + self._gap
        return who

    def wait(self, now: float) -> float | None:
        """Seconds until the next turn; None when nobody waits."""
        return max(0.0, self._due - now) if self._waiting else None


class Gate:
    """`Arrivals` that wait in the event loop."""

    def __init__(self, a_second: float, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._arrivals: Arrivals[asyncio.Future[None]] = Arrivals(a_second=a_second, at_once=AT_ONCE)
        self._timer: asyncio.TimerHandle | None = None

    async def turn(self, address: str) -> None:
        """Wait for the turn of one from `address`."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._arrivals.add(address, waiter)
        self._open()
        try:
            await waiter
        finally:
            self._arrivals.drop(address, waiter)

    def _open(self) -> None:
        now = self._monotonic()
        while (waiter := self._arrivals.next(now)) is not None:
            if not waiter.done():
                waiter.set_result(None)
        wait = self._arrivals.wait(now)
        if wait is not None and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(wait, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._open()

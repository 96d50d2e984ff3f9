"""Letting a crowd in one after the other."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable

from relay.errors import Unavailable

LONGEST_S = 5.0
"""Nobody waits longer for his turn: receivers give an offer up after 10 s, and what is made for them then is a place
that nobody has."""


class Pace:
    """Callers of `turn` go on at least `interval` seconds apart; one that comes alone does not wait.

    A thousand receivers that come back at once would otherwise keep the interpreter busy without a pause, and every
    step of the media thread would have to queue for it.
    """

    def __init__(
        self,
        interval: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        longest: float = LONGEST_S,
    ) -> None:
        self._interval = interval
        self._clock = clock
        self._sleep = sleep
        self._longest = longest
        self._next = 0.0

    async def turn(self) -> None:
        """Wait for the caller's turn; raises Unavailable, at once, where that is too far away."""
        now = self._clock()
        mine = max(now, self._next)
        if mine - now > self._longest:
            raise Unavailable("too many listeners come at once; try again in a moment", math.ceil(mine - now))
        self._next = mine + self._interval
        if mine > now:
            await self._sleep(mine - now)

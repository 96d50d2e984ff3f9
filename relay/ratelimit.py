"""Patience with those who send too much, and a bound on strangers. Time is an argument: monotonic seconds."""

from __future__ import annotations

from collections import Counter


class Bucket:
    """So many at once, then so many a second."""

    __slots__ = ("_burst", "_rate", "_tokens", "_updated")

    def __init__(self, *, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._updated = now

    def take(self, now: float) -> float:
        """Take one; seconds to wait before going on, 0 while within the measure. For those who are slowed down."""
        self._earn(now)
        self._tokens -= 1
        return max(0.0, -self._tokens / self._rate)

    def admit(self, now: float) -> float:
        """Take one if there is one, and give 0; else seconds until there is. For those who are refused: what was not
        done costs nothing, or who asks a little too often would be refused for ever."""
        self._earn(now)
        if self._tokens < 1:
            return (1 - self._tokens) / self._rate
        self._tokens -= 1
        return 0.0

    def _earn(self, now: float) -> None:
        earned = max(0.0, now - self._updated) * self._rate
        self._tokens = min(self._burst, self._tokens + earned)
        self._updated = now


class Strangers:
    """How many from each address have come in and not said yet who they are."""

    def __init__(self, *, maximum: int, of_one_address: int) -> None:
        self._maximum = maximum
        self._of_one = of_one_address
        self._inside: Counter[str] = Counter()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def enter(self, address: str) -> bool:
        """True when there is room for one more; `leave` must follow."""
        if self._count >= self._maximum or self._inside[address] >= self._of_one:
            return False
        self._inside[address] += 1
        self._count += 1
        return True

    def leave(self, address: str) -> None:
        """One of them has gone, or is no stranger any more."""
        self._count -= 1
        self._inside[address] -= 1
        if not self._inside[address]:
            del self._inside[address]

"""The narrowest place of a path: a line of some rate behind a queue that drops its tail when it is full."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from .checks import refuse, within

UDP_IPV4_OVERHEAD = 28


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """Raises ConfigurationError for impossible values.

    rate      bits per second; None for a line that is quick enough for anything
    queue     bytes that may wait or be on the line; what would exceed them is lost (tail drop)
    overhead  bytes of headers that a datagram costs beside its payload (UDP and IPv4)
    """

    rate: float | None = None
    queue: int = 262_144
    overhead: int = UDP_IPV4_OVERHEAD

    def __post_init__(self) -> None:
        if self.rate is not None:
            within("rate", self.rate, 1)
        within("overhead", self.overhead, 0)
        if self.queue <= self.overhead:
            refuse("queue", f"{self.queue} bytes hold no datagram at all")


class Queue:
    """The bit clock of one direction: what enters leaves when all before it and then itself were sent."""

    __slots__ = ("_backlog", "_free", "_limit", "_overhead", "_release", "_seconds_per_byte", "_waiting")

    def __init__(self, bottleneck: Bottleneck, release: Callable[[float], float]) -> None:
        """`release` gives the first moment at or after its argument at which the line works."""
        self._limit = bottleneck.queue
        self._overhead = bottleneck.overhead
        self._seconds_per_byte = 8 / bottleneck.rate if bottleneck.rate else 0.0
        self._release = release
        self._free = float("-inf")
        self._waiting: deque[tuple[float, int]] = deque()  # (departure, bytes), in order
        self._backlog = 0

    def admit(self, now: float, size: int) -> float | None:
        """When a datagram of `size` payload bytes that comes at `now` has left; None when it is dropped."""
        waiting = self._waiting
        while waiting and waiting[0][0] <= now:
            self._backlog -= waiting.popleft()[1]
        wire = max(1, size + self._overhead)  # nothing is so small that any number of it would fit
        if self._backlog + wire > self._limit:
            return None
        begin = self._release(max(now, self._free))
        self._free = begin + wire * self._seconds_per_byte
        if self._free > now:
            waiting.append((self._free, wire))
            self._backlog += wire
        return self._free

    def backlog(self, now: float) -> int:
        """Bytes that wait or are on the line at `now`."""
        return sum(wire for departure, wire in self._waiting if departure > now)

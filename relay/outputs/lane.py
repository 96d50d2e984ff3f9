"""From the media thread to whoever has time: a bounded queue of packets that never makes the giver wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from relay.net.fanout import Packet

Arrived = tuple[Packet, float]
"""A packet, and when it came (monotonic seconds)."""


class Lane:
    """Give `put` to `Channel.tap`, and `take` what has come from one other thread.

    Holds at most `capacity` packets; what comes on top is dropped, and counted in `dropped`, since a taker that is
    so far behind (a disk that hangs) must cost neither memory nor time.
    """

    __slots__ = ("_capacity", "_waiting", "dropped")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._waiting: deque[Arrived] = deque()
        self.dropped = 0

    def put(self, packet: Packet, now: float) -> None:
        """Take note of a packet; in the media thread."""
        if len(self._waiting) < self._capacity:
            self._waiting.append((packet, now))
        else:
            self.dropped += 1

    def take(self) -> Iterator[Arrived]:
        """What waits now, in the order in which it came."""
        for _ in range(len(self._waiting)):
            yield self._waiting.popleft()

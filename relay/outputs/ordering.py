"""Puts a channel's packets in order before they are written: one repaired by a retransmission comes late."""

from __future__ import annotations

from collections.abc import Iterator

from relay.net.fanout import Packet
from relay.outputs.lane import Arrived

WAITING_MAX = 512
"""Packets held back at most; more means that what is missing will not come."""


class Ordering:
    """Hands packets on by their extended sequence; behind a missing one they wait `patience` seconds at most.

    In a stream without loss nothing waits. `late` counts packets that came when they had been given up, or twice.
    """

    def __init__(self, patience: float) -> None:
        self.late = 0
        self._patience = patience
        self._next: int | None = None
        self._waiting: dict[int, Arrived] = {}

    def push(self, packet: Packet, now: float) -> None:
        """A packet came at `now` (monotonic)."""
        if self._next is None:
            self._next = packet.sequence
        if packet.sequence < self._next or packet.sequence in self._waiting:
            self.late += 1
        else:
            self._waiting[packet.sequence] = packet, now

    def pop(self, now: float) -> Iterator[Arrived]:
        """What is next, as far as it is there or has been waited for."""
        while self._waiting and self._next is not None:
            arrived = self._waiting.pop(self._next, None)
            if arrived is not None:
                self._next += 1
                yield arrived
            elif self._impatient(now):
                self._next = min(self._waiting)
            else:
                return

    def _impatient(self, now: float) -> bool:
        # Of those that wait behind a gap the one that came first was put in first.
        _, since = next(iter(self._waiting.values()))
        return now - since >= self._patience or len(self._waiting) > WAITING_MAX

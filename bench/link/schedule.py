"""Things to be done at given times, bounded in number and bytes."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Generic, TypeVar

T = TypeVar("T")


class Schedule(Generic[T]):
    """A heap by time; what is due at the same time comes out in the order it went in."""

    def __init__(self, items_max: int, bytes_max: int) -> None:
        self.bytes = 0
        self.refused = 0
        """Items for which there was no room. The new one goes, not the oldest, which is next to be delivered."""
        self._items_max = items_max
        self._bytes_max = bytes_max
        self._heap: list[tuple[float, int, T, int]] = []
        self._order = 0

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, due: float, item: T, size: int) -> bool:
        """Keep an item of `size` bytes until `due`; False when it was refused."""
        if len(self._heap) >= self._items_max or self.bytes + size > self._bytes_max:
            self.refused += 1
            return False
        self._order += 1
        self.bytes += size
        heappush(self._heap, (due, self._order, item, size))
        return True

    def pop(self, now: float) -> tuple[float, T] | None:
        """The next item that is due at `now`, and when it was; None when there is none."""
        if not self._heap or self._heap[0][0] > now:
            return None
        due, _, item, size = heappop(self._heap)
        self.bytes -= size
        return due, item

    def next_due(self) -> float | None:
        """When the next item will be due; None when there is none."""
        return self._heap[0][0] if self._heap else None

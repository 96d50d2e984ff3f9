"""Put the packets of one stream back into order, waiting only so long for a missing one.

Sans-I/O: `insert` what arrives, `pop` until it returns None, sleep until `next_deadline`. The item of a
packet is opaque here. Nothing is concealed here either: the extended sequence numbers that `pop` gives tell
the gaps.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import Generic, TypeVar

T = TypeVar("T")

# RFC 3550 A.1 MAX_DROPOUT: beyond this it is a sender that started afresh, believed once its successor came.
RESTART_GAP = 3000


class Insertion(Enum):
    """What became of a packet given to a `ReorderBuffer`."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    LATE = "late"
    """Its place has been passed already."""
    DOUBTFUL = "doubtful"
    """Far from the stream: kept aside until its successor confirms that the sender started afresh."""


class ReorderBuffer(Generic[T]):
    """Orders packets by extended sequence number.

    capacity  packets held at most; one more and the oldest gap is skipped at once
    hold_s    longest time a gap may hold back the packets behind it, from the first of these arriving
    """

    def __init__(self, capacity: int = 64, hold_s: float = 0.2) -> None:
        self.capacity = capacity
        self.hold_s = hold_s
        self.skipped = 0
        """Sequence numbers passed over because they did not come in time."""
        self.late = 0
        self.duplicates = 0
        self.restarts = 0
        self._next: int | None = None
        # In order of arrival, so the first entry tells since when the oldest gap is known.
        self._held: dict[int, tuple[float, T]] = {}
        self._recent: deque[int] = deque(maxlen=capacity)
        self._doubtful: tuple[int, float, T] | None = None

    def __len__(self) -> int:
        return len(self._held)

    def insert(self, extended_seq: int, item: T, now: float) -> Insertion:
        """Take a packet that arrived at `now` (monotonic seconds)."""
        if self._next is None:
            self._next = extended_seq
        elif abs(extended_seq - self._next) > RESTART_GAP and not self._restarts(extended_seq, item, now):
            return Insertion.DOUBTFUL
        if extended_seq in self._held:
            self.duplicates += 1
            return Insertion.DUPLICATE
        if extended_seq < self._next:
            if extended_seq in self._recent:
                self.duplicates += 1
                return Insertion.DUPLICATE
            self.late += 1
            return Insertion.LATE
        self._held[extended_seq] = (now, item)
        return Insertion.ACCEPTED

    def pop(self, now: float) -> tuple[int, T] | None:
        """The next (extended sequence, item) in order; None while there is none or a gap is waited for."""
        if self._next is None or not self._held:
            return None
        if self._next not in self._held:
            if len(self._held) <= self.capacity and now < self._first_arrival() + self.hold_s:
                return None
            self._skip_gap()
        return self._release()

    def drain(self) -> list[tuple[int, T]]:
        """All that is held, in order, without waiting: for the end of the stream."""
        out: list[tuple[int, T]] = []
        while self._held:
            if self._next not in self._held:
                self._skip_gap()
            out.append(self._release())
        return out

    def next_deadline(self) -> float | None:
        """When a packet behind a gap will be let go (monotonic seconds); None when none is held back."""
        if not self._held:
            return None
        return self._first_arrival() + self.hold_s

    def _first_arrival(self) -> float:
        return next(iter(self._held.values()))[0]

    def _skip_gap(self) -> None:
        first = min(self._held)
        assert self._next is not None
        self.skipped += first - self._next
        self._next = first

    def _release(self) -> tuple[int, T]:
        sequence = self._next
        assert sequence is not None
        _, item = self._held.pop(sequence)
        self._recent.append(sequence)
        self._next = sequence + 1
        return sequence, item

    def _restarts(self, extended_seq: int, item: T, now: float) -> bool:
        """Whether the packet confirms a fresh start; then the buffer begins again at the one kept aside."""
        doubtful = self._doubtful
        if doubtful is None or extended_seq != doubtful[0] + 1:
            self._doubtful = (extended_seq, now, item)
            return False
        self.restarts += 1
        self.skipped += len(self._held)
        self._held.clear()
        self._recent.clear()
        first, arrival, first_item = doubtful
        self._held[first] = (arrival, first_item)
        self._next = first
        self._doubtful = None
        return True

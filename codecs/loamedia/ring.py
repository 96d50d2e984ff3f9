"""Sound between the thread that decodes and the one that plays, without a lock that either could wait for."""

from __future__ import annotations

from typing import Final

import numpy as np

from .decoding import Block

_CLEARANCE: Final = 0.25
"""Share of the ring that the reader keeps away from what the writer overwrites next."""


class Ring:
    """A bounded ring of samples (channels, samples): one thread writes, one reads.

    Each side moves its own counter only, and one number is replaced at once, so there is nothing to lock. A writer
    that does not wait for room overwrites the oldest; the reader notices, jumps ahead and counts what it missed.
    """

    def __init__(self, channels: int, capacity: int) -> None:
        """Room for `capacity` samples, three quarters of which may wait to be read."""
        self._data = np.zeros((channels, capacity), np.float32)
        self._capacity = capacity
        self._written = 0
        self._read = 0
        self.dropped = 0
        """Samples that were overwritten or skipped before they could be read."""

    @property
    def room(self) -> int:
        """Samples that can be written without anything being lost."""
        return max(0, round(self._capacity * (1 - _CLEARANCE)) - self.fill)

    @property
    def fill(self) -> int:
        """Samples that wait to be read."""
        return self._written - self._read

    @property
    def written(self) -> int:
        """Samples written since the beginning."""
        return self._written

    @property
    def read(self) -> int:
        """Samples read or passed over since the beginning."""
        return self._read

    def write(self, block: Block) -> None:
        """The writer's: append `block` (channels, n), n up to the capacity."""
        count = block.shape[1]
        at = self._written % self._capacity
        first = min(count, self._capacity - at)
        self._data[:, at : at + first] = block[:, :first]
        self._data[:, : count - first] = block[:, first:]
        self._written += count

    def take(self, out: Block) -> int:
        """The reader's: fill `out` (channels, n) as far as there is sound; gives how many samples that were."""
        most = round(self._capacity * (1 - _CLEARANCE))
        if self.fill > most:
            self.skip_to(most)
        count: int = min(out.shape[1], self.fill)
        at = self._read % self._capacity
        first = min(count, self._capacity - at)
        out[:, :first] = self._data[:, at : at + first]
        out[:, first:count] = self._data[:, : count - first]
        self._read += count
        return count

    def skip_to(self, fill: int) -> None:
        """The reader's: pass over the oldest until `fill` samples are left."""
        skipped = self.fill - fill
        if skipped > 0:
            self._read += skipped
            self.dropped += skipped

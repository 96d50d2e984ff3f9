"""Gain in dB per row, with ramps that are exact to the sample, and mutes that do not click.

A ramp is linear in amplitude: its first sample has gone one step from where the gain was, its last one is exactly on
target.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from relay.mixer.block import FRAME, Block, Rows, gain_of
from relay.mixer.ramp import Column, Ramp

RAMP = 480
"""Samples a gain or a mute takes when nothing else is asked for: 10 ms, too slow to click, too fast to be noticed."""


class Gain:
    """A RowOperator; every row begins at 0 dB, not muted."""

    def __init__(self, rows: int) -> None:
        self.ramp = Ramp(rows)
        self._wanted = [1.0] * rows
        self._muted = [False] * rows

    def set(self, row: int, db: float, samples: int = RAMP) -> None:
        """Go to `db` within `samples` from the next block on; 0 is at once, minus infinity is silence.

        A muted row stays muted and opens at the new gain.
        """
        self._wanted[row] = gain_of(db)
        self._head_for(row, samples)

    def mute(self, row: int, muted: bool, samples: int = RAMP) -> None:
        """Close or open a row within `samples`."""
        self._muted[row] = muted
        self._head_for(row, samples)

    def _head_for(self, row: int, samples: int) -> None:
        self.ramp.head_for(row, 0.0 if self._muted[row] else self._wanted[row], samples)

    def process(self, block: Block, rows: Rows) -> None:
        """Multiply each of `rows` of `block` (n, FRAME) by its gain, in place."""
        _process(block, rows, self.ramp.now, self.ramp.target, self.ramp.left)

    def reset(self, row: int) -> None:
        """Back to 0 dB and open."""
        self._wanted[row], self._muted[row] = 1.0, False
        self._head_for(row, 0)


@njit(nogil=True, cache=True)
def _process(block: Block, rows: Rows, now: Column, target: Column, left: Rows) -> None:
    for row in rows:
        line = block[row]
        ramp = min(left[row], FRAME)
        if ramp:
            start = now[row]
            step = (target[row] - start) / left[row]
            for t in range(ramp):
                line[t] = line[t] * (start + (t + 1) * step)
            left[row] -= ramp
            now[row] = start + ramp * step if left[row] else target[row]
        if ramp < FRAME and now[row] != 1.0:
            gain = np.float32(now[row])
            rest = line[ramp:]
            for t in range(len(rest)):
                rest[t] *= gain

"""Values per row on their way to a target: what gain and fade share; and one line through a block.

Three columns, each (rows,): `now`, `target` float64 and `left` int64, the samples until the target is reached.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from relay.mixer.block import FRAME, Block, Rows

Column = NDArray[np.float64]


class Ramp:
    """Rows that begin at 1 and stand still."""

    def __init__(self, rows: int) -> None:
        self.now = np.ones(rows)
        self.target = np.ones(rows)
        self.left = np.zeros(rows, np.int64)

    def head_for(self, row: int, target: float, samples: int) -> None:
        """Go to `target` from where the row is, evenly, within `samples`; 0 or less is at once."""
        self.target[row] = target
        self.left[row] = max(samples, 0)
        if samples <= 0:
            self.now[row] = target

    def advance(self, rows: Rows) -> None:
        """Let a block's time pass for rows in which nothing sounds, so that a ramp takes the time it was given."""
        _advance(rows, self.now, self.target, self.left)

    def audible(self, rows: Rows, found: Rows) -> int:
        """Copy those of `rows` to `found` whose value is not, or does not stay, 0; returns how many."""
        return int(_audible(rows, found, self.now, self.left))


@njit(nogil=True, cache=True)
def draw(samples: Block, begin: float, end: float) -> None:
    """Multiply a block (FRAME,) by a straight line: its last sample by `end`, the one before its first by `begin`."""
    step = np.float32((end - begin) / FRAME)
    gain = np.float32(begin)
    for t in range(FRAME):
        samples[t] *= gain + step * np.float32(t + 1)


@njit(nogil=True, cache=True)
def _advance(rows: Rows, now: Column, target: Column, left: Rows) -> None:
    for row in rows:
        if left[row] > FRAME:
            now[row] += (target[row] - now[row]) * FRAME / left[row]
            left[row] -= FRAME
        elif left[row]:
            now[row] = target[row]
            left[row] = 0


@njit(nogil=True, cache=True)
def _audible(rows: Rows, found: Rows, now: Column, left: Rows) -> int:
    count = 0
    for row in rows:
        if now[row] != 0.0 or left[row] != 0:
            found[count] = row
            count += 1
    return count

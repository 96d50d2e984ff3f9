"""Fades along a quarter of a sine, so that two of them in opposite directions make an equal-power cross-fade.

A row stands at a position from 0 (silence) to 1 (as it is) and moves evenly; its gain is sin(π/2 · position). While one
row goes from 1 to 0 and another from 0 to 1, the squares of the gains add up to 1 at every sample: two different
programmes keep the loudness of one.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from relay.mixer.block import FRAME, Block, Rows, gain_of
from relay.mixer.ramp import Column, Ramp


class Fade:
    """A RowOperator; every row begins at 0 dB."""

    def __init__(self, rows: int) -> None:
        self.ramp = Ramp(rows)

    def set(self, row: int, db: float, samples: int) -> None:
        """Go from where the row is to `db` (0 or less, minus infinity is silence) within `samples`; 0 is at once."""
        self.ramp.head_for(row, math.asin(min(gain_of(db), 1.0)) * 2 / math.pi, samples)

    def cross(self, old: int, new: int, samples: int) -> None:
        """Let `new` take the place of `old` with equal power; each starts from where it is."""
        self.set(old, -math.inf, samples)
        self.set(new, 0.0, samples)

    def process(self, block: Block, rows: Rows) -> None:
        """Multiply each of `rows` of `block` (n, FRAME) by its fade, in place."""
        _process(block, rows, self.ramp.now, self.ramp.target, self.ramp.left)

    def reset(self, row: int) -> None:
        """Back to 0 dB."""
        self.set(row, 0.0, 0)


@njit(nogil=True, cache=True)
def _process(block: Block, rows: Rows, now: Column, target: Column, left: Rows) -> None:
    """The sine goes on by turning a pointer (`sin` costs ten times that), set right once a block."""
    for row in rows:
        line = block[row]
        ramp = min(left[row], FRAME)
        if ramp:
            start = now[row]
            step = (target[row] - start) / left[row]
            sine, cosine = math.sin(start * math.pi / 2), math.cos(start * math.pi / 2)
            turn_sine, turn_cosine = math.sin(step * math.pi / 2), math.cos(step * math.pi / 2)
            for t in range(ramp):
                sine, cosine = (
                    sine * turn_cosine + cosine * turn_sine,
                    cosine * turn_cosine - sine * turn_sine,
                )
                line[t] = line[t] * sine
            left[row] -= ramp
            now[row] = start + ramp * step if left[row] else target[row]
        if ramp < FRAME and now[row] != 1.0:
            gain = np.float32(math.sin(now[row] * math.pi / 2))
            rest = line[ramp:]
            for t in range(len(rest)):
                rest[t] *= gain

"""Following a source whose clock is not ours: how far both have drifted apart shows in the ring's low-water mark."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import soxr

from .decoding import Block

WINDOW_S: Final = 20.0
"""A stream comes in bursts, the longest of which are the parts of HLS; only the low-water mark of so long counts."""
CORRECTION_S: Final = 60.0
"""In so long an error would be gone at the speed it asks for."""
LARGEST: Final = 0.001
"""The most the speed changes: 1,000 ppm, a pitch of 1.7 cents, more than any two clocks differ by."""
_GRID: Final = 2.0**32
_ENGINE_RATIO: Final = 2.0
"""Told to soxr as the largest ratio; for exactly 1 it would change over between two filters (docs/adr/009)."""


class Regulator:
    """From the fill of the ring, seen now and then, to the speed at which a live source is to be read.

    low_s, high_s  bounds of the reserve that is held; within them it is what the source began with
    """

    def __init__(self, low_s: float, high_s: float) -> None:
        self.ratio = 1.0
        """Samples of the source for each of ours."""
        self._low = low_s
        self._high = high_s
        self._target: float | None = None
        self._least = math.inf
        self._began: float | None = None

    def note(self, fill_s: float, now: float) -> float:
        """The ring holds `fill_s` seconds at `now`; gives the ratio to read on with."""
        if self._began is None:
            self._began = now
        self._least = min(self._least, fill_s)
        if now - self._began < WINDOW_S:
            return self.ratio
        if self._target is None:
            self._target = min(max(self._least, self._low), self._high)
        error = (self._least - self._target) / CORRECTION_S
        self.ratio = 1.0 + min(max(error, -LARGEST), LARGEST)
        self._least, self._began = math.inf, now
        return self.ratio

    def restart(self) -> None:
        """The source had to wait for us, broke off or ran dry: what was seen says nothing of its clock."""
        self._least, self._began = math.inf, None
        self._target, self.ratio = None, 1.0


class Speed:
    """Resamples by a ratio that may change a little at any time, without a click."""

    def __init__(self, channels: int) -> None:
        self._engine = soxr.ResampleStream(_ENGINE_RATIO, 1.0, channels, dtype="float32", vr=True)
        self._ratio = 0.0
        self.set(1.0)

    def set(self, ratio: float) -> None:
        """From now on `ratio` samples are taken for each one given."""
        nearest = math.floor(ratio * _GRID + 0.5) / _GRID
        if nearest != self._ratio:
            self._ratio = nearest
            self._engine.set_io_ratio(nearest, 1.0)

    def convert(self, block: Block) -> Block:
        """`block` (channels, n) at the speed; 5 ms stay inside."""
        made: Block = self._engine.resample_chunk(np.ascontiguousarray(block.T))
        return made.T

"""The test tone."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from .decoding import SAMPLE_RATE, Block


class Tone:
    """An endless sine, -12 dBFS peak, phase-continuous over blocks."""

    AMPLITUDE: Final = 0.25

    def __init__(self, frequency: float) -> None:
        self._step = 2 * math.pi * frequency / SAMPLE_RATE
        self._phase = 0.0

    def fill(self, out: Block) -> None:
        """The next samples into `out` (channels, n), the same in each channel."""
        count = out.shape[1]
        out[:] = self.AMPLITUDE * np.sin(self._phase + self._step * np.arange(count))
        self._phase = math.fmod(self._phase + self._step * count, 2 * math.pi)

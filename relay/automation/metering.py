"""A feed with a level: what a source delivers, heard or not, before the mixer does anything to it."""

from __future__ import annotations

import math
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from relay.mixer.block import FRAME, PEAK_LIMIT, SILENCE_DBFS

_LOUDEST: Final = PEAK_LIMIT**2


class Metered(Protocol):
    """A feed that knows what is on."""

    def read(self, out: NDArray[np.float32]) -> bool:
        """Fill `out` (2, FRAME), or say False."""
        ...

    @property
    def title(self) -> str:
        """What is on."""
        ...

    @property
    def reason(self) -> str:
        """Why it is not heard just now; "" when all is well."""
        ...


class MeteredFeed:
    """Passes on what `feed` delivers; `feed` may be exchanged at any time. One thread reads, another asks `level`."""

    def __init__(self, feed: Metered) -> None:
        self.feed = feed
        self._sum = (0.0, 0)
        """Power of all blocks, and how many they are; replaced whole, as the one says nothing without the other."""
        self._asked = (0.0, 0)

    def read(self, out: NDArray[np.float32]) -> bool:
        """The mixer's."""
        came = self.feed.read(out)
        power, blocks = self._sum
        if came:
            block = float(np.vdot(out, out)) / (2 * FRAME)
            # a block of NaN, or one far beyond full scale, is no sound
            power += block if block <= _LOUDEST else 0.0
        self._sum = power, blocks + 1
        return came

    @property
    def title(self) -> str:
        """What is on."""
        return self.feed.title

    @property
    def reason(self) -> str:
        """Why it is not heard just now; "" when all is well."""
        return self.feed.reason

    def level_dbfs(self) -> float | None:
        """RMS since the last call; None when nothing was asked for since."""
        power, blocks = now = self._sum
        power_before, blocks_before = self._asked
        if blocks == blocks_before:
            return None
        self._asked = now
        mean = (power - power_before) / (blocks - blocks_before)
        return 10 * math.log10(mean) if mean > 1e-20 else SILENCE_DBFS

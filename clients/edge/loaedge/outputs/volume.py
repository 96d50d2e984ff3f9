"""Volume in decibels, and mute, by ramps that nobody hears as clicks."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from loacodecs.opus import SAMPLE_RATE

from .output import Pcm

RAMP_S: Final = 0.08
LOUDEST_DB: Final = 20.0
MUTE_DB: Final = -96.0
"""At and below this there is silence."""


class Volume:
    """A gain that goes from one value to the next along half a cosine, sample by sample.

    The settings may be changed by another thread at any time; the next block begins to follow.
    """

    def __init__(self, db: float = 0.0, *, muted: bool = False, ramp_s: float = RAMP_S) -> None:
        self._db = _bounded(db)
        self._muted = muted
        self._length = max(1, round(ramp_s * SAMPLE_RATE))
        self._gain = self._from = self._to = self._target
        # Samples of the ramp that are done; at its length it is over.
        self._done = self._length

    @property
    def db(self) -> float:
        """Decibels; not a number is refused, beyond MUTE_DB…LOUDEST_DB it is bounded."""
        return self._db

    @db.setter
    def db(self, value: float) -> None:
        self._db = _bounded(value)

    @property
    def muted(self) -> bool:
        return self._muted

    @muted.setter
    def muted(self, value: bool) -> None:
        self._muted = value

    @property
    def _target(self) -> float:
        return 0.0 if self._muted or self._db <= MUTE_DB else 10 ** (self._db / 20)

    def process(self, pcm: Pcm) -> Pcm:
        """The block at its volume, (frames, channels); the input is left as it is."""
        target = self._target
        if target != self._to:
            self._from, self._to, self._done = self._gain, target, 0
        if self._done >= self._length:
            return pcm if self._gain == 1.0 else pcm * np.float32(self._gain)
        gains = self._ramp(len(pcm))
        if len(gains):
            self._gain = float(gains[-1])
        return pcm * gains[:, None]

    def _ramp(self, frames: int) -> NDArray[np.float32]:
        """The gains of the next `frames` samples; the ramp may end among them."""
        place = np.arange(self._done + 1, self._done + frames + 1) / self._length
        self._done = min(self._length, self._done + frames)
        share = 0.5 - 0.5 * np.cos(np.pi * np.minimum(place, 1.0))
        return (self._from + (self._to - self._from) * share).astype(np.float32)


def _bounded(db: float) -> float:
    """Raises ValueError for NaN."""
    if math.isnan(db):
        raise ValueError("a volume must be a number of decibels")
    return min(max(db, MUTE_DB), LOUDEST_DB)

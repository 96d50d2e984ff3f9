"""A look-ahead limiter: no sample above the ceiling, nothing changed that stays below it.

The gain that a peak needs is reached before the peak comes: the needed gain is held over the look-ahead by a sliding
minimum and then smoothed by a window of the same length, so that at the peak every value under the window is low
enough. It rises again at a constant number of decibels per second, which can be computed for a whole block at once
as a running minimum.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from loacodecs.opus import SAMPLE_RATE

from .output import Pcm

CEILING_DBFS: Final = -1.0
LOOK_AHEAD: Final = 256
"""Samples, 5.3 ms: below what the ear hears as a change of level before the peak."""
RELEASE_DB_PER_S: Final = 60.0
_LOUDEST: Final = 16.0
"""Input is clipped to this: a fault that claims 1e30 must not silence the sound for minutes afterwards."""


class Limiter:
    """Delays by LOOK_AHEAD samples; NaN and infinity are silence."""

    delay = LOOK_AHEAD
    """Samples from input to output."""

    def __init__(self, ceiling_dbfs: float = CEILING_DBFS, *, channels: int = 1) -> None:
        """Raises ValueError for a ceiling above full scale or not a number."""
        if not -60.0 <= ceiling_dbfs <= 0.0:
            raise ValueError(f"a ceiling of {ceiling_dbfs} dBFS is out of range: -60 to 0")
        self._ceiling = 10 ** (ceiling_dbfs / 20)
        self._rise = RELEASE_DB_PER_S / SAMPLE_RATE
        self._late: Pcm = np.zeros((LOOK_AHEAD, channels), np.float32)
        # The needed gains, in dB and released, of the samples before this block; for one minimum and one mean.
        self._needed: NDArray[np.float64] = np.zeros(2 * LOOK_AHEAD)
        self.reduction_db = 0.0
        """The strongest reduction in the last block, dB, positive."""

    def process(self, pcm: Pcm) -> Pcm:
        """The block LOOK_AHEAD samples before, limited; (frames, channels)."""
        clean, peak = _finite(pcm)
        if clean.shape[1] != self._late.shape[1]:
            self._late = np.repeat(self._late.mean(axis=1, keepdims=True), clean.shape[1], axis=1)
        joined = np.concatenate((self._late, clean))
        self._late, sound = joined[len(clean) :], joined[: len(clean)]
        if peak <= self._ceiling and not self._needed.any():
            self.reduction_db = 0.0
            return sound
        gains = self._gains(clean)
        self.reduction_db = -float(gains.min(initial=0.0))
        limited = sound * (10 ** (gains / 20)).astype(np.float32)[:, None]
        # Rounding to float32 may leave a sample a millionth above.
        return np.asarray(np.clip(limited, -self._ceiling, self._ceiling), np.float32)

    def _gains(self, clean: Pcm) -> NDArray[np.float64]:
        """The gain of every output sample of the block, dB, not above 0."""
        loudest = np.abs(clean).max(axis=1).astype(np.float64)
        wanted = -20 * np.log10(np.maximum(loudest / self._ceiling, 1.0))
        # gain[n] = min(wanted[n], gain[n-1] + rise) is a running minimum of wanted[n] - n * rise.
        slope = self._rise * np.arange(1, len(wanted) + 1)
        started = np.minimum.accumulate(np.concatenate((self._needed[-1:], wanted - slope)))[1:]
        released = np.minimum(started + slope, 0.0)
        history = np.concatenate((self._needed, released))
        self._needed = history[len(released) :]
        return _mean(_minimum(history, LOOK_AHEAD + 1), LOOK_AHEAD)[-len(wanted) :]


def _finite(pcm: Pcm) -> tuple[Pcm, float]:
    """The block with silence where it was no number, not beyond ±_LOUDEST; and its largest magnitude."""
    if not pcm.size:
        return pcm, 0.0
    # The largest of anything and NaN is NaN, for which no comparison holds.
    low, high = float(pcm.min()), float(pcm.max())
    if low >= -_LOUDEST and high <= _LOUDEST:
        return pcm, max(-low, high)
    clean = np.clip(np.nan_to_num(pcm, nan=0.0, posinf=0.0, neginf=0.0), -_LOUDEST, _LOUDEST)
    return clean, float(np.abs(clean).max())


def _minimum(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """The least of each `width` neighbours; shorter by width - 1. By doubling: log2(width) passes."""
    reach = 1
    while 2 * reach <= width:
        values = np.minimum(values[:-reach], values[reach:])
        reach *= 2
    rest = width - reach
    return np.minimum(values[:-rest], values[rest:]) if rest else values


def _mean(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """The mean of each `width` neighbours, by running sums; shorter by width - 1."""
    sums = np.concatenate(([0.0], np.cumsum(values)))
    return (sums[width:] - sums[:-width]) / width

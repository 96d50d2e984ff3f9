"""A resampler whose ratio moves by parts per million while it runs: how a receiver's clock error leaves the sound.

On libsoxr's variable-rate engine, see docs/adr/009-variable-rate-resampling.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import soxr
from numpy.typing import NDArray

Pcm = NDArray[np.float32]
"""Samples of shape (samples, channels), full scale ±1, 48 kHz."""

LARGEST_RATIO_ERROR = 0.01
"""How far the ratio may be from 1. The playout needs 0.0005; the engine must stay within one octave."""

# soxr is told the largest ratio that will ever be used. Above 1 it takes, and keeps, its path for ratios of
# 0.5 to 2; created for exactly 1 it would change over (and lose count) whenever the ratio crosses 1.
_LARGEST_RATIO = 2.0
# The engine's position advances by a 32-bit fraction; a ratio on that grid is counted without error.
_GRID = 2.0**32
# The delay of the engine's half-band filter, measured (test_rate.py): each sample comes so many input samples
# later than the engine's count says. This is for speech; it grows by 0.1 until 7 kHz and by 1.0 until 19 kHz.
_FILTER_DELAY = 1.615
# How far the engine looks ahead: it gives the sample at position n once n + 240 and a fraction were read.
_LOOK_AHEAD = 240

LOOK_AHEAD = _LOOK_AHEAD + 2
LOOK_AHEAD_S = LOOK_AHEAD / 48_000
"""So much earlier a sample is read than it is given."""


class VariableRate:
    """Gives exactly as many samples as asked for and reads as many as that takes.

    channels  of the sound
    """

    def __init__(self, channels: int = 1) -> None:
        self.channels = channels
        self._ratio = 1.0
        self._restart()

    def _restart(self) -> None:
        self._engine = soxr.ResampleStream(_LARGEST_RATIO, 1.0, self.channels, dtype="float32", vr=True)
        self._engine.set_io_ratio(self._ratio, 1.0)
        self._ready: Pcm = np.zeros((0, self.channels), np.float32)
        # Input samples read beyond the position of the next sample the engine will make.
        self._ahead = 0.0

    @property
    def ratio(self) -> float:
        """Input samples consumed per output sample, 1 ± LARGEST_RATIO_ERROR; as near as the engine can."""
        return self._ratio

    @ratio.setter
    def ratio(self, ratio: float) -> None:
        if not abs(ratio - 1.0) <= LARGEST_RATIO_ERROR:
            raise ValueError(f"a playout ratio of {ratio} is more than {LARGEST_RATIO_ERROR} from 1")
        nearest = math.floor(ratio * _GRID + 0.5) / _GRID
        if nearest != self._ratio:
            self._ratio = nearest
            self._engine.set_io_ratio(nearest, 1.0)

    def pull(self, frames: int, read: Callable[[int], Pcm]) -> Pcm:
        """The next `frames` samples; calls `read(n)` for exactly n input samples, no or several times.

        Raises ValueError when `read` gives another number than it was asked for.
        """
        parts = [self._ready]
        held = len(self._ready)
        while held < frames:
            made = self._make(frames - held, read)
            parts.append(made)
            held += len(made)
        sound = np.concatenate(parts) if len(parts) > 1 else self._ready
        self._ready = sound[frames:]
        return sound[:frames]

    def _make(self, missing: int, read: Callable[[int], Pcm]) -> Pcm:
        wanted = max(1, math.ceil((missing - 1) * self._ratio + _LOOK_AHEAD - self._ahead) + 1)
        taken = np.ascontiguousarray(read(wanted), np.float32).reshape(-1, self.channels)
        if len(taken) != wanted:
            raise ValueError(f"the resampler asked for {wanted} samples and was given {len(taken)}")
        made: Pcm = self._engine.resample_chunk(taken)
        self._ahead += wanted - len(made) * self._ratio
        return made

    def reach(self, samples: int) -> int:
        """How many frames `pull` can give when it may read `samples` input samples: a lower bound."""
        made = (samples + self._ahead - LOOK_AHEAD) / self._ratio
        return len(self._ready) + max(0, math.floor(made))

    def lead(self) -> float:
        """Input samples read beyond the one that the next output sample plays; a fraction, a few hundred.

        The next sample of `pull` is the input at (samples read so far) - lead(). Before anything was read it is
        negative by the delay of the filter.
        """
        return self._ahead + len(self._ready) * self._ratio + _FILTER_DELAY

    def reset(self) -> None:
        """Forget the sound that was read; the ratio stays."""
        self._restart()

"""The small operators of the selector: gate, cross-fade, pause finder, chime. PCM is float32 (samples, channels)."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from loacodecs.opus import SAMPLE_RATE, Pcm

PAUSE_DBFS: Final = -45.0
PAUSE_S: Final = 0.2
DUCKED: Final = np.float32(10 ** (-12 / 20))
"""What comes early is this soft under the chime."""


def ramp(begin: float, end: float, frames: int) -> NDArray[np.float32]:
    """Gains from `begin` (exclusive) to `end`, shape (frames, 1)."""
    return np.linspace(begin, end, frames + 1, dtype=np.float32)[1:, None]


class Gate:
    """Lets sound through or not, with a soft edge of RAMP_S; closed at first."""

    RAMP_S: Final = 0.25

    def __init__(self) -> None:
        self._gain = 0.0
        self._snap = True

    def snap(self) -> None:
        """Time has leapt: be open or closed at once, next time."""
        self._snap = True

    def apply(self, pcm: Pcm, *, open_: bool) -> Pcm:
        """`pcm` through the gate, which moves towards open or closed."""
        target = 1.0 if open_ else 0.0
        if self._snap:
            self._gain, self._snap = target, False
        if self._gain == target:
            return pcm if open_ else np.zeros_like(pcm)
        step = len(pcm) / (self.RAMP_S * SAMPLE_RATE)
        end = self._gain + (step if open_ else -step)
        # The last block of a ramp reaches its end within the block, so that a gate is closed when it has to be.
        faded: Pcm = pcm * np.clip(ramp(self._gain, end, len(pcm)), 0.0, 1.0)
        self._gain = max(0.0, min(1.0, end))
        return faded


class CrossFade:
    """Equal power between two sounds; `share` of the second goes from 0 to 1 in `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.share = 0.0
        self._seconds = max(seconds, 0.001)

    def mix(self, first: Pcm, second: Pcm | None, *, target: float) -> Pcm:
        """Both, while the share moves towards `target`; a second of None is silence."""
        begin = self.share
        if begin == target == 0.0:
            return first
        if begin == target == 1.0 and second is not None:
            return second
        step = len(first) / (self._seconds * SAMPLE_RATE)
        self.share = min(target, begin + step) if target > begin else max(target, begin - step)
        angle = ramp(begin, self.share, len(first)) * np.float32(math.pi / 2)
        out: Pcm = first * np.cos(angle)
        if second is not None:
            out += second * np.sin(angle)
        return out


class PauseFinder:
    """Finds the gaps between sentences: below PAUSE_DBFS for PAUSE_S."""

    def __init__(self) -> None:
        self._quiet = 0

    def pauses(self, pcm: Pcm) -> bool:
        """Whether a pause has lasted long enough at the end of `pcm`."""
        if not len(pcm):
            return False
        soft = float(np.mean(np.square(pcm))) < 10 ** (PAUSE_DBFS / 10)
        self._quiet = self._quiet + len(pcm) if soft else 0
        return self._quiet >= PAUSE_S * SAMPLE_RATE


class Chime:
    """Two tones before the first sound after a rest of `rest_s`; without PCM it never rings."""

    def __init__(self, pcm: Pcm | None, *, rest_s: float) -> None:
        self._pcm = pcm if pcm is not None and len(pcm) else None
        self._rest_s = rest_s
        self._rested = math.inf
        self._position: int | None = None
        self._gate = Gate()

    @property
    def seconds(self) -> float:
        """How long it rings."""
        return 0.0 if self._pcm is None else len(self._pcm) / SAMPLE_RATE

    @property
    def ringing(self) -> bool:
        return self._position is not None

    def begin(self) -> None:
        """A programme begins: ring, if it was silent long enough and it does not ring already."""
        if self._pcm is not None and self._position is None and self._rested >= self._rest_s:
            self._position = 0
            self._gate.snap()

    def add(self, out: Pcm, *, sounds: bool, open_: bool) -> Pcm:
        """`out` with the chime over it; `sounds` says whether there is anything in `out` but silence."""
        if self._pcm is None:
            return out
        if self._position is None:
            self._rested = 0.0 if sounds else self._rested + len(out) / SAMPLE_RATE
            return out
        self._rested = 0.0
        piece = np.zeros_like(out)
        part = self._pcm[self._position : self._position + len(out)]
        piece[: len(part)] = part
        self._position += len(out)
        if self._position >= len(self._pcm):
            self._position = None
        mixed: Pcm = out * DUCKED + self._gate.apply(piece, open_=open_)
        return mixed

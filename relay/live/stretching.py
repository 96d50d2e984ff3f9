"""Sound a little longer or shorter at the same pitch: a period is laid over the next one.

As NetEq and WSOLA do it: find the lag at which the sound is most like itself, cross-fade from one copy to the other.
Pieces are float32 (samples, channels).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Pcm = NDArray[np.float32]

SHORTEST: Final = 120
"""Samples of lag: 2.5 ms, 400 Hz."""
LONGEST: Final = 480
"""10 ms, 100 Hz; a stretch of twice that, one block, is needed to find it."""
NEEDED: Final = 2 * LONGEST
NEARLY: Final = 0.98
"""Of lags that are nearly as good as the best the longest is taken: the fewer joints there have to be."""
_COARSE: Final = 4
"""The lag is looked for in every fourth sample first."""


def shortened(pcm: Pcm, most: int) -> Pcm:
    """`pcm` (at least NEEDED samples) with one lag of at most `most` samples left out at its beginning."""
    lag = _lag(pcm, min(most, LONGEST))
    if lag is None:
        return pcm
    joint = _crossed(pcm[:lag], pcm[lag : 2 * lag])
    return np.concatenate((joint, pcm[2 * lag :]))


def lengthened(pcm: Pcm) -> Pcm:
    """`pcm` (at least NEEDED samples) with one lag repeated at its beginning."""
    lag = _lag(pcm, LONGEST)
    if lag is None:
        return pcm
    joint = _crossed(pcm[lag : 2 * lag], pcm[:lag])
    return np.concatenate((pcm[:lag], joint, pcm[lag:]))


def _crossed(before: Pcm, after: Pcm) -> Pcm:
    """From one to the other; they are alike, so their amplitudes add."""
    ramp = np.linspace(0, 1, len(before), dtype=np.float32)[:, None]
    return before * (1 - ramp) + after * ramp


def _lag(pcm: Pcm, most: int) -> int | None:
    """The lag from SHORTEST to `most` at which the sound is most like itself; None when there is no room."""
    if most < SHORTEST or len(pcm) < NEEDED:
        return None
    line = pcm[:NEEDED].mean(axis=1, dtype=np.float64)
    coarse = line[::_COARSE]
    found = _best(coarse, SHORTEST // _COARSE, most // _COARSE) * _COARSE
    return _best(line, max(SHORTEST, found - _COARSE), min(most, found + _COARSE))


def _best(line: NDArray[np.float64], least: int, most: int) -> int:
    size = len(line) // 2
    head = line[:size]
    windows = np.lib.stride_tricks.sliding_window_view(line[least : most + size], size)
    likeness = windows @ head / np.sqrt(np.einsum("ij,ij->i", windows, windows) + 1e-9)
    best = likeness.max()
    # at no lag the sound need be like itself, as a tap on a microphone is not
    alike = np.flatnonzero(likeness >= best - (1 - NEARLY) * abs(best))
    return least + int(alike[-1])

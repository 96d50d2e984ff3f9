"""True peaks: the highest points of the waveform between the samples (ITU-R BS.1770-4 annex 2).

A meter computes four points between each sample and the next by the filter that annex 2 prints, 12 taps each; they lie
an eighth, three, five and seven eighths of the way. Who promises never to exceed a ceiling must stand up to other
meters, too: for the limiter the quarters are computed as well, by a longer filter, which makes eight points with the
sample itself.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from scipy import signal

from relay.mixer.block import Block

_OUTER: Final = (
    0.0017089843750, 0.0109863281250, -0.0196533203125, 0.0332031250000, -0.0594482421875, 0.1373291015625,
    0.9721679687500, -0.1022949218750, 0.0476074218750, -0.0266113281250, 0.0148925781250, -0.0083007812500,
)  # fmt: skip
_INNER: Final = (
    -0.0291748046875, 0.0292968750000, -0.0517578125000, 0.0891113281250, -0.1665039062500, 0.4650878906250,
    0.7797851562500, -0.2003173828125, 0.1015625000000, -0.0582275390625, 0.0330810546875, -0.0189208984375,
)  # fmt: skip

ANNEX_2: Final = np.array((_OUTER, _INNER, _INNER[::-1], _OUTER[::-1]), np.float32)
"""(4, 12): the table of annex 2, one line a phase."""

QUARTERS: Final = (
    (4 * signal.firwin(81, 1 / 4, window=("kaiser", 5.0)))[1:].reshape(20, 4).T[:3].astype(np.float32)
)
"""(3, 20): one, two and three quarters of the way, as scipy.signal.resample_poly has them."""

REACH: Final = QUARTERS.shape[1] // 2
"""Points between two samples depend on no more than REACH samples on either side."""

OVERSHOOT: Final = max(float(np.abs(table).sum(axis=1).max()) for table in (ANNEX_2, QUARTERS))
"""No point is higher than the highest of its samples times this (6.9 dB)."""


# x(1/4) and x(3/4) are mirrored: sum and difference of both have half as many different taps each.
_HALF: Final = QUARTERS[1, :REACH].copy()
_EVEN: Final = ((QUARTERS[0] + QUARTERS[2]) / 2)[:REACH].copy()
_ODD: Final = ((QUARTERS[0] - QUARTERS[2]) / 2)[:REACH].copy()


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz", "nnan"})
def annex_2_points(line: Block, start: int, count: int, out: Block) -> None:
    """The largest magnitude at or after each of `count` samples of `line` from `start` on, before the next sample.

    Reads from `start` - REACH + 1 to `start` + count + REACH - 1, which hold no NaN.
    """
    x = line[start - 5 : start + count + 6]
    for t in range(count):
        a = np.float32(0)
        b = np.float32(0)
        c = np.float32(0)
        d = np.float32(0)
        for tap in range(12):
            a += ANNEX_2[0, tap] * x[t + tap]
            b += ANNEX_2[1, tap] * x[t + tap]
            c += ANNEX_2[2, tap] * x[t + tap]
            d += ANNEX_2[3, tap] * x[t + tap]
        out[t] = max(abs(x[t + 5]), max(max(abs(a), abs(b)), max(abs(c), abs(d))))


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz", "nnan"})
def quarter_points(line: Block, start: int, count: int, out: Block) -> None:
    """Raise `out`, what `annex_2_points` found, to the magnitudes at the quarters; reads the same samples."""
    x = line[start - REACH + 1 : start + count + REACH]
    for t in range(count):
        half = np.float32(0)
        even = np.float32(0)
        odd = np.float32(0)
        # one loop for each: the compiler unrolls short ones only
        for tap in range(REACH):
            half += _HALF[tap] * (x[t + tap] + x[t + 2 * REACH - 1 - tap])
        for tap in range(REACH):
            even += _EVEN[tap] * (x[t + tap] + x[t + 2 * REACH - 1 - tap])
        for tap in range(REACH):
            odd += _ODD[tap] * (x[t + tap] - x[t + 2 * REACH - 1 - tap])
        out[t] = max(max(out[t], abs(half)), abs(even) + abs(odd))


@njit(nogil=True, cache=True)
def highest(line: Block, start: int, count: int) -> np.float32:
    """The largest magnitude of `count` samples, which hold no NaN.

    Magnitudes of floating-point numbers are ordered as their bits are, and of integers the compiler takes many at once.
    """
    bits = line[start : start + count].view(np.int32)
    most = np.int32(0)
    for t in range(count):
        most = max(most, bits[t] & np.int32(0x7FFFFFFF))
    return np.int32(most).view(np.float32)

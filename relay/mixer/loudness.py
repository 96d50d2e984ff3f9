"""Loudness of each bus: momentary, short-term, integrated, range, true peak (ITU-R BS.1770-4, EBU Tech 3341, 3342).

The K-weighted power of each block of 20 ms goes to a ring; its last 0.4 s are the momentary, its last 3 s the
short-term loudness, both new with every block. Every 100 ms a momentary value is a gating block of the integrated
loudness and a short-term one a value of the range. Both are kept as histograms of 0.1 LU which hold the sum of the
powers in each bin, so that hours need no more memory than seconds and only the gates are as coarse as a bin.

A mono bus counts as one channel, as BS.1770 has it; the same sound on both channels of a stereo bus is 3 LU louder.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from relay.mixer.block import FRAME, PEAK_LIMIT, SAMPLE_RATE, Block, Rows, dbfs_of
from relay.mixer.k_weighting import OFFSET_LUFS, SILENCE_LUFS, KWeighting, lufs_of
from relay.mixer.sections import Numbers
from relay.mixer.true_peak import OVERSHOOT, REACH, annex_2_points, highest

_BLOCKS_A_SECOND: Final = SAMPLE_RATE // FRAME
_MOMENTARY: Final = _BLOCKS_A_SECOND * 2 // 5
_SHORT_TERM: Final = _BLOCKS_A_SECOND * 3
_STEP: Final = _BLOCKS_A_SECOND // 10
"""Blocks from one gating block to the next: 75 % of each overlaps."""

ABSOLUTE_GATE_LUFS: Final = -70.0
RELATIVE_GATE_LU: Final = -10.0
RANGE_GATE_LU: Final = -20.0
_BINS_A_LU: Final = 10
_BINS: Final = 110 * _BINS_A_LU
"""Up to +40 LUFS; what is louder is in the last bin."""

_MOMENTARIES, _SHORT_TERMS = range(2)
_PAST: Final = 2 * REACH
_STRETCH: Final = 96


class LoudnessMeter:
    """A SoundOperator that changes nothing. Levels in LUFS or dBTP, SILENCE_LUFS at the least, which are finite."""

    def __init__(self, rows: int) -> None:
        self.power = np.zeros(rows)
        """(rows,), by first row: the K-weighted power of a sound's last block, summed over its channels."""
        self._weighting = KWeighting(rows)
        self._channels = np.ones(rows, np.int64)
        self._rows = np.zeros(rows, np.int64)
        self._ring = np.zeros((rows, _SHORT_TERM))
        self._blocks = np.zeros(rows, np.int64)
        # by sound: momentary and short-term power, now and at the most
        self._now = np.zeros((rows, 2))
        self._most = np.zeros((rows, 2))
        # by sound, kind and bin: how many values, and the sum of their powers
        self._counts = np.zeros((rows, 2, _BINS))
        self._powers = np.zeros((rows, 2, _BINS))
        self._lines = np.zeros((rows, _PAST + FRAME), np.float32)
        self._peak = np.zeros(rows)
        self._points = np.zeros(_STRETCH, np.float32)

    def process(self, block: Block, firsts: Rows) -> None:
        """Measure the sounds of `block` (n, FRAME) whose first rows are in `firsts`."""
        rows = self._rows[: _rows_of(firsts, self._channels, self._rows)]
        self._weighting.process(block, rows)
        _gather(
            firsts, self._channels, self._weighting.power, self._ring, self._blocks, self._now, self._most,
            self._counts, self._powers, self.power,
        )  # fmt: skip
        _find_peaks(block, firsts, self._channels, self._lines, self._points, self._peak)

    def reset(self, first: int, channels: int) -> None:
        """A new sound, measured from its beginning."""
        self._channels[first] = channels
        for row in range(first, first + channels):
            self._weighting.reset(row)
            self._lines[row] = 0
        for store in (
            self.power,
            self._ring,
            self._blocks,
            self._now,
            self._most,
            self._counts,
            self._powers,
            self._peak,
        ):
            store[first] = 0

    def momentary(self, first: int) -> float:
        """LUFS of the last 0.4 s."""
        return lufs_of(float(self._now[first, _MOMENTARIES]))

    def short_term(self, first: int) -> float:
        """LUFS of the last 3 s."""
        return lufs_of(float(self._now[first, _SHORT_TERMS]))

    def momentary_max(self, first: int) -> float:
        """The highest momentary loudness since the sound began."""
        return lufs_of(float(self._most[first, _MOMENTARIES]))

    def short_term_max(self, first: int) -> float:
        """The highest short-term loudness since the sound began."""
        return lufs_of(float(self._most[first, _SHORT_TERMS]))

    def true_peak(self, first: int) -> float:
        """The highest true peak of all channels since the sound began, dBTP."""
        return dbfs_of(float(self._peak[first]))

    def integrated(self, first: int) -> float:
        """LUFS since the sound began, gated; SILENCE_LUFS while nothing has passed the gates."""
        counts, powers = self._counts[first, _MOMENTARIES], self._powers[first, _MOMENTARIES]
        passed = _above(counts, powers, RELATIVE_GATE_LU)
        heard = counts[passed].sum()
        return lufs_of(float(powers[passed].sum() / heard)) if heard else SILENCE_LUFS

    def loudness_range(self, first: int) -> float:
        """LU between the 10th and the 95th percentile of the gated short-term loudness; 0 while there is none."""
        counts, powers = self._counts[first, _SHORT_TERMS], self._powers[first, _SHORT_TERMS]
        passed = np.flatnonzero(_above(counts, powers, RANGE_GATE_LU))
        if not passed.size:
            return 0.0
        order = np.cumsum(counts[passed])
        last = order[-1] - 1
        low, high = (passed[np.searchsorted(order, round(last * part), side="right")] for part in (0.1, 0.95))
        return lufs_of(powers[high] / counts[high]) - lufs_of(powers[low] / counts[low])


def _above(counts: Numbers, powers: Numbers, gate_lu: float) -> NDArray[np.bool_]:
    """The bins whose mean is above the relative gate."""
    total = counts.sum()
    gate = powers.sum() / max(total, 1) * 10 ** (gate_lu / 10)
    return np.asarray((counts > 0) & (powers > gate * counts), np.bool_)


@njit(nogil=True, cache=True)
def _rows_of(firsts: Rows, channels: Rows, rows: Rows) -> int:
    """All rows of the sounds to `rows`; returns how many."""
    count = 0
    for first in firsts:
        for row in range(first, first + channels[first]):
            rows[count] = row
            count += 1
    return count


@njit(nogil=True, cache=True)
def _count(power: float, counts: Numbers, powers: Numbers) -> None:
    """One more value, if it passes the absolute gate."""
    if power <= 0.0:
        return
    loudness = OFFSET_LUFS + 10.0 * math.log10(power)
    if loudness > ABSOLUTE_GATE_LUFS:
        at = min(int((loudness - ABSOLUTE_GATE_LUFS) * _BINS_A_LU), _BINS - 1)
        counts[at] += 1.0
        powers[at] += power


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def _mean(ring: Numbers, end: int, count: int) -> float:
    """The mean of the last `count` values before position `end`."""
    total = 0.0
    for at in range(max(end - count, 0), end):
        total += ring[at]
    for at in range(len(ring) + min(end - count, 0), len(ring)):
        total += ring[at]
    return total / count


@njit(nogil=True, cache=True)
def _gather(
    firsts: Rows,
    channels: Rows,
    power: Numbers,
    rings: Numbers,
    blocks: Rows,
    now: Numbers,
    most: Numbers,
    counts: Numbers,
    powers: Numbers,
    whole: Numbers,
) -> None:
    for first in firsts:
        ring = rings[first]
        at = blocks[first] % _SHORT_TERM
        whole[first] = 0.0
        for row in range(first, first + channels[first]):
            whole[first] += power[row]
        ring[at] = whole[first]
        blocks[first] += 1
        for kind in range(2):
            length = _MOMENTARY if kind == _MOMENTARIES else _SHORT_TERM
            now[first, kind] = _mean(ring, at + 1, length)
            most[first, kind] = max(most[first, kind], now[first, kind])
            if blocks[first] >= length and blocks[first] % _STEP == 0:
                _count(now[first, kind], counts[first, kind], powers[first, kind])


@njit(nogil=True, cache=True, fastmath={"contract", "nsz"})
def _append(samples: Block, line: Block) -> None:
    """The block behind the end of the one before, clean."""
    for t in range(_PAST):
        line[t] = line[FRAME + t]
    limit = np.float32(PEAK_LIMIT)
    for t in range(FRAME):
        x = samples[t] if abs(samples[t]) < np.inf else np.float32(0)
        line[_PAST + t] = min(max(x, -limit), limit)


@njit(nogil=True, cache=True)
def _find_peaks(
    block: Block, firsts: Rows, channels: Rows, lines: Block, points: Block, peak: Numbers
) -> None:
    """Nothing is interpolated that cannot be higher than what there has been."""
    for first in firsts:
        for row in range(first, first + channels[first]):
            line = lines[row]
            _append(block[row], line)
            for start in range(REACH, REACH + FRAME, _STRETCH):
                most = highest(line, start - REACH + 1, _STRETCH + 2 * REACH - 1)
                if most * OVERSHOOT > peak[first]:
                    annex_2_points(line, start, _STRETCH, points)
                    peak[first] = max(peak[first], highest(points, 0, _STRETCH))

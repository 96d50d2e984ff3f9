"""Makeup: gives back slowly, in front of the limiter, the loudness that the limiter takes behind the leveller.

The same 0.4 s are measured as the leveller gave them and as they left the limiter, K-weighted as by ITU-R BS.1770-4,
ten times a second. What passes the gate goes into two means of some seconds, and the gain moves until the second is
as loud as the first: then the loudness at which the leveller aims is that which is heard. It goes no further than that,
nor on behalf of what the leveller itself has not brought down yet, so that a loud sound has it go back. It moves too
slowly for an ear to follow, and stands while nothing passes the gate. Only music without peaks that follows speech of
many would be much too loud for long: what is so for a second without a moment's rest, as speech is not, has it fall.

The gate is a fixed one, RELATIVE_GATE_LU below the target: that is where the relative gate of levelled sound is. What
stays below it for good, since the leveller cannot lift it any higher, has no peaks of which the limiter takes much.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import njit

from relay.mixer.block import FRAME, SAMPLE_RATE, Block, Rows
from relay.mixer.k_weighting import power_of
from relay.mixer.leveller import TARGET_LUFS
from relay.mixer.loudness import RELATIVE_GATE_LU
from relay.mixer.ramp import draw
from relay.mixer.sections import Numbers

MOST_GAIN_DB: Final = 12.0
"""As much as speech needs whose peaks are 20 dB above its loudness, in front of the lowest ceilings."""
WINDOW_S: Final = 3.0
"""What was so long ago counts 37 % of what is now."""
APPROACH_S: Final = 3.0
"""The gain moves by what is missing in this time, if a dB more is a LU more; of speech of high peaks it is a third."""
RATE_DB_PER_S: Final = 0.33
"""At the most: less than 1 dB in 3 s."""
BEGIN_S: Final = 10.0
BEGIN_DB_PER_S: Final = 1.0
"""Upwards, until so much of a sound has passed the gate: the leveller is on its way then, too."""
MUCH_LOUDER_LU: Final = 2.0
MUCH_LOUDER_S: Final = 1.0
FALL_DB_PER_S: Final = 3.0
"""Downwards, while what leaves the limiter has been so much above the target for so long without a break."""
LOUDER_LU: Final = 1.0
"""So much above the target the leveller is not done with a sound: beyond that nothing is given back."""

_BLOCK_S: Final = FRAME / SAMPLE_RATE
_STEP_S: Final = 0.1
_MOMENTARY: Final = round(0.4 / _BLOCK_S)
_STEP: Final = round(_STEP_S / _BLOCK_S)
_BEGIN: Final = round(BEGIN_S / _STEP_S)
_LOUD_FOR: Final = round(MUCH_LOUDER_S / _STEP_S)
_GATE: Final = power_of(TARGET_LUFS + RELATIVE_GATE_LU)
_LOUDEST: Final = power_of(TARGET_LUFS + LOUDER_LU)
_MUCH_LOUDER: Final = power_of(TARGET_LUFS + MUCH_LOUDER_LU)
_WEIGHT: Final = 1 - math.exp(-_STEP_S / WINDOW_S)
_BEFORE, _AFTER = range(2)
_BLOCKS, _HEARD, _LOUD = range(3)


class Makeup:
    """A SoundOperator without delay, off until switched on; the channels of a sound get the same gain."""

    def __init__(self, rows: int, before: Numbers, after: Numbers) -> None:
        """For levelled sounds, which a limiter follows.

        `before` and `after` (rows,), by first row: K-weighted power of a sound's last block, as summed over its
        channels, out of the leveller (of the block that comes now) and out of the limiter (of the one that came last).
        """
        self._before = before
        self._after = after
        self._channels = np.ones(rows, np.int64)
        self._on = np.zeros(rows, np.bool_)
        self._given = np.zeros(rows)
        self._rings = np.zeros((rows, 2, _MOMENTARY))
        self._counts = np.zeros((rows, 3), np.int64)
        self._means = np.zeros((rows, 2))
        self._rates = np.zeros(rows)
        self._gains = np.zeros(rows)

    def switch(self, first: int, on: bool) -> None:
        """Give back to a sound from the next block on, or let its gain go back to 1 slowly."""
        self._on[first] = on

    def reset(self, first: int, channels: int) -> None:
        """A new sound, of which nothing is known to be missing: gain 1. It stays switched as it is."""
        self._channels[first] = channels
        for store in (self._given, self._rings, self._counts, self._means, self._rates, self._gains):
            store[first] = 0

    def gain_db(self, first: int) -> float:
        """The gain at the end of the last block, 0 to MOST_GAIN_DB."""
        return float(self._gains[first])

    def process(self, block: Block, firsts: Rows) -> None:
        """Raise in place the sounds of `block` (n, FRAME) whose first rows are in `firsts`."""
        _process(
            block, firsts, self._channels, self._on, self._before, self._after, self._given, self._rings,
            self._counts, self._means, self._rates, self._gains,
        )  # fmt: skip


@njit(nogil=True, cache=True)
def _hear(ring: Numbers, counts: Rows, means: Numbers) -> float:
    """The last 0.4 s to the means, if they pass the gate; returns how fast the gain is to move, dB a second."""
    before, after = ring[_BEFORE].sum() / _MOMENTARY, ring[_AFTER].sum() / _MOMENTARY
    counts[_LOUD] = counts[_LOUD] + 1 if after > _MUCH_LOUDER else 0
    if before <= _GATE or after <= 0.0:
        return 0.0
    counts[_HEARD] += 1
    weight = max(1.0 / counts[_HEARD], _WEIGHT)
    means[_BEFORE] += (before - means[_BEFORE]) * weight
    means[_AFTER] += (after - means[_AFTER]) * weight
    if counts[_LOUD] >= _LOUD_FOR:
        return -FALL_DB_PER_S
    missing: float = 10.0 * math.log10(min(means[_BEFORE], _LOUDEST) / means[_AFTER])
    rise = BEGIN_DB_PER_S if counts[_HEARD] <= _BEGIN else RATE_DB_PER_S
    return min(max(missing / APPROACH_S, -RATE_DB_PER_S), rise)


@njit(nogil=True, cache=True)
def _rate(given: float, after: float, ring: Numbers, counts: Rows, means: Numbers, rate: float) -> float:
    """How fast the gain moves from now on, dB a second: `rate` unless a value of the momentary loudness is due.

    The last block was `given` by the leveller and came out of the limiter as `after`.
    """
    pairs = counts[_BLOCKS]
    counts[_BLOCKS] += 1
    if pairs == 0:  # nothing has been through both yet
        return 0.0
    ring[_BEFORE, pairs % _MOMENTARY] = given
    ring[_AFTER, pairs % _MOMENTARY] = after
    if pairs < _MOMENTARY or pairs % _STEP != 0:
        return rate
    return float(_hear(ring, counts, means))


@njit(nogil=True, cache=True)
def _process(
    block: Block,
    firsts: Rows,
    channels: Rows,
    on: Rows,
    before: Numbers,
    after: Numbers,
    given: Numbers,
    rings: Numbers,
    counts: Rows,
    means: Numbers,
    rates: Numbers,
    gains: Numbers,
) -> None:
    for first in firsts:
        gain = gains[first]
        if on[first]:
            rates[first] = _rate(
                given[first], after[first], rings[first], counts[first], means[first], rates[first]
            )
        else:
            counts[first] = 0
            rates[first] = -RATE_DB_PER_S
        given[first] = before[first]
        gains[first] = min(max(gain + rates[first] * _BLOCK_S, 0.0), MOST_GAIN_DB)
        if gain != 0.0 or gains[first] != 0.0:
            for row in range(first, first + channels[first]):
                draw(block[row], 10.0 ** (gain / 20.0), 10.0 ** (gains[first] / 20.0))

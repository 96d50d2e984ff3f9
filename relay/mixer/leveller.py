"""A slow leveller: brings speech and programme of any level to the same loudness, and leaves pauses alone.

What comes in is measured as by ITU-R BS.1770-4: values of the momentary loudness, ten times a second, go through an
absolute and a relative gate into a window, which holds the last WINDOW_S of them. The gain moves towards what their
mean lacks, a few decibels a second, in straight lines from block to block. In silence nothing enters the window and
the gain stands.

Three things would fool a window. A sound that breaks in loudly would be too loud until it fills it; so what is heard
now counts as soon as it is much louder than the window says. Music that is somewhat louder than the speech before it
would be so for as long; so what was louder for a whole second without a moment's rest counts as well, which speech
after speech of its own level never is. And who begins to speak much lower would never pass the
relative gate; so what is below it waits outside, and when it has come to as much as a window it becomes the window.
The noise of a long pause waits there too, but it does not become the window, because its level does not move as that
of speech does.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import njit

from loacodecs.errors import ConfigurationError
from relay.mixer.block import FRAME, SAMPLE_RATE, Block, Rows
from relay.mixer.k_weighting import OFFSET_LUFS, SILENCE_LUFS, KWeighting, power_of
from relay.mixer.loudness import RELATIVE_GATE_LU
from relay.mixer.ramp import draw
from relay.mixer.sections import Numbers

TARGET_LUFS: Final = -18.0
MOST_GAIN_DB: Final = 24.0
LEAST_GAIN_DB: Final = -24.0
GATE_LUFS: Final = -55.0
"""Momentary loudness below which there is silence: programme of -40 LUFS still has its pauses between words above."""
WINDOW_S: Final = 8.0
RISE_DB_PER_S: Final = 4.0
FALL_DB_PER_S: Final = 8.0
DIVE_DB_PER_S: Final = 60.0
"""Downwards, while it is much too loud."""
APPROACH_S: Final = 1.0
"""Close to its aim the gain approaches it by 63 % in this time."""
BURST_LU: Final = 8.0
"""So much above the window the momentary loudness counts at once: more than the syllables of speech reach."""
LOUDER_LU: Final = 1.5
LOUDER_S: Final = 1.0
"""What was so much above the window for so long without a break is the loudness now."""
PATIENCE: Final = 2
"""What passes the relative gate sends so many away of those that wait: few words of who speaks lower pass it."""
STEADY_LU: Final = 1.5
"""Standard deviation of the momentary loudness below which a quiet sound is the noise of a pause."""

_BLOCK_S: Final = FRAME / SAMPLE_RATE
_MOMENTARY: Final = round(0.4 / _BLOCK_S)
_STEP: Final = round(0.1 / _BLOCK_S)
_VALUES: Final = round(WINDOW_S / 0.1)
_LATEST: Final = round(LOUDER_S / 0.1)
_GATE: Final = power_of(GATE_LUFS)
_RELATIVE: Final = 10 ** (RELATIVE_GATE_LU / 10)
_BURST: Final = 10 ** (-BURST_LU / 10)
_LOUDER: Final = 10 ** (LOUDER_LU / 10)
_GAIN, _LOUDNESS = range(2)
_BLOCKS, _HEARD, _WAITING = range(3)


class Leveller:
    """A SoundOperator without delay, off until switched on; the channels of a sound get the same gain."""

    def __init__(self, rows: int, target_lufs: float = TARGET_LUFS) -> None:
        """Raises ConfigurationError for a target that is none."""
        if not -40 <= target_lufs <= -6:
            raise ConfigurationError(f"a loudness of {target_lufs} LUFS is out of range: -40 to -6")
        self._target = target_lufs
        self.power = np.zeros(rows)
        """(rows,), by first row: the K-weighted power of what it gave of a sound's last block, summed over channels."""
        self._weighting = KWeighting(rows)
        self._channels = np.ones(rows, np.int64)
        self._on = np.zeros(rows, np.bool_)
        self._rows = np.zeros(rows, np.int64)
        self._chosen = np.zeros(rows, np.int64)
        self._ring = np.zeros((rows, _MOMENTARY))
        self._latest = np.zeros((rows, _LATEST))
        # the window, and what waits outside
        self._windows = np.zeros((rows, 2, _VALUES))
        self._counts = np.zeros((rows, 3), np.int64)
        self._state = np.zeros((rows, 2))

    def switch(self, first: int, on: bool) -> None:
        """Level a sound from the next block on, or let its gain go back to 1 slowly."""
        self._on[first] = on

    def reset(self, first: int, channels: int) -> None:
        """A new sound of unknown loudness: gain 1. It stays switched as it is."""
        self._channels[first] = channels
        for row in range(first, first + channels):
            self._weighting.reset(row)
        for store in (self.power, self._ring, self._latest, self._windows, self._counts, self._state):
            store[first] = 0

    def gain_db(self, first: int) -> float:
        """The gain at the end of the last block."""
        return float(self._state[first, _GAIN])

    def loudness(self, first: int) -> float:
        """What comes in, LUFS; SILENCE_LUFS while nothing is known."""
        return float(self._state[first, _LOUDNESS]) if self._counts[first, _HEARD] else SILENCE_LUFS

    def process(self, block: Block, firsts: Rows) -> None:
        """Level in place the sounds of `block` (n, FRAME) whose first rows are in `firsts` and which are on."""
        chosen, rows = _choose(firsts, self._channels, self._on, self._state, self._chosen, self._rows)
        if chosen:
            self._weighting.process(block, self._rows[:rows])
            _process(
                block, self._chosen[:chosen], self._channels, self._on, self._weighting.power, self._ring,
                self._latest, self._windows, self._counts, self._state, self.power, self._target,
            )  # fmt: skip


@njit(nogil=True, cache=True)
def _choose(
    firsts: Rows, channels: Rows, on: Rows, state: Numbers, chosen: Rows, rows: Rows
) -> tuple[int, int]:
    """The sounds that are on, or not back at a gain of 1, and their rows; returns how many of each."""
    sounds, count = 0, 0
    for first in firsts:
        if on[first] or state[first, _GAIN] != 0.0:
            chosen[sounds] = first
            sounds += 1
            for row in range(first, first + channels[first]):
                rows[count] = row
                count += 1
    return sounds, count


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def _mean(window: Numbers, heard: int) -> float:
    """The mean power of the window, which `heard` values have entered."""
    count = min(heard, _VALUES)
    total = 0.0
    for at in range(count):
        total += window[at]
    return total / count


@njit(nogil=True, cache=True)
def _is_steady(values: Numbers) -> bool:
    """Whether levels keep still as those of noise do."""
    total, squares = 0.0, 0.0
    for value in values:
        level = 10.0 * math.log10(value)
        total += level
        squares += level * level
    mean = total / len(values)
    return squares / len(values) - mean * mean < STEADY_LU * STEADY_LU


@njit(nogil=True, cache=True)
def _hear(power: float, windows: Numbers, counts: Rows) -> None:
    """One momentary value, which is no silence, to the window or to what waits."""
    window, waiting = windows[0], windows[1]
    heard = counts[_HEARD]
    if heard == 0 or power > _mean(window, heard) * _RELATIVE:
        window[heard % _VALUES] = power
        counts[_HEARD] += 1
        counts[_WAITING] = max(counts[_WAITING] - PATIENCE, 0)
        return
    waiting[counts[_WAITING]] = power
    counts[_WAITING] += 1
    if counts[_WAITING] == _VALUES:
        counts[_WAITING] = 0
        if not _is_steady(waiting):
            window[:] = waiting
            counts[_HEARD] = _VALUES


@njit(nogil=True, cache=True)
def _aim(
    momentary: float, latest: Numbers, windows: Numbers, counts: Rows, state: Numbers, target: float
) -> tuple[float, float]:
    """The gain to go to, dB, and the fastest way down, dB a second."""
    if counts[_HEARD] == 0 or momentary < _GATE:
        return state[_GAIN], FALL_DB_PER_S
    power = _mean(windows[0], counts[_HEARD])
    fall = FALL_DB_PER_S
    steady = latest.min()
    if steady > power * _LOUDER:
        power = steady
    if momentary * _BURST > power:
        power, fall = momentary * _BURST, DIVE_DB_PER_S
    state[_LOUDNESS] = OFFSET_LUFS + 10.0 * math.log10(power)
    return min(max(target - state[_LOUDNESS], LEAST_GAIN_DB), MOST_GAIN_DB), fall


@njit(nogil=True, cache=True)
def _process(
    block: Block,
    firsts: Rows,
    channels: Rows,
    on: Rows,
    power: Numbers,
    rings: Numbers,
    latest: Numbers,
    windows: Numbers,
    counts: Rows,
    state: Numbers,
    given: Numbers,
    target: float,
) -> None:
    for first in firsts:
        ring, count = rings[first], counts[first]
        at = count[_BLOCKS] % _MOMENTARY
        ring[at] = 0.0
        for row in range(first, first + channels[first]):
            ring[at] += power[row]
        count[_BLOCKS] += 1
        momentary = ring.sum() / _MOMENTARY
        if count[_BLOCKS] % _STEP == 0:
            latest[first, count[_BLOCKS] // _STEP % _LATEST] = momentary
            if count[_BLOCKS] >= _MOMENTARY and momentary > _GATE:
                _hear(momentary, windows[first], count)
        aim, fall = _aim(momentary, latest[first], windows[first], count, state[first], target)
        if not on[first]:
            aim, fall = 0.0, FALL_DB_PER_S
        gain = state[first, _GAIN]
        way = (aim - gain) * (_BLOCK_S / APPROACH_S)
        way = min(
            max(way if fall == FALL_DB_PER_S else aim - gain, -fall * _BLOCK_S), RISE_DB_PER_S * _BLOCK_S
        )
        after = aim if abs(aim - gain) < 1e-3 else gain + way
        state[first, _GAIN] = after
        begin, end = 10.0 ** (gain / 20.0), 10.0 ** (after / 20.0)
        given[first] = ring[at] * (begin * begin + begin * end + end * end) / 3.0
        if gain != 0.0 or after != 0.0:
            for row in range(first, first + channels[first]):
                draw(block[row], begin, end)

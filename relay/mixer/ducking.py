"""Ducking: while an announcement speaks, the programme steps back, and returns when it is over.

The keys are looked at before the block is mixed, so the programme goes down with the very sample at which the
announcement begins, not a block later. The gain moves evenly in dB: from 0 to `depth_db` within the attack, back within
the release.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from loacodecs.errors import ConfigurationError
from relay.mixer.block import FRAME, SAMPLE_RATE, Block, Rows, gain_of
from relay.mixer.meter import peak_of

_Mask = NDArray[np.bool_]
_GAIN, _FLOOR, _DOWN, _UP, _THRESHOLD = range(5)
_HOLD, _LEFT, _HELD = range(3)
_STRETCH = 60


@dataclass(frozen=True, slots=True)
class DuckSettings:
    """Peak of the keys above which the programme goes down, how far, and how fast.

    The hold counts from the last such peak.
    """

    depth_db: float = -15.0
    threshold_dbfs: float = -40.0
    attack_s: float = 0.05
    hold_s: float = 0.5
    release_s: float = 0.8

    def __post_init__(self) -> None:
        """Raises ConfigurationError for what is no ducking."""
        if not (-120 <= self.depth_db <= 0 and -120 <= self.threshold_dbfs <= 0):
            raise ConfigurationError("ducking: depth and threshold must be -120 to 0 dB")
        if not all(0 <= time <= 60 for time in (self.attack_s, self.hold_s, self.release_s)):
            raise ConfigurationError("ducking: attack, hold and release must be 0 to 60 s")


class Ducking:
    """Gain curves of `rules` rules, each with keys among `inputs` rows.

    `curves` (rules, FRAME) float32 are those of the last block; where `even[rule]` is true the curve is 1 throughout
    and has not been written.
    """

    def __init__(self, rules: int, inputs: int) -> None:
        self.curves = np.ones((rules, FRAME), np.float32)
        self.even = np.ones(rules, np.bool_)
        self._keys = np.zeros((rules, inputs), np.bool_)
        self._state = np.ones((rules, 5))
        self._counts = np.zeros((rules, 3), np.int64)
        for rule in range(rules):
            self.set(rule, DuckSettings())

    def set(self, rule: int, settings: DuckSettings) -> None:
        """Take other settings from the next block on; the gain goes on from where it is."""
        depth = gain_of(settings.depth_db)
        state, counts = self._state[rule], self._counts[rule]
        state[_FLOOR] = depth
        state[_DOWN] = _step(settings.depth_db, settings.attack_s)
        release = _step(settings.depth_db, settings.release_s)
        state[_UP] = 1 / release if release else np.inf
        state[_THRESHOLD] = gain_of(settings.threshold_dbfs)
        counts[_HOLD] = round(settings.hold_s * SAMPLE_RATE)

    def key(self, rule: int, row: int, is_key: bool) -> None:
        """Whether the sound of an input row brings the programme down."""
        self._keys[rule, row] = is_key

    def hold(self, rule: int, held: bool) -> None:
        """Keep the programme down whatever the keys do, or leave it to them."""
        self._counts[rule, _HELD] = held

    def reset(self, rule: int) -> None:
        """No keys, no gain, default settings."""
        self._keys[rule] = False
        self._counts[rule] = 0
        self._state[rule, _GAIN] = 1.0
        self.even[rule] = True
        self.set(rule, DuckSettings())

    def process(self, block: Block, rows: Rows, rules: Rows) -> None:
        """Write the curves of `rules` for input rows `block` (inputs, FRAME), of which only `rows` sound."""
        _process(block, rows, rules, self._keys, self._state, self._counts, self.curves, self.even)

    def gain(self, rule: int) -> float:
        """The factor at the end of the last block."""
        return float(self._state[rule, _GAIN])


def _step(depth_db: float, seconds: float) -> float:
    """The factor of one sample that leads to `depth_db` in that time; 0 for at once."""
    samples = seconds * SAMPLE_RATE
    return float(10 ** (depth_db / 20 / samples)) if samples >= 1 else 0.0


@njit(nogil=True, cache=True)
def _process(
    block: Block,
    rows: Rows,
    rules: Rows,
    keys: _Mask,
    states: NDArray[np.float64],
    counts: Rows,
    curves: Block,
    even: _Mask,
) -> None:
    for rule in rules:
        state, count, curve = states[rule], counts[rule], curves[rule]
        peak = _envelope(block, rows, keys[rule], curve)
        resting = state[_GAIN] == 1.0 and count[_LEFT] == 0 and count[_HELD] == 0
        even[rule] = resting and peak <= state[_THRESHOLD]
        if not even[rule]:
            if peak == 0.0:
                curve[:] = np.float32(0)
            _follow(state, count, curve)


@njit(nogil=True, cache=True)
def _envelope(block: Block, rows: Rows, keys: _Mask, out: Block) -> float:
    """The highest of the keys' magnitudes at each sample; returns the highest of all, and writes none if it is 0."""
    found = False
    for row in rows:
        if not keys[row]:
            continue
        line = block[row]
        if not found:
            for t in range(FRAME):
                out[t] = abs(line[t])
        else:
            for t in range(FRAME):
                size = abs(line[t])
                out[t] = size if size > out[t] else out[t]
        found = True
    return peak_of(out) if found else 0.0


@njit(nogil=True, cache=True)
def _follow(state: NDArray[np.float64], count: Rows, curve: Block) -> None:
    """From magnitudes to gains, in place, a stretch at a time: most of them are spent at rest or all the way down."""
    for start in range(0, FRAME, _STRETCH):
        stretch = curve[start : start + _STRETCH]
        last = _last_above(stretch, np.float32(state[_THRESHOLD]))
        if state[_GAIN] == state[_FLOOR] and (count[_HELD] or count[_LEFT] >= _STRETCH):
            stretch[:] = np.float32(state[_FLOOR])
            if count[_HELD] or last >= 0:
                count[_LEFT] = max(count[_HOLD] - (0 if count[_HELD] else _STRETCH - 1 - last), 0)
            else:
                count[_LEFT] -= _STRETCH
        elif state[_GAIN] == 1.0 and count[_LEFT] == 0 and count[_HELD] == 0 and last < 0:
            stretch[:] = np.float32(1)
        else:
            _walk(state, count, stretch)


@njit(nogil=True, cache=True)
def _last_above(stretch: Block, threshold: float) -> int:
    last = -1
    for t in range(len(stretch)):
        last = t if stretch[t] > threshold else last
    return last


@njit(nogil=True, cache=True)
def _walk(state: NDArray[np.float64], count: Rows, curve: Block) -> None:
    """Sample by sample."""
    gain, floor, down, up, threshold = (
        state[_GAIN],
        state[_FLOOR],
        state[_DOWN],
        state[_UP],
        state[_THRESHOLD],
    )
    hold, left, held = count[_HOLD], count[_LEFT], count[_HELD]
    for t in range(len(curve)):
        target = 1.0
        if curve[t] > threshold or held:
            left = hold
            target = floor
        elif left > 0:
            left -= 1
            target = floor
        if gain > target:
            gain = max(gain * down, target)
        elif gain < target:
            gain = min(gain * up, target)
        curve[t] = gain
    state[_GAIN] = gain
    count[_LEFT] = left

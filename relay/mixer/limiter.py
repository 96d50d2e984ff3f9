"""A look-ahead true-peak limiter: no peak above the ceiling, nothing changed that stays below it.

The gain moves in steps of GROUP samples, straight lines between. Each group of samples needs a gain, given by its
true peak (`true_peak`). That gain is kept for HOLD_S, so that it stands still between the peaks of a steady sound, and
then lets go. It is reached before the peak comes and kept until the interpolating filter has left it behind: the least
of what is needed over the look-ahead, rounded by a window that is a little shorter, is at the peak just what is needed.
The gain stands still where the peak is, so the peak between the samples is turned down by it as the samples are.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from loacodecs.errors import ConfigurationError
from relay.mixer.block import CEILING_DBTP, FRAME, PEAK_LIMIT, SAMPLE_RATE, Block, Rows, gain_of
from relay.mixer.sections import Numbers
from relay.mixer.true_peak import OVERSHOOT, REACH, annex_2_points, highest, quarter_points

MARGIN_DB: Final = 0.05
"""The gain aims at this much below the ceiling: room for peaks that arise because the gain moves."""
LATENCY: Final = 128
"""Samples from input to output: 2.7 ms."""
HOLD_S: Final = 0.025
"""Half a period of 20 Hz."""
RELEASE_S: Final = 0.15
"""In this time the gain comes back to 1 by 63 %."""

GROUP: Final = 8
_GROUPS: Final = FRAME // GROUP
_KNOWN: Final = 3
"""Groups at the end of the line whose peaks need samples to come."""
_AHEAD: Final = LATENCY // GROUP - _KNOWN + 1
_GUARD: Final = 2
"""Groups before and after its own for which a peak's gain is kept."""
_REACH: Final = _AHEAD + _GUARD
_WINDOW: Final = np.hanning(_AHEAD - _GUARD + 2)[1:-1] / np.hanning(_AHEAD - _GUARD + 2).sum()
_NEEDS: Final = _GROUPS + 2 * _AHEAD
_PAST: Final = LATENCY + GROUP
"""Samples of the line before the block: what is not out yet, and what the first group's filter reaches back to."""
_STRETCH: Final = 8
"""Groups looked at together: if their samples are low enough, nothing is interpolated."""
_SAME: Final = 1.02
"""A peak this close to the held one keeps it held."""
_HOLD_GROUPS: Final = round(HOLD_S * SAMPLE_RATE / GROUP)
_RELEASE: Final = 1 - float(np.exp(-GROUP / SAMPLE_RATE / RELEASE_S))

_HELD, _LEAST = range(2)


class Limiter:
    """A SoundOperator that delays by LATENCY samples; each sound has its ceiling, and its channels get the same gain.

    NaN and infinity are silence, and what is beyond PEAK_LIMIT is clipped to it.
    """

    latency = LATENCY
    """Samples from input to output."""

    def __init__(self, rows: int, ceiling_dbtp: float = CEILING_DBTP) -> None:
        """`ceiling_dbtp` is that of all sounds until `ceiling` says otherwise.

        Raises ConfigurationError for one above full scale.
        """
        self._aims = np.full(rows, _aim(ceiling_dbtp))
        self._channels = np.ones(rows, np.int64)
        self._lines = np.zeros((rows, _PAST + FRAME), np.float32)
        self._needs = np.ones((rows, _NEEDS))
        self._state = np.ones((rows, 2))
        self._hold = np.zeros(rows, np.int64)
        self._work = (
            np.zeros(FRAME + _STRETCH * GROUP, np.float32),
            np.zeros(_GROUPS),
            np.zeros(_NEEDS),
            np.zeros(_GROUPS + 1),
        )

    def ceiling(self, first: int, dbtp: float) -> None:
        """Another ceiling for a sound, for what comes in from the next block on.

        What has come in goes out under the one before. Raises ConfigurationError as the constructor does.
        """
        self._aims[first] = _aim(dbtp)

    def reset(self, first: int, channels: int) -> None:
        """A new sound: silence before it, full gain. Its ceiling stays."""
        self._channels[first] = channels
        self._lines[first : first + channels] = 0
        self._needs[first] = self._state[first] = 1
        self._hold[first] = 0

    def process(self, block: Block, firsts: Rows) -> None:
        """Limit the sounds of `block` (n, FRAME) whose first rows are in `firsts`, in place, LATENCY later."""
        _process(
            block, firsts, self._channels, self._lines, self._needs, self._state, self._hold, self._aims,
            *self._work,
        )  # fmt: skip

    def reduction_db(self, first: int) -> float:
        """The strongest reduction in the last block of a sound, dB, positive."""
        return -20.0 * float(np.log10(self._state[first, _LEAST]))


def _aim(ceiling_dbtp: float) -> float:
    if not -60.0 <= ceiling_dbtp <= 0.0:
        raise ConfigurationError(f"a ceiling of {ceiling_dbtp} dBTP is out of range: -60 to 0")
    return gain_of(ceiling_dbtp - MARGIN_DB)


@njit(nogil=True, cache=True, fastmath={"contract", "nsz"})
def _take(samples: Block, line: Block) -> None:
    """The block to the end of the line, clean."""
    limit = np.float32(PEAK_LIMIT)
    for t in range(FRAME):
        x = samples[t]
        x = x if abs(x) < np.inf else np.float32(0)
        line[_PAST + t] = min(max(x, -limit), limit)


@njit(nogil=True, cache=True)
def _peaks(line: Block, aim: float, peaks: Numbers, scratch: Block) -> None:
    """Raise `peaks` of the groups that can be known now to those of one channel, if they matter."""
    begin = _PAST - _KNOWN * GROUP
    for stretch in range(0, _GROUPS, _STRETCH):
        start = begin + stretch * GROUP
        if highest(line, start - REACH + 1, _STRETCH * GROUP + 2 * REACH - 1) * OVERSHOOT > aim:
            annex_2_points(line, start, _STRETCH * GROUP, scratch)
            quarter_points(line, start, _STRETCH * GROUP, scratch)
            for group in range(_STRETCH):
                peak = highest(scratch, group * GROUP, GROUP)
                peaks[stretch + group] = max(peaks[stretch + group], peak)


@njit(nogil=True, cache=True)
def _follow(needs: Numbers, peaks: Numbers, aim: float, held: float, left: int) -> tuple[float, int]:
    """Append to `needs` the gain each group needs, held and let go; returns what is held and for how many groups."""
    for at in range(_NEEDS - _GROUPS):
        needs[at] = needs[_GROUPS + at]
    for group in range(_GROUPS):
        needed = aim / peaks[group] if peaks[group] > aim else 1.0
        if needed <= held * _SAME and needed < 1.0:
            held = min(held, needed)
            left = _HOLD_GROUPS
        elif left > 0:
            left -= 1
        elif held < 1.0:
            held += (1.0 - held) * _RELEASE
            held = min(held if held < 1.0 - 1e-6 else 1.0, needed)
        needs[_NEEDS - _GROUPS + group] = held
    return held, left


@njit(nogil=True, cache=True, fastmath={"contract", "nsz", "nnan"})
def _knots(needs: Numbers, least: Numbers, gains: Numbers) -> float:
    """The gains at the bounds of the groups that go out; returns the lowest."""
    count = _NEEDS
    least[:] = needs
    reach = 1
    while 2 * reach <= _REACH + 1:
        for at in range(count - reach):
            least[at] = min(least[at], least[at + reach])
        count -= reach
        reach *= 2
    rest = _REACH + 1 - reach
    for at in range(count - rest):
        least[at] = min(least[at], least[at + rest])
    lowest = 1.0
    for at in range(_GROUPS + 1):
        reduction = 0.0
        for tap in range(_AHEAD - _GUARD):
            reduction += _WINDOW[tap] * (1.0 - least[at + tap])
        gains[at] = 1.0 - reduction
        lowest = min(lowest, gains[at])
    return lowest


@njit(nogil=True, cache=True, fastmath={"contract", "nsz"})
def _give(line: Block, gains: Numbers, lowest: float, samples: Block) -> None:
    """What goes out, with its gain; and the line moves on."""
    start = _PAST - LATENCY
    if lowest == 1.0:
        for t in range(FRAME):
            samples[t] = line[start + t]
    else:
        for group in range(_GROUPS):
            gain = np.float32(gains[group])
            slope = np.float32((gains[group + 1] - gains[group]) / GROUP)
            for t in range(GROUP):
                at = group * GROUP + t
                samples[at] = line[start + at] * (gain + slope * np.float32(t))
    for t in range(_PAST):
        line[t] = line[FRAME + t]


@njit(nogil=True, cache=True)
def _process(
    block: Block,
    firsts: Rows,
    channels: Rows,
    lines: Block,
    needs: Numbers,
    state: Numbers,
    hold: Rows,
    aims: Numbers,
    scratch: Block,
    peaks: Numbers,
    least: Numbers,
    gains: Numbers,
) -> None:
    for first in firsts:
        peaks[:] = 0.0
        aim = aims[first]
        for row in range(first, first + channels[first]):
            _take(block[row], lines[row])
            _peaks(lines[row], aim, peaks, scratch)
        state[first, _HELD], hold[first] = _follow(needs[first], peaks, aim, state[first, _HELD], hold[first])
        lowest = _knots(needs[first], least, gains) if needs[first].min() < 1.0 else 1.0
        state[first, _LEAST] = lowest
        for row in range(first, first + channels[first]):
            _give(lines[row], gains, lowest, block[row])

"""What happens to the rows of the buses between the matrix and the operators that work on whole sounds."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from relay.mixer.block import FRAME, Block, Rows

_Mask = NDArray[np.bool_]


@njit(nogil=True, cache=True, fastmath={"contract"})
def add_ducked(mix: Block, rules: Rows, places: Rows, curves: Block, even: _Mask, sounding: _Mask) -> None:
    """Add the ducked rows of each of `rules` to those of its bus, along the rule's curve.

    `places` (rules, 3): first row of the bus, first of the ducked rows, how many. `mix` (rows, FRAME), `curves` (rules,
    FRAME); `sounding` (rows,) of the bus becomes true where something was added.
    """
    for rule in rules:
        main, side, channels = places[rule]
        for channel in range(channels):
            if not sounding[side + channel]:
                continue
            sounding[main + channel] = True
            out, ducked, curve = mix[main + channel], mix[side + channel], curves[rule]
            if even[rule]:
                for t in range(FRAME):
                    out[t] += ducked[t]
            else:
                for t in range(FRAME):
                    out[t] += curve[t] * ducked[t]


@njit(nogil=True, cache=True)
def settle(
    buses: Rows,
    sounding: _Mask,
    quiet: Rows,
    tail: int,
    masks: tuple[_Mask, _Mask],
    found: tuple[Rows, Rows],
) -> tuple[int, int]:
    """Which buses are at work: those that something was mixed into within the last `tail` blocks.

    `buses` (n, 2): first row, channels. `quiet` (rows,) counts blocks by first row. Of `masks` (rows,) the first says
    what was found and the second loses the rows that are at work, since these are not blank when they have worked.
    Writes first rows and all rows to `found` and returns how many of each.
    """
    awake, blank = masks
    firsts, rows = found
    sounds = lines = 0
    for bus in range(len(buses)):
        first, channels = buses[bus]
        heard = sounding[first] or sounding[first + channels - 1]
        quiet[first] = 0 if heard else min(quiet[first] + 1, tail + 1)
        awake[first] = heard or (awake[first] and quiet[first] <= tail)
        if awake[first]:
            firsts[sounds] = first
            sounds += 1
            for row in range(first, first + channels):
                rows[lines] = row
                blank[row] = False
                lines += 1
    return sounds, lines

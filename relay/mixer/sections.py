"""Second-order sections over many rows at once: the kernels of every recursive filter of the mixer.

A recursive filter cannot be computed several samples at a time, but many rows can be computed side by side. So a
stretch of SPAN samples of all rows is turned on its side, filtered in float64, and what is left to do is done with it:
turned back (`filters`) or squared and summed (`k_weighting`). The form is the transposed direct form II of scipy's
`sosfilt`.

Arguments:
    sections   float64 (sections, 6), as scipy.signal designs them: b0 b1 b2 1 a1 a2
    memory     float64 (sections, 2, rows): what a section remembers of a row, by the row's number
    at_work    float64 (sections, 2, rows): the same of the rows at work, side by side
    tile       float64 (SPAN, rows and some), as `tile_for` makes it
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from relay.mixer.block import QUIETEST, Block, Rows

SPAN: Final = 32
"""Samples turned at a time, a divisor of FRAME; so many that 64 rows of them stay in the first-level cache."""
STEP: Final = 4
"""Samples that a section takes of a row before it turns to the next row."""
_APART: Final = 8

Numbers = NDArray[np.float64]
_Taps = tuple[float, float, float, float, float]


def tile_for(rows: int) -> Numbers:
    """A tile for so many rows.

    Its lines are a cache line longer than they need be: lines a power of two apart would push one another out of the
    cache, and turning rows would cost three times as much.
    """
    return np.zeros((SPAN, rows + _APART))


@njit(nogil=True, cache=True)
def turn(block: Block, rows: Rows, start: int, tile: Numbers) -> None:
    """Samples `start` … `start + SPAN - 1` of `rows` to `tile`, one column a row."""
    for column in range(len(rows)):
        line = block[rows[column]]
        for t in range(SPAN):
            tile[t, column] = line[start + t]


@njit(nogil=True, cache=True, fastmath={"contract", "nsz"})
def _after(taps: _Taps, x: float, first: float, second: float) -> tuple[float, float, float]:
    """One sample through one section: what comes out, and what is remembered then."""
    b0, b1, b2, a1, a2 = taps
    y = b0 * x + first
    return y, b1 * x - a1 * y + second, b2 * x - a2 * y


@njit(nogil=True, cache=True, fastmath={"contract", "nsz"})
def _step(x: Numbers, first: Numbers, second: Numbers, section: Numbers, columns: int) -> None:
    """STEP samples of one section for all columns, in place: what is remembered stays in registers between them."""
    x0, x1, x2, x3 = x[0], x[1], x[2], x[3]
    taps = (section[0], section[1], section[2], section[4], section[5])
    for column in range(columns):
        one, two = first[column], second[column]
        x0[column], one, two = _after(taps, x0[column], one, two)
        x1[column], one, two = _after(taps, x1[column], one, two)
        x2[column], one, two = _after(taps, x2[column], one, two)
        x3[column], one, two = _after(taps, x3[column], one, two)
        first[column], second[column] = one, two


@njit(nogil=True, cache=True)
def run(tile: Numbers, sections: Numbers, at_work: Numbers, columns: int) -> None:
    """Filter the first `columns` of `tile` in place."""
    for number in range(len(sections)):
        first, second, section = at_work[number, 0], at_work[number, 1], sections[number]
        for t in range(0, SPAN, STEP):
            _step(tile[t : t + STEP], first, second, section, columns)


@njit(nogil=True, cache=True)
def recall(rows: Rows, memory: Numbers, at_work: Numbers) -> None:
    """Set side by side what is remembered of `rows`."""
    for number in range(len(memory)):
        for part in range(2):
            for column in range(len(rows)):
                at_work[number, part, column] = memory[number, part, rows[column]]


@njit(nogil=True, cache=True)
def remember(rows: Rows, memory: Numbers, at_work: Numbers) -> None:
    """The reverse of `recall`, but for what fades away, before its numbers become denormal, and what is no number."""
    for number in range(len(memory)):
        for part in range(2):
            for column in range(len(rows)):
                value = at_work[number, part, column]
                memory[number, part, rows[column]] = value if QUIETEST < abs(value) < np.inf else 0.0

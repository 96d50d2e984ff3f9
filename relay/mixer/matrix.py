"""The routing matrix: every bus hears every input at a gain of its own, most of them at none.

A cell that is changed goes to its new gain evenly within the next block. Cells without gain and rows without sound cost
nothing; four neighbouring buses that hear much the same are mixed in one go, since fetching the samples is what takes
time.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from relay.mixer.block import FRAME, Block, Rows

_Mask = NDArray[np.bool_]
_TOGETHER = 4
_FAST = {"reassoc", "contract", "nsz"}


class Matrix:
    """Gains from `inputs` rows to `outputs` rows; all begin without."""

    def __init__(self, inputs: int, outputs: int) -> None:
        self._now = np.zeros((outputs, inputs), np.float32)
        self._target = np.zeros((outputs, inputs), np.float32)
        self._moving = np.zeros(outputs, np.bool_)
        self._lists = np.zeros((_TOGETHER + 1, inputs), np.int64)
        self._counts = np.zeros(_TOGETHER + 1, np.int64)
        self._group = np.zeros(_TOGETHER, np.int64)
        self._written = np.zeros(outputs, np.bool_)
        self.sounding = np.zeros(outputs, np.bool_)
        """(outputs,): whether anything was mixed into the row in the last block."""

    def set(self, output: int, source: int, gain: float) -> None:
        """Let row `output` hear row `source` at a factor of `gain`, reached at the end of the next block."""
        self._target[output, source] = gain
        self._moving[output] = True

    def clear_input(self, source: int) -> None:
        """Nobody hears the row any more, at once: its sound is over."""
        self._now[:, source] = 0
        self._target[:, source] = 0

    def clear_output(self, output: int) -> None:
        """The row hears nothing any more, at once."""
        self._now[output] = 0
        self._target[output] = 0

    def process(
        self, block: Block, rows: Rows, out: Block, outputs: Rows, blank: _Mask | None = None
    ) -> None:
        """Mix `rows` of `block` (inputs, FRAME) into rows `outputs` of `out` (outputs, FRAME), which are overwritten.

        A row of `out` that hears nothing is zeros. The other rows of `block` count as silent,
        those of `out` stay as they are. `blank` (outputs,), kept up to date here, says which rows are zeros already:
        who writes to one takes the mark away.
        """
        if blank is None:
            blank = self._written
            blank[:] = False
        _process(
            block,
            rows,
            out,
            outputs,
            (self._now, self._target, self._moving),
            (self._lists, self._counts, self._group),
            (self.sounding, blank),
        )


_Cells = tuple[Block, Block, _Mask]
_Work = tuple[Rows, Rows, Rows]


@njit(nogil=True, cache=True)
def _process(
    block: Block,
    rows: Rows,
    out: Block,
    outputs: Rows,
    cells: _Cells,
    work: _Work,
    masks: tuple[_Mask, _Mask],
) -> None:
    now = cells[0]
    sounding, blank = masks
    lists, counts, group = work
    for start in range(0, len(outputs), _TOGETHER):
        size = min(_TOGETHER, len(outputs) - start)
        for place in range(size):
            group[place] = outputs[start + place]
        longest = _list(now, rows, group, size, lists, counts)
        for place in range(size):
            output = group[place]
            sounding[output] = counts[place] > 0
            if not blank[output]:
                out[output] = np.float32(0)
            blank[output] = not sounding[output]
        if size == _TOGETHER and counts[_TOGETHER] * 3 <= longest * 4:
            # the cells of those that are on the move are told apart below, with their own gain
            _mix_four(block, lists[_TOGETHER], counts[_TOGETHER], now, group, out)
        else:
            for place in range(size):
                _mix_one(block, lists[place], counts[place], now[group[place]], out[group[place]])
        for place in range(size):
            if cells[2][group[place]]:
                _move(block, rows, group[place], cells, out[group[place]], sounding)
                blank[group[place]] = not sounding[group[place]]


@njit(nogil=True, cache=True)
def _list(now: Block, rows: Rows, group: Rows, size: int, lists: Rows, counts: Rows) -> int:
    """Which rows each output of the group hears, and in the last place those that any of them does.

    Returns the length of the longest list.
    """
    counts[:] = 0
    for row in rows:
        any_hears = False
        for place in range(size):
            if now[group[place], row] != 0:
                lists[place, counts[place]] = row
                counts[place] += 1
                any_hears = True
        if any_hears:
            lists[_TOGETHER, counts[_TOGETHER]] = row
            counts[_TOGETHER] += 1
    return int(counts[:_TOGETHER].max())


@njit(nogil=True, cache=True, fastmath=_FAST)
def _mix_one(x: Block, heard: Rows, count: int, gains: Block, out: Block) -> None:
    k = 0
    while k + 8 <= count:
        r0, r1, r2, r3 = heard[k], heard[k + 1], heard[k + 2], heard[k + 3]
        r4, r5, r6, r7 = heard[k + 4], heard[k + 5], heard[k + 6], heard[k + 7]
        x0, x1, x2, x3, x4, x5, x6, x7 = x[r0], x[r1], x[r2], x[r3], x[r4], x[r5], x[r6], x[r7]
        g0, g1, g2, g3 = gains[r0], gains[r1], gains[r2], gains[r3]
        g4, g5, g6, g7 = gains[r4], gains[r5], gains[r6], gains[r7]
        for t in range(FRAME):
            near = (g0 * x0[t] + g1 * x1[t]) + (g2 * x2[t] + g3 * x3[t])
            out[t] += near + ((g4 * x4[t] + g5 * x5[t]) + (g6 * x6[t] + g7 * x7[t]))
        k += 8
    while k < count:
        line = x[heard[k]]
        gain = gains[heard[k]]
        for t in range(FRAME):
            out[t] += gain * line[t]
        k += 1


@njit(nogil=True, cache=True, fastmath=_FAST)
def _mix_four(x: Block, heard: Rows, count: int, gains: Block, group: Rows, out: Block) -> None:
    a, b, c, d = gains[group[0]], gains[group[1]], gains[group[2]], gains[group[3]]
    out_a, out_b, out_c, out_d = out[group[0]], out[group[1]], out[group[2]], out[group[3]]
    k = 0
    while k + 4 <= count:
        r0, r1, r2, r3 = heard[k], heard[k + 1], heard[k + 2], heard[k + 3]
        x0, x1, x2, x3 = x[r0], x[r1], x[r2], x[r3]
        a0, a1, a2, a3 = a[r0], a[r1], a[r2], a[r3]
        b0, b1, b2, b3 = b[r0], b[r1], b[r2], b[r3]
        c0, c1, c2, c3 = c[r0], c[r1], c[r2], c[r3]
        d0, d1, d2, d3 = d[r0], d[r1], d[r2], d[r3]
        for t in range(FRAME):
            y0, y1, y2, y3 = x0[t], x1[t], x2[t], x3[t]
            out_a[t] += (a0 * y0 + a1 * y1) + (a2 * y2 + a3 * y3)
            out_b[t] += (b0 * y0 + b1 * y1) + (b2 * y2 + b3 * y3)
            out_c[t] += (c0 * y0 + c1 * y1) + (c2 * y2 + c3 * y3)
            out_d[t] += (d0 * y0 + d1 * y1) + (d2 * y2 + d3 * y3)
        k += 4
    while k < count:
        row = heard[k]
        line = x[row]
        ga, gb, gc, gd = a[row], b[row], c[row], d[row]
        for t in range(FRAME):
            y = line[t]
            out_a[t] += ga * y
            out_b[t] += gb * y
            out_c[t] += gc * y
            out_d[t] += gd * y
        k += 1


@njit(nogil=True, cache=True, fastmath=_FAST)
def _move(x: Block, rows: Rows, output: int, cells: _Cells, out: Block, sounding: _Mask) -> None:
    """Add what the cells on the move differ from the gain they were mixed with, and put them on target."""
    now, target = cells[0][output], cells[1][output]
    for row in rows:
        difference = target[row] - now[row]
        if difference != 0:
            sounding[output] = True
            line = x[row]
            step = difference / np.float32(FRAME)
            for t in range(FRAME):
                out[t] += (np.float32(t + 1) * step) * line[t]
    now[:] = target
    cells[2][output] = False

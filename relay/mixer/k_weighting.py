"""K-weighted power of many rows, the measure that loudness is made of (ITU-R BS.1770-4 annex 1)."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from relay.mixer.block import FRAME, Block, Rows
from relay.mixer.sections import SPAN, Numbers, recall, remember, run, tile_for, turn

K_WEIGHTING: Final = (
    (1.53512485958697, -2.69169618940638, 1.19839281085285, 1.0, -1.69065929318241, 0.73248077421585),
    (1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621),
)
"""Tables 1 and 2: the shelf of the head and the high-pass of the revised low-frequency B curve, for 48 kHz."""

OFFSET_LUFS: Final = -0.691
SILENCE_LUFS: Final = -200.0
"""What is said of silence, so that loudness stays a finite number (JSON has no infinity)."""


def lufs_of(power: float) -> float:
    """The loudness of a K-weighted power, summed over the channels, in LUFS; SILENCE_LUFS at the least."""
    return OFFSET_LUFS + 10 * math.log10(power) if power > 1e-19 else SILENCE_LUFS


def power_of(lufs: float) -> float:
    """The K-weighted power of a loudness."""
    return float(10 ** ((lufs - OFFSET_LUFS) / 10))


class KWeighting:
    """Powers of up to `rows` rows, block by block."""

    def __init__(self, rows: int) -> None:
        self.power = np.zeros(rows)
        """(rows,): the mean square of the K-weighted last block; 0 where it held what is no number."""
        self._sections = np.array(K_WEIGHTING)
        self._memory = np.zeros((len(K_WEIGHTING), 2, rows))
        self._at_work = np.zeros_like(self._memory)
        self._tile = tile_for(rows)
        self._sums = np.zeros(rows)

    def process(self, block: Block, rows: Rows) -> None:
        """Measure `rows` of `block` (n, FRAME); the powers of the others stay as they were."""
        _measure(block, rows, self._sections, self._memory, self._at_work, self._tile, self._sums, self.power)

    def reset(self, row: int) -> None:
        """Forget the past of a row."""
        self._memory[:, :, row] = 0
        self.power[row] = 0


@njit(nogil=True, cache=True, fastmath={"contract", "nsz"})
def _add_squares(tile: Numbers, sums: Numbers, columns: int) -> None:
    for t in range(SPAN):
        line = tile[t]
        for column in range(columns):
            sums[column] += line[column] * line[column]


@njit(nogil=True, cache=True)
def _measure(
    block: Block,
    rows: Rows,
    sections: Numbers,
    memory: Numbers,
    at_work: Numbers,
    tile: Numbers,
    sums: Numbers,
    power: NDArray[np.float64],
) -> None:
    columns = len(rows)
    if columns == 0:
        return
    recall(rows, memory, at_work)
    sums[:columns] = 0.0
    for start in range(0, FRAME, SPAN):
        turn(block, rows, start, tile)
        run(tile, sections, at_work, columns)
        _add_squares(tile, sums, columns)
    remember(rows, memory, at_work)
    for column in range(columns):
        mean = sums[column] / FRAME
        power[rows[column]] = mean if mean < np.inf else 0.0

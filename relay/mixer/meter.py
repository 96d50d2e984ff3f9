"""Peak and RMS of each row, for the eyes of an operator and for the silence detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from relay.mixer.block import FRAME, SILENCE_DBFS, Block, Rows, dbfs_of

FALL_DB_PER_S: Final = 20.0
"""How fast a peak falls that is not reached again (IEC 60268-18 asks for 20 dB in 1.7 s or less)."""
_FALL: Final = 10 ** (-FALL_DB_PER_S * FRAME / 48_000 / 20)
_SETTLE: Final = 1 - 0.5 ** (FRAME / 48_000 / 0.1)


@dataclass(frozen=True, slots=True)
class Level:
    """dBFS, SILENCE_DBFS at the least. `rms_dbfs` of a sine of full scale is -3."""

    peak_dbfs: float
    rms_dbfs: float


NO_LEVEL: Final = Level(SILENCE_DBFS, SILENCE_DBFS)

MeterColumns = tuple[Block, Block, NDArray[np.float64], NDArray[np.float64]]
"""Peak and power of the last block, shown peak and shown power, each (rows,)."""


class Meter:
    """A RowOperator that changes nothing.

    It shows peaks that fall by FALL_DB_PER_S, and a power that comes half way to the truth within 0.1 s, so that who
    looks ten times a second misses nothing; `peak` and `power` (rows,) are of the last block alone.
    """

    def __init__(self, rows: int) -> None:
        self.peak = np.zeros(rows, np.float32)
        self.power = np.zeros(rows, np.float32)
        self._shown_peak = np.zeros(rows)
        self._shown_power = np.zeros(rows)

    @property
    def columns(self) -> MeterColumns:
        """What `measure` writes to."""
        return self.peak, self.power, self._shown_peak, self._shown_power

    def process(self, block: Block, rows: Rows) -> None:
        """Measure `rows` of `block` (n, FRAME), which hold no NaN."""
        _process(block, rows, self.columns)

    def level(self, row: int, channels: int = 1) -> Level:
        """What is shown for the sound of `channels` rows from `row` on: the higher peak, the mean power."""
        peak = max(self._shown_peak[row : row + channels].tolist())
        power = sum(self._shown_power[row : row + channels].tolist()) / channels
        return Level(dbfs_of(peak), dbfs_of(power**0.5))

    def block_dbfs(self, row: int, channels: int = 1) -> float:
        """RMS of the last block in dBFS."""
        power = float(self.power[row])
        if channels == 2:
            power = (power + float(self.power[row + 1])) / 2
        return dbfs_of(power**0.5)

    def blocks_dbfs(self, sounds: Rows, levels: NDArray[np.float64]) -> None:
        """Write `block_dbfs` of each sound to `levels` (n,); `sounds` (n, 2) are their first rows and channels."""
        _levels(sounds, self.power, levels)

    def reset(self, row: int) -> None:
        """Silence."""
        for column in (self.peak, self.power, self._shown_peak, self._shown_power):
            column[row] = 0


@njit(nogil=True, cache=True)
def peak_of(line: Block) -> float:
    """The largest magnitude of samples that hold no NaN.

    Their bits without the sign are compared: that is in the same order, and unlike floats done eight at a time.
    """
    bits = line.view(np.int32)
    largest = np.int32(0)
    for t in range(FRAME):
        largest = max(largest, bits[t] & np.int32(0x7FFFFFFF))
    return float(np.int32(largest).view(np.float32))


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def _energy(line: Block) -> float:
    energy = np.float32(0)
    for t in range(FRAME):
        energy += line[t] * line[t]
    return float(energy)


@njit(nogil=True, cache=True)
def note(row: int, peak: float, energy: float, columns: MeterColumns) -> None:
    """The largest magnitude and the sum of the squares of a row's last block, where that is known already."""
    peaks, powers, shown_peak, shown_power = columns
    peaks[row] = peak
    powers[row] = energy / FRAME
    shown_peak[row] = max(peaks[row], shown_peak[row] * _FALL)
    shown_power[row] += (powers[row] - shown_power[row]) * _SETTLE


@njit(nogil=True, cache=True)
def measure(line: Block, row: int, columns: MeterColumns) -> None:
    """Measure `line` (FRAME,), the last block of a row, which holds no NaN."""
    note(row, peak_of(line), _energy(line), columns)


@njit(nogil=True, cache=True)
def _process(block: Block, rows: Rows, columns: MeterColumns) -> None:
    for row in rows:
        measure(block[row], row, columns)


@njit(nogil=True, cache=True)
def _levels(sounds: Rows, powers: Block, levels: NDArray[np.float64]) -> None:
    for sound in range(len(sounds)):
        first, channels = sounds[sound]
        power = (powers[first] + powers[first + channels - 1]) / 2
        levels[sound] = 10 * np.log10(power) if power > 1e-20 else SILENCE_DBFS

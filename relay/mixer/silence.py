"""Is anything to be heard? Says so late enough that a pause for breath is no silence.

Pure: time is the number of blocks seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from relay.mixer.block import Rows, blocks_of


class Silence(Enum):
    """What is known of a sound."""

    HEARD = "heard"
    WARNED = "warned"
    """Quiet for `warn` blocks."""
    SILENT = "silent"
    """Quiet for `switch` blocks and not heard again for `back` blocks since: something else should be on air."""


_STATES: Final = tuple(Silence)
_HEARD, _WARNED, _SILENT = range(3)
_STATE, _QUIET, _LOUD = range(3)


@dataclass(frozen=True, slots=True)
class SilenceSettings:
    """Quiet is what stays below `level_dbfs` (RMS of a block); the times are in blocks."""

    level_dbfs: float = -45.0
    warn: int = blocks_of(10)
    switch: int = blocks_of(20)
    back: int = blocks_of(5)


class Detections:
    """What is known of the sounds of many rows, so that a block of all of them costs one call."""

    def __init__(self, rows: int) -> None:
        self.known = np.zeros((rows, 3), np.int64)
        """(rows, 3): place in Silence, quiet blocks in a row, loud blocks since silence."""
        self.limits = np.zeros((rows, 3), np.int64)
        """(rows, 3): `warn`, `switch` and `back` of the settings."""
        self.thresholds = np.zeros(rows)

    def update(self, rows: Rows, levels: NDArray[np.float64]) -> None:
        """One more block of `rows`, each at its level in dBFS."""
        _update(rows, levels, self.known, self.limits, self.thresholds)


class SilenceDetector:
    """Shown the level of each block, knows whether its sound is HEARD, WARNED of, or SILENT.

    From WARNED a sound returns with the first block that is loud enough, since nothing has happened yet. From SILENT it
    returns after `back` loud blocks; a quiet block between them takes two of them back rather than all, since speech
    that returns has pauses.
    """

    def __init__(
        self, settings: SilenceSettings | None = None, among: Detections | None = None, row: int = 0
    ) -> None:
        """Begin anew; with `among` as the one of a row there, to be updated with the others or by itself."""
        self.settings = settings or SilenceSettings()
        self._among = among or Detections(1)
        self._row = row
        self._among.known[row] = 0
        self._among.limits[row] = self.settings.warn, self.settings.switch, self.settings.back
        self._among.thresholds[row] = self.settings.level_dbfs

    @property
    def state(self) -> Silence:
        """What is known; set it when that is known from elsewhere."""
        return _STATES[int(self._among.known[self._row, _STATE])]

    @state.setter
    def state(self, state: Silence) -> None:
        self._among.known[self._row, _STATE] = _STATES.index(state)

    @property
    def quiet_blocks(self) -> int:
        """How many blocks up to the last were quiet."""
        return int(self._among.known[self._row, _QUIET])

    def update(self, level_dbfs: float) -> Silence:
        """Take the level of one more block; returns the state after it."""
        self._among.update(np.array([self._row]), np.array([level_dbfs], np.float64))
        return self.state


@njit(nogil=True, cache=True)
def _update(
    rows: Rows,
    levels: NDArray[np.float64],
    known: NDArray[np.int64],
    limits: NDArray[np.int64],
    thresholds: NDArray[np.float64],
) -> None:
    for number in range(len(rows)):
        row = rows[number]
        now = known[row]
        warn, switch, back = limits[row]
        quiet = levels[number] < thresholds[row]
        now[_QUIET] = now[_QUIET] + 1 if quiet else 0
        if now[_STATE] == _SILENT:
            now[_LOUD] = max(now[_LOUD] - 2, 0) if quiet else now[_LOUD] + 1
            if now[_LOUD] >= max(back, 1):
                now[_STATE] = _HEARD
        elif not quiet:
            now[_STATE] = _HEARD
        elif now[_QUIET] >= switch:
            now[_STATE] = _SILENT
            now[_LOUD] = 0
        elif now[_QUIET] >= warn:
            now[_STATE] = _WARNED

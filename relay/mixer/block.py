"""What all operators of the mixer agree on: the block, levels in dB, and how an operator is called.

A block is float32, full scale ±1, 48 kHz, shape (rows, FRAME): one row for a mono input or bus, two rows that follow
one another, left and right, for a stereo one. Rows are taken and freed between two blocks and never move, so that an
operator keeps what it remembers of a row under the row's number.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from loacodecs.errors import LoaError
from relay.kernel_cache import drop_stale

drop_stale(Path(__file__).parent)  # here: every kernel's module imports this one first

SAMPLE_RATE: Final = 48_000
FRAME: Final = 960
"""Samples in a block: 20 ms, one Opus frame."""

Block = NDArray[np.float32]
Rows = NDArray[np.int64]

SILENCE_DBFS: Final = -200.0
"""What a meter says of digital silence, so that levels stay finite numbers (JSON has no infinity)."""

CEILING_DBTP: Final = -1.0
"""The true peak of a bus that has no ceiling of its own."""

PEAK_LIMIT: Final = 64.0
"""A sample beyond this (+36 dBFS) is no sound but a fault of its source, as are NaN and infinity."""

QUIETEST: Final = 1e-15
"""Below this (-300 dBFS) a sample is zero: denormal numbers cost a hundred times as much as others."""


class MixerFull(LoaError):  # noqa: N818 - named by what happened
    """All rows of the engine are taken."""


class RowOperator(Protocol):
    """Works in place on each of the given rows by itself."""

    def process(self, block: Block, rows: Rows) -> None:
        """Work on `block` (n, FRAME), on the rows in `rows` only; the others are not even looked at."""

    def reset(self, row: int) -> None:
        """Forget the past of a row: something else sounds there from now on."""


class SoundOperator(Protocol):
    """Works in place on whole sounds, whose channels it keeps together: a limiter turns left and right down alike."""

    def process(self, block: Block, firsts: Rows) -> None:
        """Work on `block` (n, FRAME), on the sounds whose first rows are in `firsts` only."""

    def reset(self, first: int, channels: int) -> None:
        """Rows `first` … `first + channels - 1` are one new sound from now on; forget their past."""


def gain_of(db: float) -> float:
    """The factor of a gain in dB; minus infinity, and anything down to SILENCE_DBFS, is 0."""
    return 0.0 if db <= SILENCE_DBFS else 10.0 ** (db / 20.0)


def dbfs_of(amplitude: float) -> float:
    """The level of an amplitude in dBFS (full scale 1 is 0 dBFS), SILENCE_DBFS at the least."""
    return SILENCE_DBFS if amplitude <= 1e-10 else 20.0 * math.log10(amplitude)


def blocks_of(seconds: float) -> int:
    """How many blocks last at least that long."""
    return math.ceil(round(seconds * SAMPLE_RATE / FRAME, 6))

"""Horn filter: a high-pass that keeps from a horn what it cannot radiate, and a presence band that makes speech plain.

A re-entrant horn radiates next to nothing below some 250 Hz; what is sent there only moves the diaphragm and eats the
amplifier's headroom. A gentle rise around 3 kHz, where consonants are, is what outdoors makes words understood.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import signal

from loacodecs.errors import ConfigurationError
from relay.mixer.block import FRAME, QUIETEST, SAMPLE_RATE, Block, Rows
from relay.mixer.sections import SPAN, Numbers, recall, remember, run, tile_for, turn

_OFF, _IN, _ON, _OUT = range(4)


@dataclass(frozen=True, slots=True)
class HornSettings:
    """Corner of the high-pass (Butterworth, 24 dB an octave) and the presence band; 0 Hz or 0 dB leaves one out."""

    high_pass_hz: float = 250.0
    presence_hz: float = 3000.0
    presence_db: float = 4.0
    presence_q: float = 0.9

    def __post_init__(self) -> None:
        """Raises ConfigurationError for what is no horn filter."""
        if not (self.high_pass_hz == 0 or 20 <= self.high_pass_hz <= 2000):
            raise ConfigurationError("horn filter: the high-pass must be 0 (none) or 20 to 2000 Hz")
        if not (200 <= self.presence_hz <= 12_000 and -12 <= self.presence_db <= 12):
            raise ConfigurationError("horn filter: presence must be at 200 to 12000 Hz, -12 to 12 dB")
        if not 0.1 <= self.presence_q <= 10:
            raise ConfigurationError("horn filter: the Q of the presence band must be 0.1 to 10")


HORN: Final = HornSettings()


def horn_sections(settings: HornSettings = HORN) -> NDArray[np.float64]:
    """The sections (n, 6) of a horn filter."""
    parts = []
    if settings.high_pass_hz:
        parts.append(
            signal.butter(4, settings.high_pass_hz, "highpass", fs=SAMPLE_RATE, output="sos").reshape(-1, 6)
        )
    if settings.presence_db:
        parts.append(_bell(settings.presence_hz, settings.presence_db, settings.presence_q))
    return np.concatenate(parts) if parts else np.zeros((0, 6))


def _bell(hz: float, db: float, q: float) -> NDArray[np.float64]:
    """A band raised by `db` around `hz`: (s² + sAw/Q + w²) / (s² + sw/AQ + w²), transformed so that `hz` stays."""
    amplitude = 10 ** (db / 40)
    w = 2 * SAMPLE_RATE * math.tan(math.pi * hz / SAMPLE_RATE)
    b, a = signal.bilinear([1, amplitude * w / q, w * w], [1, w / amplitude / q, w * w], SAMPLE_RATE)
    return np.concatenate((b, a))[np.newaxis]


class HornFilter:
    """A RowOperator: rows that are off pass as they are, bit by bit; a switch is a cross-fade of one block."""

    def __init__(self, rows: int, settings: HornSettings = HORN) -> None:
        self._sections = horn_sections(settings)
        self._state = np.full(rows, _OFF, np.int64)
        self._memory = np.zeros((len(self._sections), 2, rows))
        self._at_work = np.zeros_like(self._memory)
        self._tile = tile_for(rows)
        self._rows = np.zeros(rows, np.int64)

    def switch(self, row: int, on: bool) -> None:
        """Filter a row, or do not, from the next block on."""
        if on and self._state[row] in (_OFF, _OUT):
            self._state[row] = _IN if self._state[row] == _OFF else _ON
        elif not on and self._state[row] in (_ON, _IN):
            self._state[row] = _OUT if self._state[row] == _ON else _OFF

    def is_on(self, row: int) -> bool:
        """Whether a row is filtered, or about to be."""
        return bool(self._state[row] in (_IN, _ON))

    def reset(self, row: int) -> None:
        """Forget the past of a row; it stays switched as it is, without a fade."""
        self._memory[:, :, row] = 0
        self._state[row] = _ON if self.is_on(row) else _OFF

    def process(self, block: Block, rows: Rows) -> None:
        """Filter in place those of `rows` of `block` (n, FRAME) that are on. What is no number becomes silence."""
        _process(
            block, rows, self._sections, self._memory, self._at_work, self._tile, self._state, self._rows
        )


@njit(nogil=True, cache=True, fastmath={"contract", "nsz"})
def _clean(tile: Numbers, columns: int) -> None:
    """What is no number, or too little to be a normal one as float32, is silence."""
    for t in range(SPAN):
        line = tile[t]
        for column in range(columns):
            magnitude = abs(line[column])
            line[column] = line[column] if (magnitude > QUIETEST) & (magnitude < np.inf) else 0.0


@njit(nogil=True, cache=True)
def _turn_back(block: Block, rows: Rows, start: int, tile: Numbers, state: Rows) -> None:
    """The filtered samples to the block, faded where a row has just been switched."""
    for column in range(len(rows)):
        row = rows[column]
        line = block[row]
        if state[row] == _ON:
            for t in range(SPAN):
                line[start + t] = tile[t, column]
        else:
            for t in range(SPAN):
                wet = (start + t + 1) / FRAME
                if state[row] == _OUT:
                    wet = 1.0 - wet
                dry = line[start + t] if abs(line[start + t]) < np.inf else np.float32(0)
                line[start + t] = dry + wet * (tile[t, column] - dry)


@njit(nogil=True, cache=True)
def _process(
    block: Block,
    rows: Rows,
    sections: Numbers,
    memory: Numbers,
    at_work: Numbers,
    tile: Numbers,
    state: Rows,
    chosen: Rows,
) -> None:
    columns = 0
    for row in rows:
        if state[row] != _OFF:
            chosen[columns] = row
            columns += 1
    if columns == 0 or len(sections) == 0:
        return
    chosen = chosen[:columns]
    recall(chosen, memory, at_work)
    for start in range(0, FRAME, SPAN):
        turn(block, chosen, start, tile)
        run(tile, sections, at_work, columns)
        _clean(tile, columns)
        _turn_back(block, chosen, start, tile, state)
    remember(chosen, memory, at_work)
    for row in chosen:
        if state[row] == _OUT:
            memory[:, :, row] = 0.0
        state[row] = _ON if state[row] in (_IN, _ON) else _OFF

"""The operators that the engine is put together from, and what it asks of those that do more than change samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from relay.mixer.block import SILENCE_DBFS, Block, RowOperator, Rows, SoundOperator


class SwitchedRows(RowOperator, Protocol):
    """Works on those of its rows that are switched on."""

    def switch(self, row: int, on: bool) -> None:
        """Work on a row, or leave it as it is, from the next block on, without a click."""


class SwitchedSounds(SoundOperator, Protocol):
    """Works on those of its sounds that are switched on."""

    def switch(self, first: int, on: bool) -> None:
        """Work on a sound, or leave it as it is, from the next block on, without a click."""


class LookAhead(SoundOperator, Protocol):
    """A limiter: what it lets through is below the sound's ceiling and comes `latency` samples later."""

    @property
    def latency(self) -> int:
        """Samples by which the sound is late."""

    def ceiling(self, first: int, dbtp: float) -> None:
        """Let no true peak of a sound be above that, from what comes in with the next block on."""


class Loudness(SoundOperator, Protocol):
    """Loudness by ITU-R BS.1770 of each sound, in LUFS, SILENCE_DBFS at the least. Changes nothing."""

    def momentary(self, first: int) -> float:
        """Of the last 0.4 s."""

    def short_term(self, first: int) -> float:
        """Of the last 3 s."""

    def integrated(self, first: int) -> float:
        """Of all since the sound began, gated."""


@dataclass(frozen=True, slots=True)
class Operators:
    """`filters` work on the rows of inputs, the others on those of buses."""

    filters: SwitchedRows
    leveller: SwitchedSounds
    makeup: SwitchedSounds
    limiter: LookAhead
    loudness: Loudness


class Bypass:
    """Stands where no operator is wanted: changes nothing, knows nothing, costs nothing."""

    latency = 0

    def process(self, block: Block, rows: Rows) -> None:
        """Leave the block as it is."""

    def reset(self, row: int, channels: int = 1) -> None:
        """There is nothing to forget."""

    def switch(self, row: int, on: bool) -> None:
        """There is nothing to switch."""

    def ceiling(self, first: int, dbtp: float) -> None:
        """Nothing is kept below it."""

    def momentary(self, first: int) -> float:
        """Not measured."""
        return SILENCE_DBFS

    short_term = integrated = momentary


def bypass() -> Operators:
    """No operators: a plain mixer."""
    none = Bypass()
    return Operators(none, none, none, none, none)

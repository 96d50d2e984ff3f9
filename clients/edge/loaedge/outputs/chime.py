"""The two tones that say: listen, something comes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from loacodecs.chime import FREQUENCIES, NOTE_S, PEAK_DBFS, rise, two_notes
from loacodecs.errors import ConfigurationError
from loacodecs.opus import SAMPLE_RATE

from .output import Pcm

_FADE_S: Final = 0.06
_SLACK: Final = 48
"""Samples by which announced times may wander without the chime skipping; more is a jump of the timeline."""


@dataclass(frozen=True, slots=True)
class ChimeSettings:
    """High note, low note; how loud its peak is, how long each note is heard alone, and how far the programme steps
    back meanwhile.
    """

    frequencies: tuple[float, float] = FREQUENCIES
    peak_dbfs: float = PEAK_DBFS
    note_s: float = NOTE_S
    duck_db: float = -14.0

    def __post_init__(self) -> None:
        """Raises ConfigurationError for what nobody would want to hear."""
        if not all(100 <= frequency <= 4000 for frequency in self.frequencies):
            raise ConfigurationError("the chime's notes must lie between 100 and 4000 Hz")
        if not (-60 <= self.peak_dbfs <= -1 and 0.1 <= self.note_s <= 3 and -60 <= self.duck_db <= 0):
            raise ConfigurationError("the chime: peak_dbfs -60 to -1, note_s 0.1 to 3, duck_db -60 to 0")


def chime(settings: ChimeSettings | None = None) -> Pcm:
    """Ding-dong: (samples, 1). The second note begins while the first dies away; both begin and end softly."""
    chosen = settings or ChimeSettings()
    return two_notes(chosen.frequencies, chosen.peak_dbfs, chosen.note_s).reshape(-1, 1)


class Chime:
    """Lays the chime over the programme at a given time: on all horns the same, if they are given the same."""

    def __init__(self, settings: ChimeSettings | None = None) -> None:
        chosen = settings or ChimeSettings()
        self._sound = chime(chosen)
        self.seconds = len(self._sound) / SAMPLE_RATE
        size, floor = len(self._sound), 10 ** (chosen.duck_db / 20)
        back = rise(size, _FADE_S) * rise(size, 4 * _FADE_S)[::-1]
        self._gain: Pcm = (1 - (1 - floor) * back).astype(np.float32).reshape(-1, 1)
        self._at: float | None = None
        self._next: int | None = None

    def start(self, at: float) -> None:
        """Sound at the local time `at`, once; may be called from another thread, and again while it sounds."""
        self._next = None
        self._at = at

    def process(self, pcm: Pcm, heard_at: float) -> Pcm:
        """The block, heard from `heard_at` on, with as much of the chime as falls into it."""
        at = self._at
        if at is None:
            return pcm
        first = round((heard_at - at) * SAMPLE_RATE)
        if self._next is not None and abs(first - self._next) <= _SLACK:
            first = self._next
        self._next = first + len(pcm)
        if first >= len(self._sound):
            if self._at == at:
                self._at = None
            return pcm
        begin, end = max(first, 0), min(first + len(pcm), len(self._sound))
        if begin >= end:
            return pcm
        mixed = pcm.copy()
        part = slice(begin - first, end - first)
        mixed[part] = mixed[part] * self._gain[begin:end] + self._sound[begin:end]
        return mixed

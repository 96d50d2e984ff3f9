"""Local programmes are looked at ahead of their time, so that a missing file is told before anybody waits to hear it.

One after the other, a header each: the sound itself is looked at when it is played, see `cache`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from loacodecs.errors import LoaError

from .audiofile import open_audio
from .cache import verify
from .programme import files_of

EVERY_TICKS: Final = 10
"""One programme in so many calls of `tick`, which are about a second apart."""


class Inspection:
    """`plays` are names and what is played by them; `faults` has a sentence for each that could not be played now."""

    def __init__(self, plays: Sequence[tuple[str, Path]]) -> None:
        self.faults: dict[str, str] = {}
        self._plays = tuple(plays)
        self._ticks = 0

    def tick(self) -> None:
        """Look at the next one when it is time to. The worker's thread."""
        turn, rest = divmod(self._ticks, EVERY_TICKS)
        self._ticks += 1
        if rest or not self._plays:
            return
        name, play = self._plays[turn % len(self._plays)]
        try:
            verify(play, sums=False)
            for path in files_of(play)[:1]:
                with contextlib.closing(open_audio(path)):
                    pass
        except LoaError as error:
            self.faults[name] = str(error)
        else:
            self.faults.pop(name, None)

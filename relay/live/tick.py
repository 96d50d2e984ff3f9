"""The deadlines of the mixer: every 20 ms for ever, reckoned from the beginning and never from the last tick.

Pure: time comes as an argument (monotonic seconds).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

PERIOD_S: Final = 0.02
SPACING_S: Final = 0.005
"""Ticks that are caught up on begin this far apart at the least: neither sources nor listeners get them in a bunch."""
BEHIND_MAX_S: Final = 0.2
"""What is further behind is passed over: it would only be delay. Shorter than the playout delay of any receiver."""


@dataclass(frozen=True, slots=True)
class Tick:
    """One tick: its number, when it was due, when it began, and how many before it were passed over."""

    number: int
    deadline: float
    began: float
    skipped: int = 0

    @property
    def overrun(self) -> bool:
        """Whether it began only when the one after it was due, or others were passed over for it."""
        return self.skipped > 0 or self.late >= PERIOD_S

    @property
    def late(self) -> float:
        """Seconds by which it began after its deadline."""
        return self.began - self.deadline


@dataclass(slots=True)
class Counts:
    """Of ticks, since the relay started."""

    ticks: int = 0
    late: int = 0
    overruns: int = 0
    skipped: int = 0
    faults: int = 0


class TickClock:
    """Says when the next tick begins, and which one it is. Tick n is due at `start` + n · PERIOD_S."""

    def __init__(self, start: float) -> None:
        self.start = start
        self.number = 0
        """Of the next tick."""
        self.next_at = start
        """When the next tick begins."""

    def begin(self, now: float) -> Tick | None:
        """The tick that begins at `now`; None when none is due yet."""
        if now < self.next_at:
            return None
        behind = now - self._deadline(self.number)
        skipped = 0
        if behind >= BEHIND_MAX_S:
            skipped = math.floor(behind / PERIOD_S)
            self.number += skipped
        tick = Tick(self.number, self._deadline(self.number), now, skipped)
        self.number += 1
        self.next_at = max(self._deadline(self.number), now + SPACING_S)
        return tick

    def resume(self, now: float) -> None:
        """Nothing was to be done for a while: go on at the next deadline, and miss none of those that went by."""
        self.number = max(self.number, math.ceil((now - self.start) / PERIOD_S))
        self.next_at = self._deadline(self.number)

    def _deadline(self, number: int) -> float:
        return self.start + number * PERIOD_S

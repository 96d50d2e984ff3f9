"""Moments at which the path stands still, as a mobile link does while it changes cells or loses its signal."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Literal

from .checks import refuse, within
from .delay import Seconds


@dataclass(frozen=True, slots=True)
class Stalls:
    """When the path stands still, in seconds since the link's beginning; periodic or listed, not both.

    every, duration  the first begins `first` seconds in (if not given, after one whole period)
    listed           (begin, duration) of each, in order
    action           "hold": what is sent meanwhile waits in the queue and leaves when it is over;
                     "lose": it is lost

    Raises ConfigurationError when they overlap.
    """

    every: Seconds | None = None
    duration: Seconds | None = None
    first: Seconds | None = None
    listed: tuple[tuple[Seconds, Seconds], ...] = ()
    action: Literal["hold", "lose"] = "hold"

    def __post_init__(self) -> None:
        if self.listed:
            if (self.every, self.duration, self.first) != (None, None, None):
                refuse("listed", "stalls are either listed or periodic, not both")
            self._check_listed()
            return
        if self.every is None or self.duration is None:
            refuse("duration" if self.duration is None else "every", "is missing; or give `listed`")
        within("every", self.every, 0.001)
        within("duration", self.duration, 0)
        within("first", self.first or 0.0, 0)
        if self.duration >= self.every:
            refuse("duration", f"{self.duration:g} s leaves nothing of every {self.every:g} s")

    def _check_listed(self) -> None:
        end = -1.0
        for number, (begin, duration) in enumerate(self.listed):
            within(f"listed[{number}]", begin, 0)
            within(f"listed[{number}]", duration, 0)
            if begin <= end:
                refuse(
                    f"listed[{number}]", f"{begin:g} s is not after the end of the stall before, {end:g} s"
                )
            end = begin + duration

    def end(self, at: float) -> float | None:
        """When the stall under way at `at` will be over; None when there is none."""
        if self.listed:
            index = bisect_right(self.listed, at, key=lambda stall: stall[0]) - 1
            if index < 0:
                return None
            begin, duration = self.listed[index]
            return begin + duration if at < begin + duration else None
        every, duration = self.every or 0.0, self.duration or 0.0
        since = at - (every if self.first is None else self.first)
        if since < 0 or since % every >= duration:
            return None
        return at - since % every + duration

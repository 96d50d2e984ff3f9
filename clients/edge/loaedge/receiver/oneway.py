"""Clock exchanges out of what travels one way only: sender reports, while no control link tells the time.

A report says when it left by the relay's clock; how long it was on its way nobody says. The round trip of a consent
check, measured at another moment, is no measure of that: taken for it, every report would seem as exact as the quickest
one, and a clock that believed a wandering delay to a fraction of a millisecond would run away with it. Nor is the
quickest report so far exact: while ever quicker ones come, each tells only how wrong the one before was.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from loacodecs.clocksync import Exchange

_REMEMBERED: Final = 24
"""Reports among which the quickest is looked for: two minutes."""
_DRIFT: Final = 200e-6
"""How far two clocks run apart, at the most."""


class OneWay:
    """Tells by how much a report was slower than the quickest, and makes its exchange that much less certain."""

    def __init__(self) -> None:
        self._known: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED)
        self._round_trips: deque[float] = deque(maxlen=_REMEMBERED)

    def exchange(self, relay_time: float, now: float, round_trip: float) -> Exchange:
        """The exchange that stands for a report that left at `relay_time` and came at `now` (local).

        round_trip  of the newest consent check (s); the least of them is taken for the quickest way there and back
        """
        self._round_trips.append(round_trip)
        self._known.append((now, now - relay_time))
        *others, late = (late + _DRIFT * (now - at) for at, late in self._known)
        quickest = min(others, default=late + min(self._round_trips) / 2)
        excess = max(0.0, late - quickest)
        # What was quicker than all before it is as uncertain as it was quicker.
        doubt = abs(late - quickest)
        sent = now - min(self._round_trips) - 2 * doubt
        received = relay_time + excess - doubt
        return Exchange(sent, received, received, now)

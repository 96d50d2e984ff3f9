"""How long before they are needed packets come, and whether the delay could be shorter or must be longer.

No model of the network: what counts is the least time in hand over a while. Whoever has run dry is believed to be
jittery for longer each time, up to twelve seconds.
"""

from __future__ import annotations

from typing import Final

LEAST_S: Final = 0.0015
"""A packet that comes closer to its tick than this may well miss it the next time."""
FIRST_S: Final = 0.002
"""How long ago the first packet must have come."""
STEP_S: Final = 0.02
WINDOW_S: Final = 2.0
WINDOW_MAX_S: Final = 12.0


class Earliness:
    """The least time in hand of the newest window and the one before. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.window = WINDOW_S
        self.latest = float("inf")
        """Of the newest packet."""
        self._current = self._previous = float("inf")
        self._since: float | None = None
        self._full = False

    def note(self, now: float, early: float) -> None:
        """A packet needed at `now` had been there for `early` seconds."""
        self.latest = early
        if self._since is None:
            self._since = now
        if now - self._since >= self.window / 2:
            if self._full:
                self.window = max(WINDOW_S, self.window * 0.75)
            self._previous, self._current = self._current, float("inf")
            self._since, self._full = now, True
        self._current = min(self._current, early)

    @property
    def spare(self) -> float:
        """Seconds by which every packet of a whole window came too early; 0 while that is not known."""
        if not self._full:
            return 0.0
        return max(0.0, min(self._current, self._previous) - LEAST_S)

    def ran_dry(self) -> None:
        """A packet missed its tick: forget what was known, and be slower to believe the next."""
        self.window = min(self.window * 2, WINDOW_MAX_S)
        self.restart()

    def restart(self) -> None:
        """Another stretch of sound begins."""
        self._current = self._previous = self.latest = float("inf")
        self._since, self._full = None, False

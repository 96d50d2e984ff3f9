"""Whether a count that only grows has grown of late: what went wrong once is no fault for ever."""

from __future__ import annotations

from typing import Final

RECENT_S: Final = 60.0


class Recently:
    """By how much a count grew within the last RECENT_S to 2 RECENT_S, or since somebody last looked.

    Begins at 0 at the moment `now` (monotonic seconds).
    """

    __slots__ = ("_newer", "_older", "_turned")

    def __init__(self, now: float) -> None:
        self._older = self._newer = 0
        self._turned = now

    def grown(self, count: int, now: float) -> int:
        """By how much, when it stands at `count` at `now`."""
        if now - self._turned >= RECENT_S:
            self._older, self._newer = self._newer, count
            self._turned = now
        return count - self._older

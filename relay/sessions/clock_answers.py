"""How often a listener is told what time it is, when it asks by extended reports (RFC 3611 §4.4)."""

from __future__ import annotations

ANSWERS = 5.0
"""Answers in a second to one listener, and as many at once: receivers of Loa ask four times a second at most."""

ANSWERS_TO_ALL = 500.0
"""The same for all listeners together: some 5 % of the media thread, also when a thousand come back at once."""


class ClockAnswers:
    """A budget of `rate` answers a second: one is larger than its question, and costs the media thread time."""

    __slots__ = ("_at", "_budget", "_rate")

    def __init__(self, rate: float = ANSWERS) -> None:
        self._rate = self._budget = rate
        self._at = 0.0

    def take(self, now: float) -> bool:
        """Whether there is to be an answer at `now` (monotonic seconds); if so, it counts as given."""
        self._budget = min(self._rate, self._budget + (now - self._at) * self._rate)
        self._at = now
        if self._budget < 1:
            return False
        self._budget -= 1
        return True

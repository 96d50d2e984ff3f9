"""What a listener may have sent again: a budget, and no packet twice within a round trip (RFC 4585 §6.2.1)."""

from __future__ import annotations

ROUND_TRIP_S = 0.05
"""Taken for the round trip until the listener's reports tell it."""

ROUND_TRIP_MAX_S = 0.5
"""A report that tells of more than this is not believed: the packet would be refused when it is wanted."""

SHARE = 0.8
"""Who asks again this part of a round trip after the answer cannot have had it yet."""

_REMEMBERED_S = 1.0


class Repairs:
    """The retransmissions of one listener, at most `rate` a second and as many at once.

    More would only deepen the congestion that lost the packets.
    """

    __slots__ = ("_answered", "_budget", "_budget_at", "_rate", "_round_trip")

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._budget = rate
        self._budget_at = 0.0
        self._round_trip = ROUND_TRIP_S
        # When each packet was sent again, in that order; as many as the budget gives in a second.
        self._answered: dict[int, float] = {}

    def note_round_trip(self, seconds: float) -> None:
        """A receiver report tells the round trip (RFC 3550 §6.4.1)."""
        self._round_trip = min(seconds, ROUND_TRIP_MAX_S)

    def take(self, sequence: int, now: float) -> bool:
        """Whether the packet of extended number `sequence` may be sent again at `now` (monotonic seconds).

        If so, it counts as sent.
        """
        self._budget = min(self._rate, self._budget + (now - self._budget_at) * self._rate)
        self._budget_at = now
        while self._answered:
            oldest = next(iter(self._answered))
            if now - self._answered[oldest] < _REMEMBERED_S:
                break
            del self._answered[oldest]
        answered = self._answered.get(sequence)
        if self._budget < 1 or (answered is not None and now - answered < SHARE * self._round_trip):
            return False
        self._budget -= 1
        self._answered.pop(sequence, None)
        self._answered[sequence] = now
        return True

"""How much redundancy a listener's receiver reports call for (RFC 3550 §6.4.1, RFC 2198).

What a report of ours calls lost is what the network lost, whether it was mended or not (`loaedge.playout`): requests
and their answers are lost like all else, so a link that loses much needs both. Others that count what came again as
received report less, and get repetition where the round trip is too long for requests to help. Of independent loss
p, RED-1 leaves p² and RED-2 p³; the beginning of a longer burst is left to requests.
"""

from __future__ import annotations

import math

RAISE = (0.01, 0.05)
"""Smoothed loss above which a stream repeats one, or two, packets."""

LOWER = (0.003, 0.02)
"""Smoothed loss below which it repeats none, or one; well under `RAISE`, so that a link at a limit is not moved
to and fro."""

SMOOTHING_S = 10.0
"""A single lost packet of a report must not move anybody; half a minute of bad sound must not pass either."""

HOLD_S = 30.0
"""Loss must have been low for so long before redundancy is taken away: rural links are bad in spells."""


class AdaptiveRedundancy:
    """Decides on the redundancy, 0 … `most`, of one listener, which begins with `level`."""

    __slots__ = ("_calm_since", "_loss", "_most", "_noted_at", "level")

    def __init__(self, most: int = len(RAISE), level: int = 0) -> None:
        self.level = level
        self._most = most
        self._loss: float | None = None
        self._noted_at = 0.0
        self._calm_since: float | None = None

    def note(self, fraction_lost: float, now: float) -> int:
        """The level from now on: the newest report says `fraction_lost` (0 … 1), at `now` (monotonic seconds).

        The same report may be noted again while there is no newer one; it counts for the time it stands.
        """
        if self._loss is None:
            self._loss = 0.0
            self._noted_at = now - 1.0
        weight = 1 - math.exp(-max(0.0, now - self._noted_at) / SMOOTHING_S)
        self._noted_at = now
        self._loss += weight * (fraction_lost - self._loss)
        wanted = min(self._most, sum(self._loss > limit for limit in RAISE))
        if wanted > self.level:
            self.level, self._calm_since = wanted, None
        elif self.level and self._loss < LOWER[self.level - 1]:
            if self._calm_since is None:
                self._calm_since = now
            elif now - self._calm_since >= HOLD_S:
                self.level, self._calm_since = self.level - 1, None
        else:
            self._calm_since = None
        return self.level

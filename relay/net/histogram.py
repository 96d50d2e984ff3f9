"""A histogram with fixed bounds, cheap to add to and safe to read from another thread."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1.0, 2.0, 5.0)
"""Bounds, in seconds, that fit a batch's time, a loop's lag and a join alike."""


class HistogramCounter:
    """Counts observations in buckets: bucket i holds those ≤ `bounds[i]` and above the bound before."""

    __slots__ = ("bounds", "buckets", "total")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self.bounds = tuple(bounds)
        self.buckets = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one observation, in seconds."""
        self.buckets[bisect_left(self.bounds, value)] += 1
        self.total += value

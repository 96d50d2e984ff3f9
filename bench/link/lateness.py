"""How late things happened: percentiles in constant memory, within 0.8 %, rounded up.

Bins as in `bench.histogram`, without the compiler that module needs: the proxy shall start at once.
"""

from __future__ import annotations

import math
from typing import Final

_SUBDIVISIONS: Final = 128
_BINS: Final = 34 * _SUBDIVISIONS


class Lateness:
    """Counts durations in log-linear bins of nanoseconds."""

    def __init__(self) -> None:
        self.counted = 0
        self.largest = 0.0
        """Seconds."""
        self._counts = [0] * _BINS

    def add(self, seconds: float) -> None:
        """Count one duration; a negative one counts as 0."""
        value = max(0, int(seconds * 1e9))
        shift = max(0, value.bit_length() - 8)
        self._counts[min(shift * _SUBDIVISIONS + (value >> shift), _BINS - 1)] += 1
        self.counted += 1
        self.largest = max(self.largest, seconds)

    def percentile(self, share: float) -> float | None:
        """The duration in seconds that `share` (0 … 1) of all do not exceed; None when none was counted."""
        if not self.counted:
            return None
        rank, passed = max(1, math.ceil(share * self.counted)), 0
        for index, count in enumerate(self._counts):
            passed += count
            if passed >= rank:
                shift = max(0, index // _SUBDIVISIONS - 1)
                edge = ((index - shift * _SUBDIVISIONS + 1) << shift) - 1
                return min(edge / 1e9, self.largest)
        return self.largest

"""Counting durations in log-linear bins: constant memory for runs of any length, under 0.8 % relative error.

Values are whole nanoseconds. Below 2^8 every value has its own bin; above, each power of two is cut into 128
equal bins. A percentile is the upper edge of its bin, so rounding never flatters; the maximum is kept exactly
by whoever counts, beside the bins.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bench.compiled import compiled

_SUBDIVISIONS = 128
_LARGEST_SHIFT = 32  # values from 2^40 ns (18 minutes) share the last bin
BINS = (_LARGEST_SHIFT + 2) * _SUBDIVISIONS

Counts = npt.NDArray[np.int64]


@compiled
def bin_of(value: int) -> int:
    """The bin of a duration in nanoseconds; negative ones fall into bin 0."""
    if value < 2 * _SUBDIVISIONS:
        return max(value, 0)
    shift = 1
    while (value >> shift) >= 2 * _SUBDIVISIONS:
        shift += 1
    if shift > _LARGEST_SHIFT:
        return BINS - 1
    return (shift + 1) * _SUBDIVISIONS + (value >> shift) - _SUBDIVISIONS


def upper_edge(index: int) -> int:
    """The largest duration in nanoseconds that falls into bin `index`."""
    if index < 2 * _SUBDIVISIONS:
        return index
    shift = index // _SUBDIVISIONS - 1
    return ((index % _SUBDIVISIONS + _SUBDIVISIONS + 1) << shift) - 1


def percentile(counts: Counts, share: float) -> int | None:
    """The duration in nanoseconds that `share` (0..1) of all counted ones do not exceed; None if none was
    counted.
    """
    total = int(counts.sum())
    if total == 0:
        return None
    rank = max(1, int(np.ceil(share * total)))
    return upper_edge(int(np.searchsorted(np.cumsum(counts), rank)))


def milliseconds(counts: Counts, shares: Sequence[float]) -> dict[str, float | None]:
    """Percentiles in milliseconds, named as people write them: {"p50": 1.2, "max": 3.4}."""
    named: dict[str, float | None] = {}
    for share in shares:
        value = percentile(counts, share)
        named["max" if share == 1 else f"p{share * 100:g}"] = None if value is None else round(value / 1e6, 3)
    return named

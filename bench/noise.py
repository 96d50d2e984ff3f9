"""How much two groups of repeated measurements differ, and how sure that is.

The estimate is Hodges and Lehmann's: the median of all differences new - old. The interval is the one that
inverts the Mann-Whitney test, from the exact distribution of its statistic: it assumes nothing about the shape of
the noise, which on a shared machine has a long tail, and one wild run cannot move it far. With three runs on each
side the widest interval has a confidence of 90 %; with two there is none worth the name, and the interval is then
the noise that is assumed for the figure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import median

CONFIDENCE_WANTED = 0.95
CONFIDENCE_MIN = 0.90 - 1e-9


@dataclass(frozen=True, slots=True)
class Change:
    """`estimate` with its interval [low, high], in the unit of the values.

    `confidence` is that of the interval, None when it rests on an assumption instead of on repeats.
    """

    estimate: float
    low: float
    high: float
    confidence: float | None


def change(old: Sequence[float], new: Sequence[float], assumed: float) -> Change:
    """The shift from `old` to `new`, each at least one value; `assumed` is half the interval without repeats."""
    differences = sorted(y - x for x in old for y in new)
    estimate = median(differences)
    cut, confidence = _cut(len(old), len(new))
    if confidence < CONFIDENCE_MIN:
        return Change(estimate, estimate - assumed, estimate + assumed, None)
    return Change(estimate, differences[cut], differences[-1 - cut], confidence)


def _cut(old: int, new: int) -> tuple[int, float]:
    """How many of the ordered differences may be left out at each end, and the confidence of what remains.

    As many as CONFIDENCE_WANTED allows; none, with less confidence, when not even the whole reaches it.
    """
    ways = orders(old, new)
    total = math.comb(old + new, old)
    below, cut = ways[0], 0
    while cut + 1 < (old * new + 1) // 2 and 1 - 2 * (below + ways[cut + 1]) / total >= CONFIDENCE_WANTED:
        cut += 1
        below += ways[cut]
    return cut, 1 - 2 * below / total


@cache
def orders(old: int, new: int) -> tuple[int, ...]:
    """In how many orders of all values Mann and Whitney's U (pairs with new < old) is 0, 1, ... old * new.

    The coefficients of the Gaussian binomial: a product of (1 - q^(new + i)) / (1 - q^i), i = 1 ... old.
    """
    size = old * new + 1
    ways = [1] + [0] * (size - 1)
    for step in range(1, old + 1):
        for at in range(size - 1, new + step - 1, -1):
            ways[at] -= ways[at - new - step]
        for at in range(step, size):
            ways[at] += ways[at - step]
    return tuple(ways)

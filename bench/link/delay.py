"""How long a packet takes: a fixed part, and a random part on top that is never negative.

The random part has its minimum at 0 and exactly the standard deviation asked for, whatever its distribution:

    uniform   evenly from 0 to √12 standard deviations
    normal    absolute value of a normal variable: most packets near the minimum, no long tail
    pareto    shape 3 as netem's table (iproute2, from NIST Net), shifted to begin at 0 and cut at its 99.9 %
              quantile: mostly little, sometimes ten times as much

Correlation r runs from packet to packet through a Gaussian copula: with e normal, z becomes r·z + √(1-r²)·e, and the
delay is that of the quantile Φ(z). The distribution stays what it is for every r, which netem's linear mix of two
draws does not give (its variance shrinks).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Annotated, Final, Literal

from .checks import within
from .draws import Draw

Seconds = Annotated[float, "seconds"]
Distribution = Literal["uniform", "normal", "pareto"]

_NORMAL: Final = NormalDist()
_LEAST: Final = 2.0**-54  # keeps quantiles away from the infinite ends
_PARETO_SHAPE: Final = 3
_PARETO_CUT: Final = 0.001


@dataclass(frozen=True, slots=True)
class Delay:
    """One way, in seconds. Raises ConfigurationError for impossible values.

    base         no packet takes less
    jitter       standard deviation of what comes on top (RFC 3550's interarrival jitter is another thing)
    correlation  r between a packet's random part and the one before, 0 … 0.9999
    reorder      packets may overtake one another; otherwise who would overtake waits (first in, first out)
    """

    base: Seconds = 0.0
    jitter: Seconds = 0.0
    distribution: Distribution = "normal"
    correlation: float = 0.0
    reorder: bool = False

    def __post_init__(self) -> None:
        within("base", self.base, 0)
        within("jitter", self.jitter, 0)
        within("correlation", self.correlation, 0, 0.9999)


class DelayProcess:
    """Gives delays in seconds, packet after packet; one draw each."""

    __slots__ = ("_base", "_correlation", "_draw", "_innovation", "_jitter", "_quantile", "_state")

    def __init__(self, delay: Delay, draw: Draw) -> None:
        self._base = delay.base
        self._jitter = delay.jitter
        self._correlation = delay.correlation
        self._innovation = math.sqrt(1 - delay.correlation**2)
        self._quantile = _quantile(delay.distribution)
        self._draw = draw
        self._state = _normal(draw()) if delay.correlation else 0.0

    def next(self) -> float:
        """The delay of the next packet, `base` or more."""
        uniform = self._draw()
        if not self._jitter:
            return self._base
        if self._correlation:
            self._state = self._correlation * self._state + self._innovation * _normal(uniform)
            uniform = 0.5 * math.erfc(-self._state / math.sqrt(2))
        return self._base + self._jitter * self._quantile(uniform)


def _normal(uniform: float) -> float:
    return _NORMAL.inv_cdf(max(uniform, _LEAST))


def _quantile(distribution: Distribution) -> Callable[[float], float]:
    """The quantile function of the random part at unit standard deviation; 0 at 0."""
    if distribution == "uniform":
        return lambda uniform: uniform * math.sqrt(12)
    if distribution == "normal":
        scale = 1 / math.sqrt(1 - 2 / math.pi)
        # |Z| lies above its u-quantile with probability 1 - u, half of it on either side.
        return lambda uniform: -_NORMAL.inv_cdf(max((1 - uniform) / 2, _LEAST)) * scale
    # Moments of min(U^(-1/3), c^(-1/3)): E[Xᵏ] = (1 - c^(1-k/3)) / (1 - k/3) + c^(1-k/3)
    first, second = (_cut_moment(k) for k in (1, 2))
    deviation = math.sqrt(second - first**2)
    return lambda uniform: (max(1 - uniform, _PARETO_CUT) ** (-1 / _PARETO_SHAPE) - 1) / deviation


def _cut_moment(k: int) -> float:
    rest = 1 - k / _PARETO_SHAPE
    end: float = _PARETO_CUT**rest
    return (1 - end) / rest + end

"""How far one clock is ahead of another, by what each direction took at the least.

Half of what the two ways of an exchange differ by is error, whatever its round trip. To find an exchange that was quick
both there and back takes luck twice; the quickest way there and the quickest way back need not be of one exchange.
So each direction has a lower envelope of its own, and the clocks' difference lies in the middle between the two. The
idea of separate minima is that of ntpd's huff-n-puff filter; envelopes that may slope, since clocks drift, are those of
Moon, Skelly and Towsley, "Estimation and Removal of Clock Skew from Network Delay Measurements" (INFOCOM 1999), found
on convex hulls as Zhang, Liu and Xia do (INFOCOM 2002). Here both directions share one slope, which has a prior, and
the answer is a mean over all slopes that fit, so that it comes with an uncertainty.

What holds a message up, congestion, retransmission, a busy processor, only ever makes it late: none of it lowers an
envelope. What no exchange shows stays: a difference of the two ways' least delays is an error of half of that.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_KEPT: Final = 512
_WINDOW_S: Final = 3600.0
"""Older readings are forgotten: by then the rate is another one, and so may be the route."""
_LEAST: Final = 4
"""Readings without which there is no envelope."""
_NEAREST: Final = 5
"""Readings by whose spacing it is judged how far above the least possible the least one lies."""
_BUNCHED: Final = 3.0
"""Delays wander, so that the least ones come in bunches, closer together than chance would lay them: by so much. Found
on simulated mobile links, where errors then have the size that is told."""
_LONELY: Final = 16.0
"""A reading so many spacings below all others is not believed until there is another one."""
_DEPTH: Final = 4.0
"""Slopes less likely than the best one by e to this are left out."""
_NODES: Final = 24
_GOLDEN: Final = (math.sqrt(5) - 1) / 2

_Points = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Tie:
    """A straight line through a moment, and how well it is known (standard deviations, without asymmetry)."""

    x: float
    offset: float
    rate: float
    sigma: float
    rate_sigma: float
    wander: float

    def value(self, x: float) -> float:
        """The difference at x."""
        return self.offset + self.rate * (x - self.x)

    def deviation(self, x: float) -> float:
        """Standard deviation of `value(x)`, which grows with time."""
        ahead = max(0.0, x - self.x)
        return math.sqrt(self.sigma**2 + (self.rate_sigma * ahead) ** 2 + self.wander * ahead**3 / 3)


class Envelope:
    """Two lower envelopes with one slope between them.

    rate_sigma  what is known of the rate: zero, with this standard deviation (seconds per second)
    wander      how fast the rate walks, 1/s (see `linetrack.wander_variance`): the longer ago, the less a reading says
    noise       of a time stamp, seconds
    """

    def __init__(self, *, rate_sigma: float, wander: float, noise: float) -> None:
        self._prior = (0.0, rate_sigma, 0.0)
        self._rate_sigma = rate_sigma
        self._wander = wander
        self._noise = noise
        self._rate = 0.0
        self._there: deque[tuple[float, float]] = deque(maxlen=_KEPT)
        self._back: deque[tuple[float, float]] = deque(maxlen=_KEPT)

    def add(self, sent: float, there: float, arrived: float, back: float) -> None:
        """Take an exchange.

        sent, arrived  by the local clock
        there          delay on the way there plus the clocks' difference (other clock minus local one)
        back           delay on the way back minus that difference
        """
        self._there.append((sent, there))
        self._back.append((arrived, back))

    def restart(self, x: float, rate: float, rate_sigma: float) -> None:
        """Begin anew at local time `x`: the difference has stepped, but of the rate so much is known still."""
        self.forget()
        self._prior = (rate, rate_sigma, x)
        self._rate = rate

    def forget(self, before: float = math.inf) -> None:
        """Forget what was sent before that local time, and the rate: the clocks have changed since."""
        self._prior = (0.0, self._rate_sigma, 0.0)
        while self._there and self._there[0][0] < before:
            self._there.popleft()
            self._back.popleft()

    def estimate(self, x: float) -> Tie | None:
        """The clocks' difference around local time `x`, now; None while too little is known."""
        there, back = self._aged(self._there, x), self._aged(self._back, x)
        if min(len(there), len(back)) < _LEAST:
            return None
        # The rate as it was last found is good enough to tell which readings are the lowest.
        expected, sigma, since = self._prior
        sigma = min(self._rate_sigma, math.hypot(sigma, math.sqrt(self._wander * max(0.0, x - since))))
        band = _Band(
            _Side.of(there, self._rate, self._noise),
            _Side.of(back, -self._rate, self._noise),
            expected,
            sigma,
        )
        self._rate = band.best()
        offset, rate, sigma, rate_sigma = band.mean(self._rate)
        return Tie(x, offset, rate, sigma, rate_sigma, self._wander)

    def _aged(self, readings: Iterable[tuple[float, float]], x: float) -> _Points:
        """(age, reading), youngest first; raised by what the clock may have wandered since."""
        wandered = math.sqrt(self._wander / 3)
        aged = [
            (age, value + wandered * age * math.sqrt(age))
            for at, value in readings
            if (age := max(0.0, x - at)) <= _WINDOW_S
        ]
        aged.sort()
        return aged


@dataclass(frozen=True, slots=True)
class _Side:
    """One direction's readings, as far as they matter.

    hull   those that are the lowest for some slope
    above  how far the lowest one lies above the least possible, presumably: as far as the lowest are apart
    """

    hull: _Points
    above: float

    @classmethod
    def of(cls, points: _Points, rate: float, noise: float) -> _Side:
        level = [value + rate * age for age, value in points]
        lowest = sorted(level)[: _NEAREST + 1]
        if len(lowest) > _NEAREST:
            usual = (lowest[-1] - lowest[1]) / (_NEAREST - 1)
            if lowest[1] - lowest[0] > _LONELY * usual + 4 * noise:
                points = [point for point, height in zip(points, level, strict=True) if height > lowest[0]]
                del lowest[0]
        del lowest[_NEAREST:]
        spacing = (lowest[-1] - lowest[0]) / (len(lowest) - 1)
        return cls(_lower_hull(points), spacing + noise / math.sqrt(len(points)))


class _Band:
    """Readings of both directions, and how well a slope fits between them.

    The likelihood is that of delays that lie evenly above the least one, as far as that matters: exponential, with
    the spacing of the lowest readings. The closer a slope lets the envelopes come to both directions' readings, the
    wider is the band between them; that is what a linear program would maximise.
    """

    def __init__(self, there: _Side, back: _Side, rate: float, rate_sigma: float) -> None:
        self._there, self._back = there.hull, back.hull
        self._above = (there.above, back.above)
        self._expected = rate
        self._rate_sigma = rate_sigma
        self._scale = _BUNCHED * (there.above + back.above) / 2

    def best(self) -> float:
        """The likeliest rate: the maximum of a concave function, by golden section."""
        low, high = self._expected - 4 * self._rate_sigma, self._expected + 4 * self._rate_sigma
        for _ in range(28):
            step = _GOLDEN * (high - low)
            if self._likelihood(high - step) < self._likelihood(low + step):
                low = high - step
            else:
                high = low + step
        return (low + high) / 2

    def mean(self, best: float) -> tuple[float, float, float, float]:
        """Offset and rate over all rates that fit, and the standard deviations of both."""
        top = self._likelihood(best)
        low, high = best - self._reach(best, -1.0, top), best + self._reach(best, 1.0, top)
        rates = [low + (high - low) * (node + 0.5) / _NODES for node in range(_NODES)]
        weights = [math.exp(self._likelihood(rate) - top) for rate in rates]
        total = sum(weights)
        offsets = [self._offset(rate) for rate in rates]
        offset = sum(w * o for w, o in zip(weights, offsets, strict=True)) / total
        rate = sum(w * r for w, r in zip(weights, rates, strict=True)) / total
        variance = sum(w * (o - offset) ** 2 for w, o in zip(weights, offsets, strict=True)) / total
        rate_variance = sum(w * (r - rate) ** 2 for w, r in zip(weights, rates, strict=True)) / total
        there, back = self._above
        return offset, rate, math.sqrt(variance + (there**2 + back**2) / 4), math.sqrt(rate_variance)

    def _ends(self, rate: float) -> tuple[float, float]:
        there = min(value + rate * age for age, value in self._there)
        return there, min(value - rate * age for age, value in self._back)

    def _offset(self, rate: float) -> float:
        """Between the envelopes, each taken to be as far below its lowest reading as those are apart."""
        there, back = self._ends(rate)
        return (there - self._above[0] - back + self._above[1]) / 2

    def _likelihood(self, rate: float) -> float:
        return sum(self._ends(rate)) / self._scale - ((rate - self._expected) / self._rate_sigma) ** 2 / 2

    def _reach(self, best: float, sign: float, top: float) -> float:
        """How far from the best rate others still fit, to one side."""
        near, far = 0.0, 8 * self._rate_sigma
        for _ in range(14):
            middle = (near + far) / 2
            if self._likelihood(best + sign * middle) < top - _DEPTH:
                far = middle
            else:
                near = middle
        return far


def _lower_hull(points: _Points) -> _Points:
    """Those of the points, in order, that are the lowest for some slope."""
    hull: _Points = []
    for x, y in points:
        while len(hull) > 1 and (hull[-1][1] - hull[-2][1]) * (x - hull[-2][0]) >= (y - hull[-2][1]) * (
            hull[-1][0] - hull[-2][0]
        ):
            hull.pop()
        hull.append((x, y))
    return hull

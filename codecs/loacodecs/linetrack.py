"""A straight line followed through noisy readings: an offset and a slow rate, and how well both are known.

Two clocks compared, or a sound card's counter against a clock, are such a line: the difference grows at a rate of some
parts per million that itself wanders with temperature. A two-state Kalman filter is the least that takes readings
at any interval, weighs each by its own noise, and knows its uncertainty; with a window and a regression the
right length of the window would have to be found for every link.
"""

from __future__ import annotations

import math


class LineTracker:
    """Estimates `value(x)` = offset + rate * x from readings, x and values in seconds, the rate in seconds per second.

    x              of the first reading
    value          the first reading
    variance       of the first reading, s²
    rate           what is known of the rate beforehand
    rate_sigma     how well, one standard deviation
    wander         how fast the rate walks: the variance it gains per second, 1/s (see `wander_variance`)
    """

    def __init__(
        self, x: float, value: float, variance: float, *, rate_sigma: float, wander: float, rate: float = 0.0
    ) -> None:
        self.x = x
        """Of the newest reading."""
        self.offset = value
        """The estimate at `x`."""
        self.rate = rate
        self._wander = wander
        # Covariance of (offset, rate).
        self._p00 = variance
        self._p01 = 0.0
        self._p11 = rate_sigma * rate_sigma

    def value(self, x: float) -> float:
        """The estimate at x, also before and after the readings."""
        return self.offset + self.rate * (x - self.x)

    def variance(self, x: float) -> float:
        """Of the estimate at x, s²; x before the newest reading counts as the newest."""
        ahead = max(0.0, x - self.x)
        walked = self._wander * ahead**3 / 3
        return self._p00 + 2 * self._p01 * ahead + self._p11 * ahead * ahead + walked

    @property
    def rate_sigma(self) -> float:
        """One standard deviation of `rate`."""
        return math.sqrt(self._p11)

    def update(self, x: float, value: float, variance: float) -> float:
        """Take a reading with its noise (s²); gives the innovation, how far it lay from the prediction.

        A reading before the newest one is taken as if it were read at the same moment as that.
        """
        ahead = max(0.0, x - self.x)
        predicted = self.offset + self.rate * ahead
        p11 = self._p11 + self._wander * ahead
        p01 = self._p01 + self._p11 * ahead + self._wander * ahead * ahead / 2
        p00 = self.variance(x)
        innovation = value - predicted
        total = p00 + variance
        gain_offset, gain_rate = p00 / total, p01 / total
        self.x = max(self.x, x)
        self.offset = predicted + gain_offset * innovation
        self.rate += gain_rate * innovation
        self._p00 = p00 * (1 - gain_offset)
        self._p01 = p01 * (1 - gain_offset)
        self._p11 = p11 - gain_rate * p01
        return innovation

    def step(self, x: float, value: float, variance: float) -> None:
        """Begin again at (x, value): the offset has stepped, but the rate is the same oscillator's as before."""
        self._p11 += self._wander * max(0.0, x - self.x)
        self.x = x
        self.offset = value
        self._p00 = variance
        self._p01 = 0.0

    def loosen(self, offset_sigma: float, rate_sigma: float) -> None:
        """Trust the past less: something has changed by about this much (seconds, seconds per second)."""
        self._p00 += offset_sigma * offset_sigma
        self._p11 += rate_sigma * rate_sigma


def wander_variance(ppm: float, seconds: float) -> float:
    """The `wander` of a rate that typically walks by `ppm` within `seconds`."""
    return (ppm * 1e-6) ** 2 / seconds

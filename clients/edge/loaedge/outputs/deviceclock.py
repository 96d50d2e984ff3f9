"""When will a sample that is written now be heard? The device's answer, freed from its noise.

A sound card's latency report is honest on average and off by a millisecond or more each time: it is counted in
periods, read at another moment than it was made, or smoothed by a sound server. But the card plays at a very even
rate. So the reports are readings of a line, frames against time, whose slope is the card's own rate error and whose
offset moves only when the card ran empty or was opened anew.
"""

from __future__ import annotations

import math
import statistics
from collections import deque

from loacodecs.linetrack import LineTracker, wander_variance

LONGEST_LATENCY_S = 10.0
"""A report beyond this is none."""

# Sound cards: within 100 ppm, one standard deviation; a shade over the box makes 1 ppm in ten minutes.
_RATE_SIGMA = 100e-6
_WANDER = wander_variance(1.0, 600.0)
# Reports closer together than this share their error: they are worth less in proportion.
_CORRELATION_S = 0.25
# Standard deviation of a report: what is assumed at first, and what it is never believed to be below.
_FIRST_NOISE_S = 1e-3
_LEAST_NOISE_S = 50e-6
# The noise is learned over about so many reports.
_NOISE_REPORTS = 100
# A report is an outlier beyond so many standard deviations, and beyond this in any case not at once believed.
_OUTLIER_SIGMAS = 5.0
_OUTLIER_S = 0.5e-3
# Outliers in a row, over at least this time, are a step: the card ran empty.
_STEP_REPORTS = 5
_STEP_AFTER_S = 0.2


class DeviceClock:
    """Estimates when a written frame leaves the loudspeaker.

    rate  nominal frames per second
    """

    def __init__(self, rate: int = 48_000) -> None:
        self.rate = rate
        self.steps = 0
        """Times the card was found to have run empty or to have skipped."""
        self.reset()

    def reset(self) -> None:
        """Forget everything: another device, or the same one opened anew; frames count from any number again."""
        self._line: LineTracker | None = None
        self._written = 0
        self._noise = _FIRST_NOISE_S**2
        # (frames written, heard at) of reports that do not fit.
        self._astray: deque[tuple[float, float]] = deque(maxlen=64)

    def note(self, written: int, latency_s: float, now: float) -> None:
        """Take a report: `written` frames so far, of which the last is heard `latency_s` after `now` (local seconds).

        Reports that cannot be true (negative, not finite, beyond LONGEST_LATENCY_S) are passed over. A number
        of frames smaller than before means a reopened device.
        """
        if not (math.isfinite(now) and 0 <= latency_s <= LONGEST_LATENCY_S):
            return
        nominal, heard = written / self.rate, now + latency_s
        if self._line is None or written < self._written:
            self._written = written
            self._astray.clear()
            self._begin(nominal, heard)
            return
        self._written = written
        apart = nominal - self._line.x
        error = heard - nominal - self._line.value(nominal)
        bound = _OUTLIER_SIGMAS * math.sqrt(self._line.variance(nominal) + self._noise) + _OUTLIER_S
        if abs(error) > bound:
            self._stray(nominal, heard)
            return
        self._astray.clear()
        self._noise += (max(error * error, _LEAST_NOISE_S**2) - self._noise) / _NOISE_REPORTS
        worth = min(1.0, max(apart, 1e-3) / _CORRELATION_S)
        self._line.update(nominal, heard - nominal, self._noise / worth)

    def heard_at(self, frame: int) -> float:
        """The local time at which frame number `frame` (0 is the first one written) is heard.

        Raises LookupError before the first report.
        """
        if self._line is None:
            raise LookupError("the device has not reported its latency yet")
        nominal = frame / self.rate
        return nominal + self._line.value(nominal)

    @property
    def known(self) -> bool:
        """Whether there was a report, and `heard_at` has an answer."""
        return self._line is not None

    @property
    def rate_ppm(self) -> float:
        """How much too slow the card plays, parts per million of the nominal rate by the local clock."""
        return 0.0 if self._line is None else self._line.rate * 1e6

    def _begin(self, nominal: float, heard: float) -> None:
        if self._line is None:
            self._line = LineTracker(
                nominal, heard - nominal, self._noise, rate_sigma=_RATE_SIGMA, wander=_WANDER
            )
        else:
            self._line.step(nominal, heard - nominal, self._noise)

    def _stray(self, nominal: float, heard: float) -> None:
        assert self._line is not None
        self._astray.append((nominal, heard))
        since = self._astray[0][1]
        if len(self._astray) >= _STEP_REPORTS and heard - since >= _STEP_AFTER_S:
            self.steps += 1
            offset = statistics.median(heard - nominal for nominal, heard in self._astray)
            self._astray.clear()
            self._line.step(nominal, offset, self._noise)

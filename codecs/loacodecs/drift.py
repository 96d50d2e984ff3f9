"""From the error of the playout to the ratio of the resampler that removes it, unheard.

The plant is simple: an error changes by (drift of the sound card's clock) - (ratio - 1). So the controller is an
observer that knows what ratio it has ordered, estimates the true error and the drift from noisy measurements, and
orders drift + a share of the error. A plain PI controller learns the drift by its integral, which also takes in every
error that saturates the ratio, and overshoots afterwards; the observer does not.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from dataclasses import dataclass

LARGEST_CORRECTION = 500e-6
"""Of the ratio from 1. A change of pitch is noticed from about 3,000 ppm, in music, side by side."""
JUMP_S = 0.030
"""Errors beyond this are mended by a jump. Two horns less than about 30 ms apart fuse into one for the ear (the
precedence effect), so a smaller error may be walked off within a minute and nobody hears it; a larger one is an echo
for as long."""

# Share of the estimated error removed per second.
_PULL = 0.5
# Errors below are left alone: a sample is 21 µs.
_DEADBAND_S = 20e-6
# Change of the ratio per second: from nothing to the limit in two.
_SLEW = 250e-6
# Time constants of the observer: quick to find the error, then slow to average the device's reports.
_QUICK_S = 1.0
_CALM_S = 10.0
# A measurement this far from the estimate is a step (a new delay was set, the device was reopened) once it persists.
_STEP_S = 0.004
_STEP_AFTER_S = 0.3
# After longer without an update the next measurement is taken as it comes.
_FORGET_S = 2.0


@dataclass(frozen=True, slots=True)
class Correction:
    """What to do about the error."""

    ratio: float
    """Input samples per output sample, within 1 ± LARGEST_CORRECTION."""
    jump: bool
    """The error is too large to be walked off: jump once, in silence if there is any soon."""


class DriftController:
    """Observer and proportional controller for one playout.

    `update` at every rendered block, or at least once a second; intervals may vary.
    """

    def __init__(self) -> None:
        self._now: float | None = None
        self._since = 0.0
        self._error = 0.0
        self._drift = 0.0
        self._correction = 0.0
        self._astray: deque[tuple[float, float]] = deque(maxlen=64)

    @property
    def drift_ppm(self) -> float:
        """The estimated drift that is being compensated: how much too slow the sound card plays, ppm."""
        return self._drift * 1e6

    @property
    def error_s(self) -> float:
        """The estimated error, free of the measurements' noise, seconds; positive is too late."""
        return self._error

    def restart(self) -> None:
        """The sound begins anew: the next measurement is taken as it comes; the drift is the card's as before."""
        self._now = None

    def update(self, error_s: float, now: float) -> Correction:
        """Take a measured error (seconds the sound is later than wanted) at local time `now`; NaN is passed over."""
        if not math.isfinite(error_s):
            return self._current()
        if self._now is None or not 0 <= now - self._now <= _FORGET_S:
            self._now = now
            self._error = error_s
            self._astray.clear()
            return self._current()
        elapsed = now - self._now
        self._now = now
        self._observe(error_s, elapsed)
        self._control(elapsed)
        return self._current()

    def _current(self) -> Correction:
        return Correction(1.0 + self._correction, abs(self._error) > JUMP_S)

    def _observe(self, measured: float, elapsed: float) -> None:
        self._error += (self._drift - self._correction) * elapsed
        if abs(self._error) > JUMP_S >= abs(measured):
            # The jump was made.
            self._error = measured
        innovation = measured - self._error
        if abs(innovation) > _STEP_S:
            self._stray(measured)
            return
        self._astray.clear()
        self._since += elapsed
        constant = min(_CALM_S, max(_QUICK_S, self._since / 2))
        # Critically damped: both poles of the observer at 1 / constant.
        share = min(1.0, elapsed / constant)
        self._error += (1 - (1 - share) ** 2) * innovation
        if elapsed > 0:
            self._drift += share * share * innovation / elapsed
        self._drift = max(-LARGEST_CORRECTION, min(self._drift, LARGEST_CORRECTION))

    def _stray(self, measured: float) -> None:
        """Ignore outliers; take over an error that stays, without mistaking it for drift."""
        assert self._now is not None
        self._astray.append((self._now, measured))
        if self._now - self._astray[0][0] >= _STEP_AFTER_S:
            self._error = statistics.median(error for _, error in self._astray)
            self._astray.clear()

    def _control(self, elapsed: float) -> None:
        pull = 0.0 if abs(self._error) < _DEADBAND_S else _PULL * self._error
        wanted = max(-LARGEST_CORRECTION, min(self._drift + pull, LARGEST_CORRECTION))
        largest = _SLEW * elapsed
        self._correction += max(-largest, min(wanted - self._correction, largest))

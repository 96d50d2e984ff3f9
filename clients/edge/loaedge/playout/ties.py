"""What time a position of the line stands for: by what the relay says, or by when packets come.

Positions are samples at 48 kHz (see `frames`), times are seconds: unix time of the relay's clock for capture times,
the local monotonic clock for arrivals.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

from loacodecs.opus import SAMPLE_RATE

DEADBAND_S: Final = 1.5 / SAMPLE_RATE
"""Statements that differ by a rounded sample say the same: two relays must not make the playhead tremble."""
SLEW: Final = 300e-6
"""How fast a tie follows: Loa's relays follow their sources at 200 ppm, sound cards are within 100 ppm."""
STEP_S: Final = 0.020
"""A statement further off is no drift: the line is tied anew from there on, once it is confirmed."""
SETTLING_S: Final = 1.5
"""So far into a segment an earlier time is taken as it is stated: a relay's clock settles on a new source in the
first second, mostly before any of it has been heard."""
SPLICE_STEP_S: Final = 0.003
"""The same where the relay changed its source, which is where ties change."""
_AGREE_S: Final = 0.005
_SEGMENTS: Final = 8
_WINDOW_S: Final = 8.0
_SETTLE_S: Final = 0.5
_ARRIVAL_STEP_S: Final = 0.25


class CaptureTie:
    """When samples were captured, from sender reports and abs-capture-time; piecewise, as sources come and go."""

    def __init__(self) -> None:
        # (first position, capture time of position 0) of each segment, in order.
        self._segments: deque[tuple[int, float]] = deque(maxlen=_SEGMENTS)
        self._stated = 0
        self._doubt: float | None = None

    @property
    def known(self) -> bool:
        """Whether anything has been stated."""
        return bool(self._segments)

    def state(self, position: int, captured: float, *, splice: bool = False) -> None:
        """Somebody says that `position` was captured at `captured`; `splice` tells of a change of source there.

        Small differences are followed slowly, large ones from `position` on.
        """
        zero = captured - position / SAMPLE_RATE
        if not self._segments:
            self._segments.append((position, zero))
            self._stated = position
            return
        begin, current = self._segments[-1]
        difference = zero - current
        if abs(difference) > (SPLICE_STEP_S if splice else STEP_S):
            agreed = self._doubt is not None and abs(zero - self._doubt) < _AGREE_S
            self._doubt = zero
            if (splice or agreed) and position >= begin:
                self._segments.append((position, zero))
                self._stated, self._doubt = position, None
            return
        self._doubt = None
        if position > self._stated:
            limit = SLEW * (position - self._stated) / SAMPLE_RATE
            self._stated = position
            if difference < -DEADBAND_S and position - begin < SETTLING_S * SAMPLE_RATE:
                self._segments[-1] = (begin, zero)
            elif abs(difference) > DEADBAND_S:
                self._segments[-1] = (begin, current + max(-limit, min(limit, difference)))

    def captured(self, position: float) -> float:
        """When `position` was captured; only after a statement."""
        zero = self._segments[0][1]
        for begin, offset in self._segments:
            if begin <= position:
                zero = offset
        return zero + position / SAMPLE_RATE

    def position_at(self, captured: float) -> float:
        """The position captured at `captured`; only after a statement.

        Where a segment ends before the next one is due, its end: nothing was captured in between.
        """
        limit = math.inf
        position = 0.0
        for begin, zero in reversed(self._segments):
            position = min((captured - zero) * SAMPLE_RATE, limit)
            if position >= begin:
                break
            limit = begin
        return position


class ArrivalTie:
    """When positions would arrive had the network not held them up beyond its quickest: the lower envelope."""

    def __init__(self) -> None:
        self._offset: float | None = None  # arrival of position 0
        self._current = self._previous = math.inf
        self._window_began = self._slewed_at = self._settled_at = 0.0

    @property
    def known(self) -> bool:
        """Whether anything has arrived."""
        return self._offset is not None

    def reset(self) -> None:
        """Forget everything."""
        self._offset = None
        self._current = self._previous = math.inf

    def on_arrival(self, position: int, now: float) -> None:
        """The packet that begins at `position` has come at `now`."""
        offset = now - position / SAMPLE_RATE
        if self._offset is None:
            self._offset = offset
            self._window_began = self._slewed_at = now
            self._settled_at = now + _SETTLE_S
        if now - self._window_began >= _WINDOW_S:
            self._previous, self._current = self._current, math.inf
            self._window_began = now
        self._current = min(self._current, offset)
        error = min(self._previous, self._current) - self._offset
        if now < self._settled_at:  # nothing has been heard yet
            self._offset += error
            return
        limit = max(0.0, now - self._slewed_at) * SLEW
        self._slewed_at = now
        self._offset += error if abs(error) > _ARRIVAL_STEP_S else max(-limit, min(limit, error))

    def arrival(self, position: float) -> float:
        """When `position` arrives at its quickest; only after an arrival."""
        assert self._offset is not None
        return self._offset + position / SAMPLE_RATE

    def position_at(self, local: float) -> float:
        """The position that arrives at `local` at its quickest; only after an arrival."""
        assert self._offset is not None
        return (local - self._offset) * SAMPLE_RATE

"""When was a sample captured? Ties a channel's sample clock to wall time.

At the first relay the capture time of a sample is when its packet would have arrived had the network not
delayed it beyond its quickest: the lower envelope of arrival minus media time. A relay that pulls from
another relay carries the first relay's capture times on instead, so every hop names the same instant.

All times are unix seconds; media time is the channel's timestamp over 48 kHz, unwrapped.
"""

from __future__ import annotations

from loacodecs.rtp import timestamp_delta
from relay.channels.timeline import CLOCK_RATE

SETTLE_S = 1.0
"""So long after the first packet an earlier time is taken at once: the first one was late more often than not (a
station that has just connected sends what had to wait), and to slew 20 ms off would take 100 s."""

WINDOW_S = 8.0
"""The envelope is the smaller minimum of this window and the one before."""

SLEW = 200e-6
"""How fast the estimate follows: a sound card may be 100 ppm off, a network's change of route is not
followed at once."""

STEP_S = 0.25
"""An estimate further off than this is set anew, not slewed. Nor is a wall clock that was set forward by so much taken
for a delay of the network, which would be believed when two windows are over: it gains on the monotonic one."""


class CaptureClock:
    """Capture time of channel timestamps, from arrivals or from what an upstream relay says."""

    __slots__ = (
        "_began",
        "_carried",
        "_current",
        "_lead",
        "_offset",
        "_previous",
        "_reference",
        "_slewed_at",
        "_window_start",
    )

    def __init__(self) -> None:
        self._reference = 0
        self._offset: float | None = None  # unix time of timestamp `_reference`
        self._carried = False
        self._current = self._previous = float("inf")
        self._began = self._window_start = self._slewed_at = 0.0
        self._lead = 0.0

    @property
    def known(self) -> bool:
        """Whether any packet has tied the clock yet."""
        return self._offset is not None

    @property
    def carried(self) -> bool:
        """Whether capture times come from an upstream relay."""
        return self._carried

    def settling(self, arrival: float) -> bool:
        """Whether the tie is so young at `arrival` that it may still step, to earlier times."""
        return self._offset is not None and not self._carried and 0 <= arrival - self._began < SETTLE_S

    def reset(self) -> None:
        """Forget the tie: another source, with another delay, feeds the channel."""
        self._offset = None
        self._carried = False
        self._current = self._previous = float("inf")

    def on_arrival(self, timestamp: int, arrival: float, lead: float = 0.0) -> None:
        """A packet starting at `timestamp` arrived at `arrival` (unix seconds), `lead` ahead of the monotonic clock
        when it was dealt with."""
        if self._carried:
            return
        self._follow(lead)
        if self._offset is None:
            self._reference = timestamp
            self._offset = arrival
            self._began = self._window_start = self._slewed_at = arrival
        offset = arrival - timestamp_delta(timestamp, self._reference) / CLOCK_RATE
        self._advance_reference(timestamp)
        if not 0 <= arrival - self._window_start < WINDOW_S:
            self._previous, self._current = self._current, float("inf")
            self._window_start = arrival
        self._current = min(self._current, offset)
        target = min(self._previous, self._current)
        error = target - self._offset
        limit = max(0.0, arrival - self._slewed_at) * SLEW
        self._slewed_at = arrival
        at_once = abs(error) > STEP_S or (error < 0 and self.settling(arrival))
        self._offset += error if at_once else max(-limit, min(limit, error))

    def on_statement(self, timestamp: int, captured: float) -> None:
        """The source itself says that `timestamp` was captured at `captured` (unix seconds): carry it on."""
        self._carried = True
        self._reference = timestamp
        self._offset = captured

    def capture(self, timestamp: int) -> float | None:
        """Unix time at which `timestamp` was captured, or None before the first packet."""
        if self._offset is None:
            return None
        return self._offset + timestamp_delta(timestamp, self._reference) / CLOCK_RATE

    def timestamp_at(self, captured: float) -> int | None:
        """The channel timestamp captured at `captured`: what a sender report pairs with its NTP time."""
        if self._offset is None:
            return None
        return (self._reference + round((captured - self._offset) * CLOCK_RATE)) & 0xFFFF_FFFF

    def _follow(self, lead: float) -> None:
        """The envelope begins anew where the wall clock was set forward: nothing else makes it gain so much."""
        gained = lead - self._lead
        if gained > STEP_S:
            self._previous = self._current = float("inf")
        if gained > 0 or gained < -STEP_S:
            self._lead = lead

    def _advance_reference(self, timestamp: int) -> None:
        """Keep the reference within half the timestamp circle (12 hours) of the packets."""
        ahead = timestamp_delta(timestamp, self._reference)
        if ahead > CLOCK_RATE * 3600 and self._offset is not None:
            step = ahead / CLOCK_RATE
            self._reference = timestamp
            self._offset += step
            self._current += step
            self._previous += step

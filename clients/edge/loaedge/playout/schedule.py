"""When each position of the line is to be heard: capture time plus delay, or arrival plus delay while unknown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from loacodecs.opus import SAMPLE_RATE

from .ties import ArrivalTie, CaptureTie

IN_FUTURE_S: Final = 1.0
"""Sound captured so long from now was not: two clocks disagree, and the tie is worth nothing."""
BEYOND_REACH_S: Final = 5.0
"""When for so long everything has come after its time, sound at the wrong time is better than none."""


@dataclass(frozen=True, slots=True)
class PlayoutSettings:
    """What is chosen: delay of the channel, and what this receiver adds to it (0 … 1 s)."""

    delay_s: float = 0.7
    trim_s: float = 0.0

    @property
    def total_s(self) -> float:
        """From capture to the ear."""
        return self.delay_s + self.trim_s


class RelayClock(Protocol):
    """What the playout asks of `loacodecs.clocksync.ClockSync`."""

    def relay_time(self, local: float) -> float | None:
        """The relay's unix time at local monotonic time `local`; None while unknown."""

    def local_time(self, relay: float) -> float | None:
        """The local monotonic time at the relay's unix time `relay`; None while unknown."""

    def confidence_s(self, local: float) -> float | None:
        """A bound for the error of `relay_time(local)`; None while unknown."""


class Schedule:
    """Maps local times to positions and back. Every receiver with the same tie and clock plays the same sample.

    Without a tie or a clock the earliest arrivals stand for the captures: constant delay, but not in step with
    others. When a known clock or tie is lost the line goes on from where it is.
    """

    def __init__(self, clock: RelayClock, settings: PlayoutSettings) -> None:
        self.settings = settings
        self.capture = CaptureTie()
        self.arrival = ArrivalTie()
        self._clock = clock
        self._unreachable = False
        self._late_since: float | None = None
        self._in_time_since: float | None = None
        self._held: tuple[float, float] | None = None  # local time and position while captures decided
        self._bias = 0.0

    @property
    def tied(self) -> bool:
        """Whether capture times decide (at the last question)."""
        return self._held is not None

    def position_at(self, local: float) -> float | None:
        """The position to be heard at local time `local`; None before anything came."""
        if self.capture.known and not self._unreachable:
            relay = self._clock.relay_time(local)
            if relay is not None:
                position = self.capture.position_at(relay - self.settings.total_s)
                self._held = (local, position)
                return position
        if not self.arrival.known:
            return None
        position = self.arrival.position_at(local - self.settings.total_s)
        if self._held is not None:
            since, reached = self._held
            self._bias = reached + (local - since) * SAMPLE_RATE - position
            self._held = None
        return position + self._bias

    def local_time(self, position: float) -> float | None:
        """When `position` is to be heard; None before anything came."""
        if self.capture.known and not self._unreachable:
            local = self._clock.local_time(self.capture.captured(position) + self.settings.total_s)
            if local is not None:
                return local
        if not self.arrival.known:
            return None
        return self.arrival.arrival(position - self._bias) + self.settings.total_s

    def newest_arrival(self, now: float) -> float | None:
        """The position that would arrive just now at its quickest; None before anything came."""
        return self.arrival.position_at(now) if self.arrival.known else None

    def on_frame(self, position: int, late: bool, now: float) -> bool:
        """A frame came, in time or not. True when from now on another tie decides."""
        self._late_since = (self._late_since or now) if late else None
        if self._late_since is not None and now - self._late_since >= BEYOND_REACH_S:
            self._late_since = None
            if self.tied:
                self._give_up()
            else:
                self.arrival.reset()  # the way has become longer for good
            return True
        return self._unreachable and self._within_reach_again(position, now)

    def _within_reach_again(self, position: int, now: float) -> bool:
        relay = self._clock.relay_time(now) if self.capture.known else None
        age = None if relay is None else relay - self.capture.captured(position)
        if age is None or not -IN_FUTURE_S < age < self.settings.total_s:
            self._in_time_since = None
            return False
        self._in_time_since = self._in_time_since or now
        if now - self._in_time_since < BEYOND_REACH_S:
            return False
        self._unreachable = False
        return True

    def on_capture(self, position: int, now: float) -> bool:
        """A capture time was stated for `position`, which came at `now`. True when the tie had to be given up."""
        relay = self._clock.relay_time(now)
        if relay is None or self._unreachable or self.capture.captured(position) < relay + IN_FUTURE_S:
            return False
        self._give_up()
        return True

    def _give_up(self) -> None:
        self._unreachable = True
        self._in_time_since = self._held = None
        self._bias = 0.0

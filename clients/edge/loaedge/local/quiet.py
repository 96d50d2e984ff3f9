"""Quiet hours, enforced in the receiver itself: whatever a relay or a mis-set schedule wants.

Between `start` and `end` by the local clock nothing but an emergency is heard. While the time is unknown the
answer is the careful one: it might be night.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time

from loacodecs.errors import ConfigurationError

from .timetable import BulletinClass, parse_time


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `start` to `end`, local times of day, over midnight if start is the later; equal: never quiet."""

    start: time = time(21, 0)
    end: time = time(5, 0)

    @classmethod
    def parse(cls, text: str) -> QuietHours:
        """From "21:00-05:00". Raises ConfigurationError."""
        start, dash, end = text.partition("-")
        if not dash:
            raise ConfigurationError(f"quiet hours are written as 21:00-05:00, not {text!r}")
        return cls(parse_time(start.strip()), parse_time(end.strip()))

    @property
    def never(self) -> bool:
        """Whether no hour is quiet."""
        return self.start == self.end

    def quiet_at(self, now: datetime) -> bool:
        """Whether `now`, in the receiver's zone, lies in the quiet hours."""
        moment = now.time()
        if self.start < self.end:
            return self.start <= moment < self.end
        return not self.never and (moment >= self.start or moment < self.end)

    def forbids(self, kind: BulletinClass, now: datetime | None) -> bool:
        """Whether a bulletin of class `kind` must not be heard at `now`; None means that the time is unknown."""
        if self.never or kind == "emergency":
            return False
        return now is None or self.quiet_at(now)

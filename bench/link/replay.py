"""A recorded trace as a link: the path does again what it did, from the beginning when it comes to the end."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import Literal

from .counts import Counts
from .model import Links
from .trace import Recording, Trace

Pace = Literal["time", "packet"]
"""What moves a replay on.

"time"    a packet meets what the packet before that moment of the recording met: outages last as long as they did,
          whatever is sent now
"packet"  the n-th packet meets what the n-th packet met: the very same losses, whenever they are sent
"""


class Replay:
    """Decides the fates of one direction's packets from a recording."""

    def __init__(self, recording: Recording, period: float, epoch: float, pace: Pace = "time") -> None:
        """`epoch` is the moment at which the recording begins, `period` its length, in seconds."""
        self.counts = Counts()
        self._recording = recording
        self._period = period
        self._epoch = epoch
        self._by_time = pace == "time"
        self._in_order = recording.in_order
        self._packets = 0
        self._now = -math.inf
        self._last_delivery = -math.inf
        self._losing = False

    def fate(self, now: float, size: int) -> tuple[float, ...]:
        """When a datagram of `size` payload bytes sent at `now` is delivered, rising; () if lost.

        Other packets than the recorded ones keep their order if those did.
        """
        self._now = now = max(now, self._now)
        delays = self._recording.delays_of(self._index(now))
        counts = self.counts
        counts.offered += 1
        counts.bytes += size
        if not delays:
            counts.lost_chance += 1
            counts.bursts += not self._losing
            self._losing = True
            return ()
        self._losing = False
        counts.doubled += len(delays) > 1
        deliveries = sorted(now + delay for delay in delays)
        if self._in_order:
            deliveries = [max(delivery, self._last_delivery) for delivery in deliveries]
            self._last_delivery = deliveries[-1]
        return tuple(deliveries)

    def _index(self, now: float) -> int:
        times = self._recording.times
        if self._by_time:
            # -1, before the first packet: what the last one met still holds
            return (bisect_right(times, (now - self._epoch) % self._period) - 1) % len(times)
        self._packets += 1
        return (self._packets - 1) % len(times)


def links(trace: Trace, pace: Pace = "time") -> Links:
    """Both directions for each client; the clients of the trace take turns."""

    def make(client: int, epoch: float) -> tuple[Replay, Replay]:
        return (
            Replay(trace.recording(client, "up"), trace.period, epoch, pace),
            Replay(trace.recording(client, "down"), trace.period, epoch, pace),
        )

    return make

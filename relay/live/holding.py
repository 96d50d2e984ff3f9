"""Opus packets of one source by their place in media time, as they wait for the mixer. Bounded; nothing raises.

A *position* is a sample number at 48 kHz: the RTP timestamp without wraps, counted from the first packet of a run.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import Final, NamedTuple

from loacodecs.errors import MalformedError
from loacodecs.opus import SAMPLE_RATE, packet_samples
from loacodecs.rtp import sequence_delta, timestamp_delta

CAPACITY: Final = 128
"""Packets held at most; of 20 ms, 2.5 s."""
LEAP_SAMPLES: Final = 10 * SAMPLE_RATE
"""A timestamp further off than this is a source that started afresh."""
LEAP_PACKETS: Final = 3_000
"""And so is a sequence number (RFC 3550 §A.1)."""


class Arrival(NamedTuple):
    """A packet as the media thread hands it over: `at` is when it came (monotonic seconds)."""

    ssrc: int
    sequence: int
    timestamp: int
    payload: bytes
    at: float


class Held(NamedTuple):
    """A packet that waits."""

    start: int
    end: int
    sequence: int
    payload: bytes
    at: float


class Holding:
    """Takes packets in any order. `floor` is the position before which everything has been played."""

    def __init__(self) -> None:
        self.floor = 0
        self.run = 0
        """Counts the times that the source started afresh."""
        self.malformed = 0
        self.late = 0
        self.overflowed = 0
        self._packets: dict[int, Held] = {}
        self._starts: list[int] = []
        self._ssrc: int | None = None
        self._newest: tuple[int, int, int] | None = None  # 16-bit sequence, timestamp, position

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def first(self) -> Held | None:
        """The earliest."""
        return self._packets[self._starts[0]] if self._starts else None

    @property
    def last(self) -> Held | None:
        """The latest."""
        return self._packets[self._starts[-1]] if self._starts else None

    @property
    def samples(self) -> int:
        """How much sound they hold."""
        # Read from other threads: a copy is made in one step, a loop over the packets is not.
        return sum(packet.end - packet.start for packet in list(self._packets.values()))

    def put(self, arrival: Arrival) -> None:
        """Take a packet in."""
        try:
            samples = packet_samples(arrival.payload)
        except MalformedError:
            self.malformed += 1
            return
        start = self._place(arrival)
        if start < self.floor:
            self.late += 1
            return
        if start in self._packets:
            return
        self._packets[start] = Held(start, start + samples, arrival.sequence, arrival.payload, arrival.at)
        insort(self._starts, start)
        if len(self._starts) > CAPACITY:
            self.overflowed += 1
            self.take()

    def take(self) -> Held:
        """The earliest, which goes. Raises IndexError when there is none."""
        packet = self._packets.pop(self._starts.pop(0))
        self.floor = max(self.floor, packet.end)
        return packet

    def drop_before(self, position: int) -> int:
        """Let go of all that begin before `position`; gives how many."""
        count = bisect_left(self._starts, position)
        for start in self._starts[:count]:
            del self._packets[start]
        del self._starts[:count]
        self.floor = max(self.floor, position)
        return count

    def ready_before(self, moment: float) -> Held | None:
        """The latest of those that came before `moment`, None when there is none."""
        for start in reversed(self._starts):
            if self._packets[start].at <= moment:
                return self._packets[start]
        return None

    def _place(self, arrival: Arrival) -> int:
        if self._newest is not None and arrival.ssrc == self._ssrc:
            sequence, timestamp, position = self._newest
            ahead = timestamp_delta(arrival.timestamp, timestamp)
            steps = sequence_delta(arrival.sequence & 0xFFFF, sequence)
            if abs(ahead) <= LEAP_SAMPLES and abs(steps) <= LEAP_PACKETS:
                if ahead > 0:
                    self._newest = arrival.sequence & 0xFFFF, arrival.timestamp, position + ahead
                return position + ahead
        self._packets.clear()
        self._starts.clear()
        self._ssrc = arrival.ssrc
        self.run += 1
        start = self.floor + LEAP_SAMPLES  # whatever still comes of the run before is late
        self.floor = start
        self._newest = arrival.sequence & 0xFFFF, arrival.timestamp, start
        return start

"""One continuous sequence and sample clock for a channel, whatever sources come and go.

A source keeps its own gaps (a lost packet stays a gap that listeners may ask for again); a change of source,
or a jump no network makes, becomes a splice: the sequence goes on by one, and the timestamp by the time that
passed.
"""

from __future__ import annotations

from dataclasses import dataclass

from loacodecs.rtp import sequence_delta, timestamp_delta

CLOCK_RATE = 48_000
"""RTP clock of Opus whatever its bandwidth (RFC 7587 §4.1)."""

FRAME = 960
"""Samples of a 20 ms frame: splices land on whole frames."""

MAX_DROPOUT = 3_000
"""A jump of more packets than this is a restart of the source, not a loss (RFC 3550 §A.1)."""

MAX_LATE = 512
"""A packet this many behind the newest is a restart, too."""

REBASE_SAMPLES = 10 * CLOCK_RATE
"""A timestamp this far from where the sequence and the clock say it should be is a restart."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a packet stands in the channel: extended sequence (never wraps), timestamp modulo 2^32."""

    sequence: int
    timestamp: int
    spliced: bool


class Timeline:
    """Maps a source's (SSRC, sequence, timestamp) to the channel's.

    The channel starts at sequence 0 and `first_timestamp`. Extended sequence numbers are returned; rows use
    them modulo 2^16.
    """

    __slots__ = (
        "_first", "_key", "_sequence_base", "_source_highest", "_timestamp_base", "_timestamp_highest",
        "last_time", "sequence", "timestamp",
    )  # fmt: skip

    def __init__(self, first_timestamp: int = 0) -> None:
        self.sequence = -1
        """Extended sequence of the newest packet; -1 before the first."""
        self.timestamp = first_timestamp
        self.last_time = 0.0
        self._first = 0
        self._key: tuple[object, int] | None = None
        self._sequence_base = 0
        self._timestamp_base = 0
        self._source_highest = 0
        self._timestamp_highest = 0

    def place(self, source: object, ssrc: int, sequence: int, timestamp: int, now: float) -> Position | None:
        """Where the packet belongs. `now` is its arrival, in seconds of a monotonic clock.

        None for a packet from before the splice that its source began with: its number is somebody else's.
        """
        key = (source, ssrc)
        spliced = key != self._key or self._restarted(sequence, timestamp, now)
        if spliced:
            self._splice(key, sequence, timestamp, now)
        ahead = sequence_delta(sequence, self._source_highest & 0xFFFF)
        extended = self._source_highest + ahead
        if extended + self._sequence_base < self._first:
            return None
        out = Position(
            extended + self._sequence_base, (timestamp + self._timestamp_base) & 0xFFFF_FFFF, spliced
        )
        if ahead >= 0:
            self._source_highest = extended
            self._timestamp_highest = timestamp
            self.sequence = out.sequence
            self.timestamp = out.timestamp
            self.last_time = now
        return out

    def following(self, source: object, ssrc: int) -> tuple[int, int, int, int] | None:
        """What comes after the newest packet, if that was the current source's: the source's 16-bit sequence for it,
        the newest packet's timestamp at the source, the channel's extended sequence for it, and what is added to its
        timestamp. None for another source, and after `skip`."""
        if self._key != (source, ssrc):
            return None
        following = self._source_highest + 1
        return (
            following & 0xFFFF, self._timestamp_highest, following + self._sequence_base, self._timestamp_base,
        )  # fmt: skip

    def skip(self, sequence: int, timestamp: int) -> None:
        """Never give out `sequence`, or any before it, again; the next packet is a splice after it."""
        self._key = None
        if sequence > self.sequence:
            self.sequence, self.timestamp = sequence, timestamp

    def translate(self, source: object, ssrc: int, timestamp: int) -> int | None:
        """The channel's timestamp for one of the current source's; None when `source` is not the current
        one."""
        if self._key != (source, ssrc):
            return None
        return (timestamp + self._timestamp_base) & 0xFFFF_FFFF

    def _restarted(self, sequence: int, timestamp: int, now: float) -> bool:
        ahead = sequence_delta(sequence, self._source_highest & 0xFFFF)
        if not -MAX_LATE <= ahead <= MAX_DROPOUT:
            return True
        jump = timestamp_delta(timestamp, self._timestamp_highest)
        passed = (now - self.last_time) * CLOCK_RATE
        return abs(jump - passed) > REBASE_SAMPLES and abs(jump) > REBASE_SAMPLES

    def _splice(self, key: tuple[object, int], sequence: int, timestamp: int, now: float) -> None:
        first = self.sequence < 0
        passed = 0 if first else max(1, round((now - self.last_time) * CLOCK_RATE / FRAME)) * FRAME
        self._key = key
        self._source_highest = sequence
        self._timestamp_highest = timestamp
        self._first = self.sequence + 1
        self._sequence_base = self._first - sequence
        self._timestamp_base = (self.timestamp + passed - timestamp) & 0xFFFF_FFFF

"""One run of RTP packets from one source: its counters without wraps, its gaps and its pauses."""

from __future__ import annotations

from typing import Final, NamedTuple

from loacodecs.opus import SAMPLE_RATE
from loacodecs.rtp import SequenceUnwrapper, sequence_delta, timestamp_delta

from .frames import Frame
from .overdue import Overdue
from .repair import Repair, RoundTrip

MAX_DROPOUT: Final = 3000
"""A leap of more packets is a sender that started afresh (RFC 3550 §A.1)."""
MAX_MISORDER: Final = 512
LEAP_SAMPLES: Final = 10 * SAMPLE_RATE
"""A timestamp this far from the one before, and from where the time gone by puts it, is a fresh start."""
_REMEMBERED: Final = 512


class Unit(NamedTuple):
    """The content of one packet. Positions of its frames are media times of its stream."""

    sequence: int
    frames: list[Frame]
    at: float
    captured: float | None
    splice: bool

    @property
    def start(self) -> int:
        """Media time at which it begins."""
        return self.frames[0].start

    @property
    def end(self) -> int:
        """Media time after its last sample."""
        return self.frames[-1].end


class Stream:
    """Packets with one SSRC, as long as their counters run on.

    `shift` is what has to be added to the stream's media time for the position on the line; None while unknown.
    """

    def __init__(self, ssrc: int, round_trip: RoundTrip) -> None:
        self.ssrc = ssrc
        self.shift: int | None = None
        self.repair = Repair(round_trip)
        self.overdue = Overdue(round_trip)
        self.capture: tuple[int, float] | None = None
        """The newest statement: media time and when it was captured."""
        self.stated = False
        """Whether the line has been told what this stream says of capture times."""
        self.newest = -1
        """Extended sequence number of the packet furthest on."""
        self._media = 0
        self._at = 0.0
        self._unwrapper = SequenceUnwrapper()
        self._extents: dict[int, tuple[int, int]] = {}

    def follows(self, sequence: int, timestamp: int, now: float) -> bool:
        """Whether a packet with these counters belongs to this run."""
        if self.newest < 0:
            return True
        if not -MAX_MISORDER <= sequence_delta(sequence, self.newest & 0xFFFF) <= MAX_DROPOUT:
            return False
        if abs(timestamp_delta(timestamp, self._media & 0xFFFFFFFF)) <= LEAP_SAMPLES:
            return True
        return abs(timestamp_delta(timestamp, self._expected(now) & 0xFFFFFFFF)) <= LEAP_SAMPLES

    def unwrap(self, sequence: int, timestamp: int, now: float) -> tuple[int, int]:
        """Extended sequence number and media time of a packet that follows."""
        extended = self._unwrapper.unwrap(sequence)
        if self.newest < 0:
            return extended, timestamp
        return extended, self.media_time(timestamp, now)

    def media_time(self, timestamp: int, now: float) -> int:
        """The timestamp without wraps, taken to be near the newest packet or, after a pause, near now."""
        near = timestamp_delta(timestamp, self._media & 0xFFFFFFFF)
        if abs(near) > LEAP_SAMPLES:
            expected = self._expected(now)
            return expected + timestamp_delta(timestamp, expected & 0xFFFFFFFF)
        return self._media + near

    def known(self, sequence: int) -> bool:
        """Whether the content of packet `sequence` has come already."""
        return sequence in self._extents

    def note(self, sequence: int, begin: int, end: int, now: float) -> tuple[int, list[tuple[int, int]]]:
        """Packet `sequence` with the media time begin … end-1 has come.

        Gives how many missing packets had to be given up, and the pauses it shows: stretches of media time
        before and after it for which no packet was sent.
        """
        extents = self._extents
        extents[sequence] = begin, end
        given_up = 0
        pauses = []
        before = extents.get(sequence - 1)
        if before is not None and before[1] < begin:
            pauses.append((before[1], begin))
        if sequence > self.newest:
            if before is None and self.newest >= 0:
                given_up = self._gap(sequence, begin, now)
            self.newest, self._media, self._at = sequence, begin, now
            extents.pop(sequence - _REMEMBERED, None)
            if len(extents) > 2 * _REMEMBERED:
                self._extents = {k: v for k, v in extents.items() if k > sequence - _REMEMBERED}
        else:
            after = extents.get(sequence + 1)
            if after is not None and end < after[0]:
                pauses.append((end, after[0]))
        return given_up, pauses

    def _gap(self, sequence: int, begin: int, now: float) -> int:
        """Packets between the newest and `sequence` are missing, save those that came by redundancy."""
        first, count = self.newest + 1, sequence - self.newest - 1
        known = self._extents.get(self.newest)
        start = min(begin, known[1] if known is not None else begin - count * 960)
        asked = self.overdue.missed(first, sequence)
        return self.repair.notice(first, start, begin, count, now, asked)

    def _expected(self, now: float) -> int:
        return self._media + int(max(0.0, now - self._at) * SAMPLE_RATE)

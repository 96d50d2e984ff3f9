"""Opus frames by their place in media time: in order, once each, bounded.

A *position* is a sample number at 48 kHz on the channel's own line, without wraps. Packets are taken apart into
frames before they come here, so renditions that pack the same frames differently are the same thing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import deque
from enum import Enum
from typing import Final, NamedTuple

from loacodecs.opus import SAMPLE_RATE, packet_frames, packet_samples, split_frames

CAPACITY: Final = 2048
"""Frames held at most: 5 s of the shortest, 40 s of the usual ones."""
HISTORY_SAMPLES: Final = 2 * SAMPLE_RATE
"""How long read frames are kept: a second source that lags is recognised by them."""
_PAUSES: Final = 64
_TRIM: Final = 32


class Frame(NamedTuple):
    """One Opus frame as a packet of its own (RFC 6716 §3.2.2): where it begins, how long it is."""

    start: int
    samples: int
    data: bytes

    @property
    def end(self) -> int:
        """The position after its last sample."""
        return self.start + self.samples

    def moved(self, shift: int) -> Frame:
        """The same frame `shift` samples later."""
        return Frame(self.start + shift, self.samples, self.data) if shift else self


def take_apart(payload: bytes, start: int) -> list[Frame]:
    """The frames of an Opus packet that begins at `start`, each as a packet of its own.

    A decoder hears from them what it would hear from the packet. Raises MalformedError.
    """
    samples = packet_samples(payload)
    if not payload[0] & 3:
        return [Frame(start, samples, payload)]
    size = samples // packet_frames(payload)
    head = bytes((payload[0] & 0xFC,))
    return [
        Frame(start + index * size, size, head + data) for index, data in enumerate(split_frames(payload))
    ]


class Insertion(Enum):
    """What became of a frame given to the buffer."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    """Its time is taken by another frame."""
    LATE = "late"


class FrameBuffer:
    """Frames of one line. `floor` is the position before which everything has been read or passed over."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.floor = 0
        self.newest = 0
        """The end of the last frame in media time."""
        self._capacity = capacity
        self._frames: dict[int, Frame] = {}
        self._starts: list[int] = []
        self._pauses: deque[tuple[int, int]] = deque(maxlen=_PAUSES)

    def __len__(self) -> int:
        return len(self._starts)

    def insert(self, frame: Frame) -> Insertion:
        """Take a frame; when there are too many the oldest goes."""
        start, starts = frame.start, self._starts
        known = self._frames.get(start)
        if known is not None:
            return Insertion.DUPLICATE if known.data == frame.data else Insertion.CONFLICT
        if frame.end <= self.floor:
            return Insertion.LATE
        if not starts or start >= self.newest:
            starts.append(start)
        else:
            if self._overlaps(frame):
                return Insertion.CONFLICT
            insort(starts, start)
        self._frames[start] = frame
        self.newest = max(self.newest, frame.end)
        if len(starts) > self._capacity:
            del self._frames[starts.pop(0)]
        return Insertion.ACCEPTED

    def replace(self, frame: Frame) -> None:
        """Put other content where a frame is held that begins at the same position and is as long."""
        known = self._frames.get(frame.start)
        if known is not None and known.samples == frame.samples:
            self._frames[frame.start] = frame

    def at(self, position: int) -> Frame | None:
        """The frame that holds the sample at `position`."""
        frame = self._frames.get(position)
        if frame is not None:
            return frame
        index = bisect_right(self._starts, position) - 1
        if index < 0:
            return None
        frame = self._frames[self._starts[index]]
        return frame if frame.end > position else None

    def after(self, position: int) -> Frame | None:
        """The first frame that begins at `position` or later."""
        index = bisect_left(self._starts, position)
        return self._frames[self._starts[index]] if index < len(self._starts) else None

    def between(self, begin: int, end: int) -> list[Frame]:
        """The frames that begin in begin … end-1."""
        starts = self._starts
        return [
            self._frames[start] for start in starts[bisect_left(starts, begin) : bisect_left(starts, end)]
        ]

    def advance(self, position: int) -> None:
        """Everything before `position` has been read; forgets what is older than the history."""
        self.floor = position
        starts = self._starts
        oldest = position - HISTORY_SAMPLES
        # Not with every frame: to take from the front of a list costs the same for one as for many.
        if len(starts) > _TRIM and starts[_TRIM] < oldest:
            passed = bisect_left(starts, oldest)
            for start in starts[:passed]:
                del self._frames[start]
            del starts[:passed]

    def pause(self, begin: int, end: int) -> None:
        """Note that the sender sent nothing for begin … end-1."""
        if end > begin:
            self._pauses.append((begin, end))

    def paused(self, begin: int, end: int) -> int:
        """How many samples of begin … end-1 the sender left out."""
        covered, reached = 0, begin
        for first, last in sorted(self._pauses):
            first, last = max(first, reached), min(last, end)
            if last > first:
                covered += last - first
                reached = last
        return covered

    def complete(self, begin: int, end: int) -> int:
        """From `begin` on, how many of begin … end-1 are held or were left out by the sender."""
        reached = begin
        while reached < end:
            frame = self.at(reached)
            if frame is not None:
                reached = frame.end
                continue
            following = self.after(reached)
            if following is None or self.paused(reached, following.start) < following.start - reached:
                break
            reached = following.start
        return min(reached, end) - begin

    def unique_payloads(self, shortest: int) -> dict[bytes, int]:
        """The start of every frame of `shortest` octets or more whose content is held only once."""
        found: dict[bytes, int] = {}
        repeated: set[bytes] = set()
        for frame in self._frames.values():
            if len(frame.data) >= shortest:
                if frame.data in found:
                    repeated.add(frame.data)
                found[frame.data] = frame.start
        for data in repeated:
            del found[data]
        return found

    def _overlaps(self, frame: Frame) -> bool:
        index = bisect_right(self._starts, frame.start)
        if index < len(self._starts) and self._starts[index] < frame.end:
            return True
        return index > 0 and self._frames[self._starts[index - 1]].end > frame.start

"""The line of media time that all sources of a channel are laid on, and how they find their place there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from loacodecs.opus import SAMPLE_RATE, is_dtx

from .frames import Frame, FrameBuffer, Insertion
from .schedule import PlayoutSettings, RelayClock, Schedule
from .stats import PlayoutStats
from .stream import Stream, Unit

LIVE_S: Final = 0.3
"""A source that brought nothing for so long does not keep others from taking its place."""
TIE_S: Final = 1.0
"""Nor, after so long, from saying what time it is."""
DISTINCT_OCTETS: Final = 12
"""Shorter frames are silence, and alike."""
NEAR_SAMPLES: Final = SAMPLE_RATE // 10
"""One frame alone is proof if capture times agree so well; otherwise there have to be `_CERTAIN`."""
STATEMENT_S: Final = 0.4
"""How long a fresh stream waits for a capture time before arrivals tell its place."""
OFF_AIR_SAMPLES: Final = 10 * SAMPLE_RATE
"""A fresh stream after a longer silence: nobody was on air. After a shorter one sound was lost."""
CONFLICTS: Final = 3
"""So many frames in a row that differ from another source's are no accident."""
ROUNDING_SAMPLES: Final = 96
"""Statements of capture times are good to a sample or two; 2 ms are nobody's delay."""
EXPECTED_SAMPLES: Final = 3 * SAMPLE_RATE
"""So long after the newest frame another one is expected; after that nobody is on air."""
_CERTAIN: Final = 3


class Line:
    """Frames of all sources by position, and the schedule that says when each is heard."""

    def __init__(self, clock: RelayClock, settings: PlayoutSettings) -> None:
        self.buffer = FrameBuffer()
        self.schedule = Schedule(clock, settings)
        self.stats = PlayoutStats()
        self.now = 0.0
        """The newest local time any source told."""
        self.ahead_s = 0.0
        """How long before it is heard a frame is read at the latest."""
        self.read = 0
        """Everything before this position has been decoded."""
        self.begun = False
        self._fed: dict[str, float] = {}
        self.misplaced: str | None = None
        """A source that has to look for its place again."""
        self._lead: str | None = None
        self._conflicts = 0

    def close(self, name: str) -> None:
        """Source `name` feeds the line no more."""
        self._fed.pop(name, None)
        if self._lead == name:
            self._lead = None

    def alone(self, name: str, now: float) -> bool:
        """Whether no other source feeds the line at present."""
        return all(other == name or now - at > LIVE_S for other, at in self._fed.items())

    def deadline(self, position: int) -> float | None:
        """By when (local time) the frame at `position` has to be here; None while nobody knows."""
        at = self.schedule.local_time(position)
        return None if at is None else at - self.ahead_s

    def complete(self, begin: int, end: int) -> int:
        """From `begin` on, how many of begin … end-1 are there, or will never come since nobody sends them."""
        found = self.buffer.complete(begin, end)
        reached, newest = begin + found, self.buffer.newest
        if reached == end or reached < newest:
            return found
        last = self.buffer.at(newest - 1)
        pausing = last is None or is_dtx(last.data) or reached - newest >= EXPECTED_SAMPLES
        return end - begin if pausing else found

    def absent(self, begin: int, end: int) -> int | None:
        """The first position of begin … end-1 for which nothing is there; None when all of it is.

        Relays cut the sound into packets at places of their own: what one lost is not all there as soon as the other
        brought its beginning.
        """
        found = self.buffer.complete(begin, end)
        return None if found >= end - begin else begin + found

    def insert(self, name: str, frame: Frame, now: float) -> Insertion:
        """Lay a frame (its start a position) on the line."""
        outcome = self.buffer.insert(frame)
        late = outcome is Insertion.LATE
        if outcome is Insertion.ACCEPTED:
            self._fed[name] = now
        elif late:
            self.stats.late += 1
        else:
            self.stats.duplicates += 1
            self._fed[name] = now
            self._compare(name, frame, outcome, now)
        if self.schedule.on_frame(frame.start, late, now):
            self._reopen()
        return outcome

    def state(self, name: str, position: int, captured: float, now: float, *, splice: bool) -> None:
        """Source `name` says when a position was captured; one source at a time is believed."""
        if not self._leads(name, now):
            return
        self.schedule.capture.state(position, captured, splice=splice)
        if self.schedule.on_capture(position, now):
            self._reopen()

    def _leads(self, name: str, now: float) -> bool:
        """Whether `name` is the source that counts where sources disagree: the first one, while it lives."""
        if self._lead != name and (self._lead is None or now - self._fed.get(self._lead, 0.0) > TIE_S):
            self._lead = name
        return self._lead == name

    def _compare(self, name: str, frame: Frame, outcome: Insertion, now: float) -> None:
        """Two sources brought a frame for one place: were the contents equal?

        When they differ time and again, whoever does not lead is in the wrong place, or no longer in the right one.
        """
        if outcome is Insertion.DUPLICATE:
            self._conflicts = 0
        elif len(frame.data) >= DISTINCT_OCTETS and len(self._fed) > 1 and not self.alone(name, now):
            leads = self._leads(name, now)
            if leads and frame.start >= self.read:
                self.buffer.replace(frame)
            self._conflicts += 1
            if self._conflicts >= CONFLICTS:
                self._conflicts = 0
                others = [other for other in self._fed if other != self._lead]
                self.misplaced = max(others, key=lambda other: self._fed[other], default=None)

    def find(self, name: str, stream: Stream, pending: Sequence[Unit], now: float) -> int | None:
        """The shift of a stream whose first packets are `pending`; None while it cannot be told."""
        shift = self._by_content(stream, pending)
        if shift is None and self.alone(name, now):
            return self._fresh(stream, pending, now)
        return shift

    def _fresh(self, stream: Stream, pending: Sequence[Unit], now: float) -> int | None:
        """Nobody else is there: by capture time if the line knows it, else by the arrival of what came quickest."""
        first = pending[0]
        if not self.begun:
            self.begun = True
            self.buffer.floor = self.read = first.start
            return 0
        schedule = self.schedule
        quickest = min(
            (schedule.newest_arrival(unit.at) or 0.0) + first.start - unit.start for unit in pending
        )
        arrival = max(float(self.buffer.newest), quickest)
        position = round(arrival)
        if schedule.capture.known:
            if stream.capture is None and now - first.at < STATEMENT_S:
                return None
            shift = self._by_capture(stream)
            if shift is not None and abs(first.start + shift - arrival) < OFF_AIR_SAMPLES / 2:
                position = self._snapped(first.start + shift, first)
        if position - self.buffer.newest > OFF_AIR_SAMPLES:
            self.buffer.pause(self.buffer.newest, position)
        return position - first.start

    def _snapped(self, position: int, first: Unit) -> int:
        """The position, or one so near that rounded capture times cannot tell, where frames go on without a seam."""
        size = first.frames[0].samples
        seam = (position - self.buffer.newest + size // 2) % size - size // 2
        return position - seam if abs(seam) <= ROUNDING_SAMPLES else position

    def _by_content(self, stream: Stream, pending: Sequence[Unit]) -> int | None:
        """By equal content: two relays send the same frames."""
        known = self.buffer.unique_payloads(DISTINCT_OCTETS)
        votes = Counter(
            known[frame.data] - frame.start
            for unit in pending
            for frame in unit.frames
            if frame.data in known
        )
        if not votes:
            return None
        shift, count = votes.most_common(1)[0]
        supposed = self._by_capture(stream)
        near = supposed is not None and abs(shift - supposed) <= NEAR_SAMPLES
        return shift if count >= _CERTAIN or near else None

    def _by_capture(self, stream: Stream) -> int | None:
        if stream.capture is None or not self.schedule.capture.known:
            return None
        media, captured = stream.capture
        return round(self.schedule.capture.position_at(captured)) - media

    def _reopen(self) -> None:
        """Another tie decides from now on: what counts as past is what was really read."""
        self.buffer.floor = self.read

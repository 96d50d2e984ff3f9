"""Which local programme runs: the timetable's while the link is down, else the fallback.

`tick` is called about once a second by a worker thread, since it opens and reads files. What it decides is
`current`, which the sound thread reads.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Final

from loacodecs.errors import LoaError

from .inspection import Inspection
from .programme import Programme, Spec
from .quiet import QuietHours
from .timetable import RANK, Occurrence, Timetable

_REMEMBERED: Final = 256
"""Occurrences known to be done with; they are due for hours at most."""
FALLBACK_NAME: Final = "fallback"


@dataclass(frozen=True, slots=True)
class Fallback:
    """A programme for dead air.

    play          file, folder or playlist
    after_s       seconds the link has been down before it begins
    limit_s       it ends after so long; None: at its end
    repeat        it begins again at its end
    always        whenever the link is down; else only if the channel was on air when it failed
    without_time  play even while the time of day is unknown, and so perhaps at night
    """

    play: Path
    after_s: float = 20.0
    limit_s: float | None = None
    repeat: bool = False
    always: bool = False
    without_time: bool = False
    volume_db: float = 0.0


@dataclass(frozen=True, slots=True)
class Situation:
    """What the director decides on. Times in monotonic seconds.

    wall        time of day in the receiver's zone, None when unknown
    down_s      how long the link has been down, 0 while it is up
    live        live sound is heard right now
    was_on_air  the channel sounded when the link failed
    """

    wall: datetime | None
    down_s: float
    live: bool = False
    was_on_air: bool = False


class Director:
    """Runs one local programme at a time; `current` is the one to be heard, None when there is none.

    `verify` looks at a file before it is played (see `cache`) and raises LoaError when it is damaged.
    """

    def __init__(
        self,
        timetable: Timetable,
        quiet: QuietHours,
        fallback: Fallback | None = None,
        *,
        channels: int = 1,
        verify: Callable[[Path], None] = lambda _path: None,
    ) -> None:
        self.timetable = timetable
        self.faults: OrderedDict[str, str] = OrderedDict()
        """The last fault of each programme, as a sentence; gone when it has played without one."""
        self.current: Programme | None = None
        self._quiet = quiet
        self._fallback = fallback
        self._channels = channels
        self._verify = verify
        self._done: OrderedDict[tuple[str, date], None] = OrderedDict()
        self._fallback_used = False
        plays = [(entry.name, entry.play) for entry in timetable.entries]
        plays += [(FALLBACK_NAME, fallback.play)] if fallback is not None else []
        self._inspection = Inspection(plays)

    @property
    def all_faults(self) -> dict[str, str]:
        """`faults`, and those of programmes that could not be played if it were their time."""
        return {**self._inspection.faults, **dict(list(self.faults.items()))}

    def tick(self, situation: Situation, *, down_after_s: float) -> None:
        """Begin, go on with or end a programme."""
        self._inspection.tick()
        down = situation.down_s >= down_after_s
        if situation.down_s <= 0:
            self._fallback_used = False
        self._drop_ended()
        for occurrence in self.timetable.due(situation.wall):
            self._consider(occurrence, situation, down)
        if down and self.current is None:
            self._consider_fallback(situation)
        if self.current is not None:
            self.current.fill()

    def stop(self) -> None:
        """End the current programme: what is live is heard again."""
        if self.current is not None:
            self.current.close()
            self.current = None

    def _drop_ended(self) -> None:
        if self.current is not None and self.current.ended:
            self.stop()

    def _consider(self, occurrence: Occurrence, situation: Situation, down: bool) -> None:
        entry = occurrence.entry
        if occurrence.key in self._done:
            return
        if self._quiet.forbids(entry.kind, situation.wall):
            self._finish(occurrence)
            self._fault(entry.name, "not played: quiet hours")
        elif situation.live and not down:
            self._finish(occurrence)  # the relay's own programme is heard at that hour
        elif down and (self.current is None or RANK[entry.kind] > self._rank(self.current)):
            self._finish(occurrence)
            self._start(Spec(entry.name, entry.play, entry.kind, entry.limit_s, entry.volume_db))

    def _consider_fallback(self, situation: Situation) -> None:
        fallback = self._fallback
        if fallback is None or self._fallback_used or situation.down_s < fallback.after_s:
            return
        if not (fallback.always or situation.was_on_air):
            return
        if situation.wall is None and not fallback.without_time:
            return
        if situation.wall is not None and self._quiet.forbids("normal", situation.wall):
            return
        self._fallback_used = True
        self._start(
            Spec(
                FALLBACK_NAME,
                fallback.play,
                "normal",
                fallback.limit_s,
                fallback.volume_db,
                repeat=fallback.repeat,
                without_time=fallback.without_time,
            )
        )

    def _start(self, spec: Spec) -> None:
        self.faults.pop(spec.name, None)
        try:
            programme = Programme(
                spec, self._channels, lambda fault: self._fault(spec.name, str(fault)), self._verify
            )
        except LoaError as error:
            self._fault(spec.name, str(error))
            return
        if self.current is not None and self._rank(self.current) < 0:
            self._fallback_used = not self._is_endless
        self.stop()
        self.current = programme

    @property
    def _is_endless(self) -> bool:
        """Whether the fallback is to be heard until the link is back, however often a bulletin interrupts it."""
        return self._fallback is not None and self._fallback.repeat and self._fallback.limit_s is None

    def _rank(self, programme: Programme) -> int:
        """The fallback gives way to anything the timetable has."""
        return -1 if programme.spec.name == FALLBACK_NAME else RANK[programme.spec.kind]

    def _finish(self, occurrence: Occurrence) -> None:
        self._done[occurrence.key] = None
        while len(self._done) > _REMEMBERED:
            self._done.popitem(last=False)

    def _fault(self, name: str, sentence: str) -> None:
        self.faults[name] = sentence
        self.faults.move_to_end(name)
        while len(self.faults) > 16:
            self.faults.popitem(last=False)

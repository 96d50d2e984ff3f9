"""The local timetable: which programme is due at which time of day. Pure; time comes in as an argument.

A programme begins once per listed day, also on the days when clocks change: a time that is skipped falls
behind the gap, of a time that comes twice the first counts (PEP 495, fold=0).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Final, Literal

from loacodecs.errors import ConfigurationError

BulletinClass = Literal["normal", "priority", "emergency"]
"""Circular 39/2020: the class of a bulletin, the last is heard whatever the hour."""
RANK: Final[dict[BulletinClass, int]] = {"normal": 0, "priority": 1, "emergency": 2}
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LATE_S: Final = 600.0
_CLOCK: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_VOLUME_LIMIT_DB: Final = 40.0
_LIMIT_S: Final = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the timetable.

    name       what the programme is called in receipts; unique
    days       days of the week, 0 is Monday
    at         local time of day
    play       a file, a folder (its files in order of their names) or a playlist (.m3u)
    limit_s    it is faded out after so long; None: it plays to its end
    kind       its class; an emergency is exempt from quiet hours
    volume_db  louder or softer than other programmes
    late_s     how long after its time it may still begin
    Raises ConfigurationError for values that make no sense.
    """

    name: str
    days: frozenset[int]
    at: time
    play: Path
    limit_s: float | None = None
    kind: BulletinClass = "normal"
    volume_db: float = 0.0
    late_s: float = LATE_S

    def __post_init__(self) -> None:
        if not self.name or len(self.name) > 64:
            raise ConfigurationError("a programme of the timetable needs a name of at most 64 letters")
        if not self.days <= set(range(7)) or not self.days:
            raise ConfigurationError(f"{self.name}: on which days?")
        if self.kind not in RANK:
            raise ConfigurationError(f"{self.name}: the class is normal, priority or emergency")
        if self.limit_s is not None and not 1.0 <= self.limit_s <= _LIMIT_S:
            raise ConfigurationError(f"{self.name}: the limit lies between 1 s and 24 h")
        if not abs(self.volume_db) <= _VOLUME_LIMIT_DB:
            raise ConfigurationError(f"{self.name}: the volume is at most {_VOLUME_LIMIT_DB:g} dB off")
        if not 30.0 <= self.late_s <= 12 * 3600.0:
            raise ConfigurationError(f"{self.name}: it may begin between 30 s and 12 h late")


@dataclass(frozen=True, slots=True)
class Occurrence:
    """An entry on one day; `starts` is aware, in UTC."""

    entry: Entry
    day: date
    starts: datetime

    @property
    def key(self) -> tuple[str, date]:
        """What tells it from all others."""
        return self.entry.name, self.day


class Timetable:
    """All entries, in one time zone. Raises ConfigurationError when two have the same name."""

    def __init__(self, entries: Iterable[Entry], zone: tzinfo) -> None:
        self.entries = tuple(entries)
        self._zone = zone
        names = [entry.name for entry in self.entries]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigurationError(f"two programmes of the timetable are called {twice[0]}")

    def due(self, now_local: datetime | None) -> tuple[Occurrence, ...]:
        """What may begin at `now_local` (aware): its time has come and is not too long ago.

        The highest class first, then the latest. Nothing is due while the time is unknown (None).
        Raises ValueError for a naive time.
        """
        if now_local is None:
            return ()
        found = [
            item
            for item in self._around(_utc(now_local))
            if 0 <= (_utc(now_local) - item.starts).total_seconds() < item.entry.late_s
        ]
        return tuple(sorted(found, key=lambda item: (RANK[item.entry.kind], item.starts), reverse=True))

    def near(self, now_local: datetime, within_s: float) -> bool:
        """Whether a programme begins within `within_s`, or began not longer ago."""
        now = _utc(now_local)
        return any(abs((item.starts - now).total_seconds()) <= within_s for item in self._around(now))

    def next_start(self, now_local: datetime) -> datetime | None:
        """When the next programme begins, later than `now_local` (both aware); None without entries."""
        now = _utc(now_local)
        starts = [item.starts for item in self._around(now, days=9) if item.starts > now]
        return min(starts, default=None)

    def _around(self, now: datetime, days: int = 2) -> Iterable[Occurrence]:
        """The occurrences from yesterday on, `days` after it included."""
        first = now.astimezone(self._zone).date() - timedelta(days=1)
        for ahead in range(days + 1):
            day = first + timedelta(days=ahead)
            for entry in self.entries:
                if day.weekday() in entry.days:
                    yield Occurrence(entry, day, _starts(day, entry.at, self._zone))


def parse_time(text: str) -> time:
    """From "HH:MM". Raises ConfigurationError."""
    match = _CLOCK.fullmatch(text)
    if match is None:
        raise ConfigurationError(f"a time of day is written as 05:30, not {text!r}")
    return time(int(match[1]), int(match[2]))


def parse_days(names: str | Sequence[str]) -> frozenset[int]:
    """From "daily", "mon", "mon-fri" or a list of such. Raises ConfigurationError."""
    listed = [names] if isinstance(names, str) else list(names)
    days: set[int] = set()
    for name in listed:
        if name == "daily":
            days |= set(range(7))
            continue
        first, dash, last = name.strip().lower().partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            raise ConfigurationError(f'days are "daily", "mon" … "sun" or "mon-fri", not {name!r}')
        begin = DAYS.index(first)
        length = (DAYS.index(last) - begin) % 7 if dash else 0
        days |= {(begin + step) % 7 for step in range(length + 1)}
    return frozenset(days)


def _starts(day: date, at: time, zone: tzinfo) -> datetime:
    return datetime.combine(day, at, zone).astimezone(UTC)


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("the timetable needs a time that knows its zone")
    return moment.astimezone(UTC)

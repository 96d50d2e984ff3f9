"""What time of day it is at the receiver, or that nobody knows.

A board without a battery wakes in 1970. The relay's clock, once exchanged, is believed first; then the system's,
if it is plausible; else the time is unknown and whoever asks has to be careful.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final, Literal, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from loacodecs.errors import ConfigurationError

EARLIEST: Final = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
"""No clock that works shows an earlier time: this program did not exist."""
_LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC).timestamp()
DEFAULT_ZONE: Final = "Asia/Ho_Chi_Minh"
DEFAULT_OFFSET_MINUTES: Final = 7 * 60
_ZONE_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}")

TimeSource = Literal["relay", "system", "unknown"]


class RelayTime(Protocol):
    """The one question asked of `loacodecs.clocksync.ClockSync`."""

    def relay_time(self, local: float) -> float | None:
        """The relay's unix time at local monotonic time `local`; None while there is no exchange."""


@dataclass(frozen=True, slots=True)
class _Anchor:
    unix: float
    local: float


class WallClock:
    """Turns local monotonic seconds into the time of day in `zone`.

    `note_system` tells it the system's clock now and then, since that may be set while we run. `floor` is a unix
    time known to be past (say, of the last settings stored): a system's clock that is earlier is wrong. The relay's
    is not held to it, so that a floor taken from a relay gone wrong does no lasting harm.
    """

    def __init__(self, relay: RelayTime | None, zone: tzinfo, *, floor: float = EARLIEST) -> None:
        self.zone = zone
        self._relay = relay
        self._floor = max(EARLIEST, floor)
        self._system: _Anchor | None = None

    def note_system(self, unix: float, local: float) -> None:
        """The system's clock showed `unix` (time.time()) at monotonic time `local`."""
        self._system = _Anchor(unix, local)

    def unix(self, local: float) -> float | None:
        """Unix seconds at monotonic time `local`, None when the time is unknown."""
        return self._known(local)[0]

    def source(self, local: float) -> TimeSource:
        """Whose clock is believed at monotonic time `local`."""
        return self._known(local)[1]

    def local_time(self, local: float) -> datetime | None:
        """The time of day, aware, at monotonic time `local`; None when it is unknown."""
        unix = self.unix(local)
        return None if unix is None else datetime.fromtimestamp(unix, self.zone)

    def _known(self, local: float) -> tuple[float | None, TimeSource]:
        relay = self._relay.relay_time(local) if self._relay is not None else None
        if relay is not None and EARLIEST <= relay < _LATEST:
            return relay, "relay"
        if self._system is not None:
            system = self._system.unix + (local - self._system.local)
            if self._floor <= system < _LATEST:
                return system, "system"
        return None, "unknown"


def find_zone(name: str = DEFAULT_ZONE, offset_minutes: int = DEFAULT_OFFSET_MINUTES) -> tzinfo:
    """The time zone `name`; on a board without a time zone database a fixed offset, Vietnam's unless told.

    Raises ConfigurationError for a name that the database does not know.
    """
    if not _ZONE_NAME.fullmatch(name):
        raise ConfigurationError(f"{name!r} is no time zone, as Asia/Ho_Chi_Minh is")
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        if _has_database():
            raise ConfigurationError(f"{name!r} is no time zone this machine knows") from None
        return timezone(timedelta(minutes=offset_minutes))


def _has_database() -> bool:
    try:
        ZoneInfo(DEFAULT_ZONE)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True

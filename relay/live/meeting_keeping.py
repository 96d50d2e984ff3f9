"""Meetings outlast the process: what was decided is on the disk soon after, and is taken up by the next run.

The meeting never waits for the disk, and what fails there is logged and tried again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from relay.errors import StoreUnavailable
from relay.meeting_ports import MeetingArchive, SavedMeeting

SAVE_S: Final = 0.25
"""How soon what was decided is on the disk."""
RETRY_S: Final = 2.0
"""How soon a store that failed is asked again."""
AFRESH_S: Final = 60.0
"""An open meeting is written so often without any change: its end stays right when somebody sets the clock."""

_log = logging.getLogger("loa.meetings")


class KeptRoom(Protocol):
    """The meetings of a channel, as they are kept."""

    @property
    def changes(self) -> int:
        """Grows with whatever may have to be written."""
        ...

    @property
    def untouched(self) -> bool:
        """Whether nobody has ever come."""
        ...

    def saved(self, wall: float) -> SavedMeeting:
        """What has to be known after a restart; `wall` is unix seconds now."""
        ...

    def take_up(self, saved: SavedMeeting, wall: float) -> None:
        """Go on from there."""
        ...


class _Kept:
    """A room, and what of it is on the disk."""

    def __init__(self, room: KeptRoom) -> None:
        self.room = room
        self.saved: SavedMeeting | None = None
        self.changes = 0
        """Of the room when that was so."""


class MeetingKeeping:
    """Keeps the meetings of all `rooms`, which are by channel, from the event loop. `wall` gives unix seconds."""

    def __init__(
        self,
        rooms: Mapping[str, KeptRoom],
        archive: MeetingArchive,
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._rooms = {name: _Kept(room) for name, room in rooms.items()}
        self._archive = archive
        self._wall = wall
        self._loaded = False
        self._retained = False
        self._failing = False

    async def begin(self) -> None:
        """Take up what was kept, before anybody comes."""
        await self.keep_all()

    async def run(self) -> None:
        """Keep what changes, until cancelled; where there are no meetings, until what is left of them is gone."""
        while self._rooms or not self._retained:
            await asyncio.sleep(RETRY_S if self._failing else SAVE_S)
            await self.keep_all()

    async def close(self) -> None:
        """Keep what has happened last."""
        await self.keep_all()

    async def keep_all(self) -> None:
        """Read what was kept if that was not possible yet, then write what has changed since it was written."""
        try:
            if not self._loaded:
                await self._take_up()
            if not self._retained:
                await self._archive.retain(self._rooms.keys())
                self._retained = True
            for name, kept in self._rooms.items():
                await self._keep(name, kept)
        except StoreUnavailable as error:
            if not self._failing:
                _log.error("what is decided in meetings does not outlast the relay now: %s", error)
            self._failing = True
        else:
            self._failing = False

    async def _take_up(self) -> None:
        """A meeting that began while the store could not be read is another one, and goes on."""
        known = await self._archive.load()
        self._loaded = True
        for name, kept in self._rooms.items():
            saved = known.get(name)
            if saved is None or not kept.room.untouched:
                continue
            kept.room.take_up(saved, self._wall())
            kept.saved = saved
            _log.info("the meeting goes on as it was before the restart", extra={"channel": name})

    async def _keep(self, name: str, kept: _Kept) -> None:
        wall, changes, before = self._wall(), kept.room.changes, kept.saved
        due = before is not None and before.phase == "open" and abs(wall - before.written) >= AFRESH_S
        if changes == kept.changes and not due:
            return
        saved = kept.room.saved(wall)
        if due or before is None or saved != before or abs(saved.ends - before.ends) > 1:
            await self._archive.save(name, saved)
            kept.saved = saved
        kept.changes = changes

"""Meetings on the air: what `relay.live.meeting` decides, done to the microphones of mixed channels."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Final

from relay.errors import InputNotFound
from relay.live.meeting import Meeting
from relay.live.meeting_actions import Announce, Dismiss, Hold, Report
from relay.live.mixed import MixedChannel
from relay.meeting_ports import Entered, Entry, MeetingStats, MeetingView, Order, SavedMeeting
from relay.tokens import MeetingRole

LOOK_S: Final = 0.2
"""Microphones and clocks are looked at so often."""


class Room:
    """The meetings of one channel; a `MeetingRoom` and a `KeptRoom`. `clock` is monotonic."""

    def __init__(self, mixed: MixedChannel, clock: Callable[[], float]) -> None:
        self.meeting = Meeting(mixed.settings.meeting)
        self._mixed = mixed
        self._clock = clock
        self._waiting = asyncio.Event()
        # A participant's microphone publishes as "subject of his token/participant".
        mixed.keeps_free = lambda subject: self.meeting.keeps_free(subject.rpartition("/")[2])

    def enter(self, entry: Entry) -> Entered:
        """A page comes, or comes back."""
        entered = self.meeting.enter(self._clock(), entry)
        self._carry_out()
        return entered

    def role(self, person: str) -> MeetingRole:
        """What a participant is. Raises MeetingRefused."""
        return self.meeting.role(person)

    def leave(self, person: str) -> None:
        """A page has gone."""
        self.meeting.leave(self._clock(), person)
        self._carry_out()

    def seat(self, entry: Entry) -> str:
        """Whose microphone is about to be connected. Raises MeetingRefused, Unavailable."""
        return self.meeting.seat(self._clock(), entry)

    def connect(self, person: str, session: str) -> None:
        """The microphone of a participant is the session of that id."""
        self.meeting.connect(self._clock(), person, session)
        self._carry_out()

    def may_hear(self, session: str) -> bool:
        """Whether who speaks by that session may hear the others."""
        return self.meeting.may_hear(session)

    def view(self, person: str) -> MeetingView:
        """How everything stands now, as that participant may see it."""
        return self.meeting.view(self._clock(), person)

    def obey(self, by: str, order: Order) -> None:
        """Do what a participant wants. Raises MeetingRefused."""
        self.meeting.obey(self._clock(), by, order)
        self._carry_out()

    async def changed(self, seen: int) -> int:
        """Wait until something has changed since the change number `seen`; gives the newest number."""
        while self.meeting.changes == seen:
            await self._waiting.wait()
        return self.meeting.changes

    @property
    def changes(self) -> int:
        """Grows with whatever participants should see, or has to be kept."""
        return self.meeting.changes

    @property
    def untouched(self) -> bool:
        """Whether nobody has ever come."""
        return self.meeting.untouched

    def saved(self, wall: float) -> SavedMeeting:
        """What has to be known after a restart; `wall` is unix seconds now."""
        return self.meeting.saved(self._clock(), wall)

    def take_up(self, saved: SavedMeeting, wall: float) -> None:
        """Go on from what an earlier run kept; only while nobody has come."""
        self.meeting = Meeting.taken_up(self._mixed.settings.meeting, saved, self._clock(), wall)

    def look(self) -> None:
        """See which microphones are there and what is due."""
        now = self._clock()
        before = self.meeting.changes
        reports = {}
        for each in self._mixed.inputs.values():
            if each.session:
                state = each.state()
                reports[each.session] = Report(state.rms_dbfs, state.missing, state.sounding)
        self.meeting.report(now, reports)
        self.meeting.on_timer(now)
        if self.meeting.changes != before:
            self._carry_out()

    def _carry_out(self) -> None:
        while (action := self.meeting.poll()) is not None:
            if isinstance(action, Announce):
                self._mixed.announce()
                continue
            source = self._mixed.input_of(action.session)
            if source is None:
                continue  # it has gone by itself
            match action:
                case Hold(_, held):
                    source.hold(held)
                case Dismiss():
                    with contextlib.suppress(InputNotFound):  # gone just now
                        self._mixed.remove_input(source.name)
        waiting, self._waiting = self._waiting, asyncio.Event()
        waiting.set()


class Meetings:
    """All channels with meetings; a `MeetingDesk`. Made by `relay.app`; lives in the thread of the event loop."""

    def __init__(
        self, mixed: Mapping[str, MixedChannel], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.rooms: Mapping[str, Room] = {
            name: Room(channel, clock) for name, channel in mixed.items() if channel.settings.meeting.enabled
        }
        """By channel."""

    def room(self, channel: str) -> Room | None:
        """Of one channel; None for one without meetings."""
        return self.rooms.get(channel)

    def stats(self) -> dict[str, MeetingStats]:
        """All of them, by channel."""
        return {name: room.meeting.stats() for name, room in self.rooms.items()}

    async def run(self) -> None:
        """Look at the meetings until cancelled."""
        while self.rooms:
            await asyncio.sleep(LOOK_S)
            for room in self.rooms.values():
                if not room.meeting.idle:
                    room.look()

"""The automation of all mixed channels: the desk that HTTP talks to, what goes on by itself, and what is kept on disk.

Everything lives in one event loop. A command takes effect at once, and returns when it would survive the end of the
process. A store that cannot be used keeps nothing from the air: commands work, and the state says they are not kept.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from loamedia.policy import Policy
from relay.automation.mixer import Mixer, Open
from relay.automation.naming import checked_source
from relay.automation.programme import ChannelAutomation
from relay.automation.settings import AutomationConfig
from relay.automation.telling import Telling
from relay.automation_ports import (
    AutomationStats,
    ChannelView,
    InputChange,
    ItemView,
    QueueItem,
    Saved,
    WantedItem,
)
from relay.errors import StoreUnavailable, Unavailable, Unprocessable
from relay.ports import ChannelState
from relay.store.automation import AutomationStore

STEP_S: Final = 0.1
SAVE_S: Final = 0.5
"""How soon what happens by itself is kept: an item that was played to its end, above all."""
POSITION_S: Final = 5.0
"""How far an item was played is kept this often; a restart plays at most so much again."""

_log = logging.getLogger("loa.automation")


class _Channel:
    """One channel's automation, and which of its revisions is on the disk."""

    def __init__(self, name: str, automation: ChannelAutomation, mixer: Mixer) -> None:
        self.automation = automation
        self.telling = Telling(name, automation)
        self.mixer = mixer
        self.kept = automation.revision
        self.stored = True
        self.lock = asyncio.Lock()
        self.failing = False


class AutomationService:
    """Implements `relay.automation_ports.AutomationDesk`."""

    def __init__(
        self,
        configs: Mapping[str, AutomationConfig],
        mixer_of: Callable[[str], Mixer],
        channel_of: Callable[[str], ChannelState],
        open_source: Open,
        policy: Policy,
        store: AutomationStore,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`configs` of the mixed channels. `mixer_of` raises ChannelNotFound, NotMixed; `policy` is the API's."""
        self._configs = configs
        self._mixer_of = mixer_of
        self._channel_of = channel_of
        self._open = open_source
        self._policy = policy
        self._store = store
        self._monotonic = monotonic
        self._wall = wall
        self._channels: dict[str, _Channel] = {}
        self._loaded = False

    # What goes on by itself

    async def begin(self) -> None:
        """Take up what was kept, and begin to open the sources. Raises ConfigurationError."""
        saved: Mapping[str, Saved] = {}
        try:
            saved = await self._store.load()
            self._loaded = True
        except StoreUnavailable as error:
            _log.error("queues of the last run are not taken up now: %s", error)
        now = self._monotonic()
        for name, config in self._configs.items():
            mixer = self._mixer_of(name)
            automation = ChannelAutomation(config, mixer, self._open, saved=saved.get(name), now=now)
            self._channels[name] = _Channel(name, automation, mixer)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._steps())
            group.create_task(self._keeping())

    async def close(self) -> None:
        """Keep what has happened last, and let go of the sources."""
        await self.keep_all(positions=True)
        for channel in self._channels.values():
            channel.automation.close()

    def step(self) -> None:
        """Look at all channels on which there is something to decide."""
        now, wall = self._monotonic(), self._wall()
        for name, channel in self._channels.items():
            if channel.automation.idle:
                continue
            try:
                channel.automation.step(now, wall)
                channel.telling.look()
                channel.failing = False
            except Exception:  # the other channels, and the next step, outlive any mistake
                if not channel.failing:
                    _log.exception("automation failed", extra={"channel": name})
                channel.failing = True

    async def keep_all(self, *, positions: bool = False) -> None:
        """Write what has changed since it was last written."""
        if not self._loaded:
            await self._take_up()
        for name, channel in self._channels.items():
            await self._keep(name)
            playing = channel.automation.playing
            if positions and playing is not None and channel.stored:
                try:
                    await self._store.save_position(name, playing)
                except StoreUnavailable:
                    return  # told by the store itself

    async def _steps(self) -> None:
        while True:
            self.step()
            await asyncio.sleep(STEP_S)

    async def _keeping(self) -> None:
        next_positions = self._monotonic() + POSITION_S
        while True:
            await asyncio.sleep(SAVE_S)
            positions = self._monotonic() >= next_positions
            await self.keep_all(positions=positions)
            if positions:
                next_positions = self._monotonic() + POSITION_S

    async def _take_up(self) -> None:
        """The store could not be read at the start: what it held comes behind what was queued since."""
        try:
            saved = await self._store.load()
        except StoreUnavailable:
            return
        self._loaded = True
        for name, channel in self._channels.items():
            if name in saved:
                channel.automation.take_up(saved[name])

    async def _keep(self, name: str) -> None:
        """Write a channel's, unless its latest revision is written already."""
        channel = self._channels[name]
        async with channel.lock:
            revision = channel.automation.revision
            if revision == channel.kept and channel.stored:
                return
            if not self._loaded:
                channel.stored = False  # writing now would drop what could not be read
                return
            try:
                await self._store.save(name, channel.automation.saved())
            except StoreUnavailable:
                channel.stored = False
                return
            channel.kept, channel.stored = revision, True

    # The desk

    def view(self, channel: str) -> ChannelView:
        """How everything stands now."""
        found = self._find(channel)
        return ChannelView(
            self._channel_of(channel), found.mixer.state(), found.automation.view(found.stored)
        )

    def queue(self, channel: str) -> Sequence[ItemView]:
        """All items."""
        automation = self._find(channel).automation
        return automation.items(automation.queue)

    def stats(self) -> Mapping[str, AutomationStats]:
        """Of all mixed channels, by name."""
        return {name: channel.automation.stats() for name, channel in self._channels.items()}

    async def play(self, channel: str, *, source: str | None, item: str | None) -> None:
        """As AutomationDesk."""
        self._find(channel).automation.play(self._monotonic(), self._wall(), source=source, item=item)
        await self._keep(channel)

    async def stop(self, channel: str, *, fade_s: float) -> None:
        """As AutomationDesk."""
        self._find(channel).automation.stop(self._monotonic(), fade_s)
        await self._keep(channel)

    async def skip(self, channel: str) -> None:
        """As AutomationDesk."""
        self._find(channel).automation.skip(self._monotonic(), self._wall())
        await self._keep(channel)

    async def duck(self, channel: str, held: bool) -> None:
        """As AutomationDesk."""
        self._find(channel).automation.duck(held)

    async def change_input(self, channel: str, name: str, change: InputChange) -> None:
        """As AutomationDesk."""
        self._find(channel).automation.change_input(name, change)
        await self._keep(channel)

    async def enqueue(
        self, channel: str, wanted: Sequence[WantedItem], *, place: int | None, subject: str
    ) -> Sequence[ItemView]:
        """As AutomationDesk."""
        automation = self._find(channel).automation
        if any(each.chime for each in wanted) and not automation.chimes:
            raise Unprocessable(
                f'channel {channel} has no chime; set chime = "two-tone" in [channels.{channel}]'
            )
        sources = [await checked_source(each.source, self._policy) for each in wanted]
        items = [
            QueueItem(
                secrets.token_hex(5),
                source,
                each.title,
                each.gain_db,
                self._wall(),
                subject,
                chime=each.chime,
            )
            for source, each in zip(sources, wanted, strict=True)
        ]
        automation.queue.add(items, place)
        automation.queue_changed(self._monotonic(), self._wall())
        await self._keep(channel)
        return automation.items(items)

    async def remove(self, channel: str, item: str) -> None:
        """As AutomationDesk."""
        self._find(channel).automation.queue.remove(item)
        await self._changed(channel)

    async def move(self, channel: str, item: str, place: int) -> None:
        """As AutomationDesk."""
        self._find(channel).automation.queue.move(item, place)
        await self._changed(channel)

    async def clear(self, channel: str) -> int:
        """As AutomationDesk."""
        count = self._find(channel).automation.queue.clear()
        await self._changed(channel)
        return count

    async def _changed(self, channel: str) -> None:
        self._find(channel).automation.queue_changed(self._monotonic(), self._wall())
        await self._keep(channel)

    def _find(self, channel: str) -> _Channel:
        found = self._channels.get(channel)
        if found is None:
            self._mixer_of(channel)
            raise Unavailable(f"channel {channel} is not ready yet", 2)
        return found

"""The links that are up, by device and by channel; the latest word of every device; counters."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from loacodecs.control import CLOSE_REPLACED, Settings, Telemetry
from relay.devices.link import Link

_NOBODY: Final[frozenset[Link]] = frozenset()


class Registry:
    """Lives in the event loop. What is remembered is bounded by the number of devices enrolled."""

    def __init__(self) -> None:
        self.refused: Counter[str] = Counter()
        self.messages: Counter[str] = Counter()
        self.receipts: Counter[str] = Counter()
        self.commands: Counter[str] = Counter()
        self.results: Counter[str] = Counter()
        self.opened = 0
        self.throttled = 0
        self.known_on_air: dict[str, bool] = {}
        """What all links of a channel have been told; no entry while one may not have been."""
        self.attended = asyncio.Event()
        """Set while a channel has links."""
        self._links: dict[str, Link] = {}
        self._of_channel: dict[str, set[Link]] = {}
        self._telemetry: dict[str, tuple[Telemetry, float]] = {}
        self._seen: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._links)

    def __iter__(self) -> Iterator[Link]:
        return iter(list(self._links.values()))

    def add(self, link: Link) -> None:
        """A link is up; an earlier one of the same device ends."""
        earlier = self._links.get(link.device)
        if earlier is not None:
            self._leave_channel(earlier)
            earlier.end(CLOSE_REPLACED, "this receiver has opened another link")
        self.opened += 1
        self._links[link.device] = link
        self._join_channel(link)

    def remove(self, link: Link) -> None:
        """A link is down."""
        self._leave_channel(link)
        if self._links.get(link.device) is link:
            del self._links[link.device]

    def settle(self, link: Link, settings: Settings) -> None:
        """Something else is wanted of a receiver, perhaps on another channel."""
        self._leave_channel(link)
        link.settings = settings
        if self._links.get(link.device) is link:
            self._join_channel(link)

    def find(self, device: str) -> Link | None:
        """The device's link, if it is up."""
        return self._links.get(device)

    def channels(self) -> Collection[str]:
        """Channels that have a link."""
        return list(self._of_channel)

    def of_channel(self, channel: str) -> Collection[Link]:
        """The links of receivers that are to play `channel`."""
        return list(self._of_channel.get(channel, _NOBODY))

    def hear(self, device: str, telemetry: Telemetry, at: float) -> None:
        """Keep the newest telemetry of a device."""
        self._telemetry[device] = (telemetry, at)

    def heard(self, device: str) -> tuple[Telemetry, float] | None:
        """The newest telemetry of a device and when it came; also after its link has ended."""
        return self._telemetry.get(device)

    def see(self, device: str, at: float) -> None:
        """A message of the device has come."""
        self._seen[device] = at

    def take_seen(self) -> dict[str, float]:
        """When messages last came from those devices that sent any since the last call."""
        seen, self._seen = self._seen, {}
        return seen

    def give_back(self, seen: Mapping[str, float]) -> None:
        """What was taken could not be kept."""
        self._seen = {**seen, **self._seen}

    def forget(self, device: str) -> None:
        """The device has been revoked."""
        self._telemetry.pop(device, None)

    def sounding(self) -> int:
        """Receivers on a link that last said they are on air."""
        return sum(device in self._telemetry and self._telemetry[device][0].on_air for device in self._links)

    def _join_channel(self, link: Link) -> None:
        channel = link.settings.channel
        if channel:
            self._of_channel.setdefault(channel, set()).add(link)
            self.known_on_air.pop(channel, None)
            self.attended.set()

    def _leave_channel(self, link: Link) -> None:
        channel = link.settings.channel
        links = self._of_channel.get(channel)
        if links is None:
            return
        links.discard(link)
        if not links:
            del self._of_channel[channel]
            self.known_on_air.pop(channel, None)
        if not self._of_channel:
            self.attended.clear()

"""Builds the studio of a relay, and is what the HTTP side reaches it by."""

from __future__ import annotations

import os
import secrets
import time
from typing import Final

from relay.channels.channel import Channel
from relay.config import Config
from relay.errors import ChannelNotFound, NotMixed
from relay.live.air import Air, Caller
from relay.live.encoding import EncoderPool
from relay.live.faults import FaultLog
from relay.live.meetings import Meetings
from relay.live.mixed import MixedChannel
from relay.live.studio import Studio
from relay.live.thread import MixThread
from relay.live.warm import warm_up
from relay.live_ports import LiveStats
from relay.sessions.hub import Hub
from relay.sources.feed import api_policy

ENCODERS_MAX: Final = 4


class Desk:
    """The studio with its threads; a `LiveDesk`. Made by `relay.app` where a mixed channel is configured."""

    def __init__(self, config: Config, hub: Hub, reactor: Caller) -> None:
        media = config.media
        # Not first when it starts: by then what is alive has been set aside for the collector, which would walk over
        # the fifty thousand objects of the kernels when it next comes, on air, and keep the mixer's thread waiting.
        warm_up()

        def make(name: str) -> Channel:
            return Channel(
                name, media_timeout=media.media_timeout, capacity=media.listeners_max, history=media.history,
                first_timestamp=secrets.randbits(32),
            )  # fmt: skip

        mixed = {name: each for name, each in config.channels.named.items() if each.mode == "mix"}
        self._hub = hub
        self._pool = EncoderPool(max(1, min(ENCODERS_MAX, os.cpu_count() or 1)))
        self.studio = Studio(
            mixed, Air(hub, reactor, make, time.monotonic), self._pool, api_policy(config.sources)
        )
        self._thread = MixThread(self.studio, ahead=media.nice < 0)
        self.meetings = Meetings(self.studio.channels)
        self.faults = FaultLog(self.studio.channels)

    def open(self) -> None:
        """Open what the configuration names. The reactor must run. Raises ConfigurationError."""
        self.studio.start()

    def start(self) -> None:
        """Mix, now that what was set of the inputs is set again."""
        self._pool.start()
        self._thread.start()

    def stop(self) -> None:
        """End the threads."""
        self._thread.stop()
        self.studio.close()
        self._pool.close()

    def channel(self, name: str) -> MixedChannel:
        """One of the mixed channels. Raises ChannelNotFound, and NotMixed for a channel that is passed through."""
        found = self.studio.channels.get(name)
        if found is not None:
            return found
        known = self._hub.channels.get(name)
        if known is None or known.private:
            raise ChannelNotFound(f"channel {name} is not configured on this relay")
        raise NotMixed(f'channel {name} passes its source on; only a channel with mode = "mix" has inputs')

    def stats(self) -> LiveStats:
        """A snapshot of all counters."""
        return self.studio.stats()

"""What mixing wants of the media plane: channels to put sound on, and the packets of channels to mix.

Every method may be called from any thread and waits for nothing; what they ask for is done by the media thread.
"""

from __future__ import annotations

import logging
import secrets
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Final, Protocol

from relay.channels.channel import Channel
from relay.live.encoding import Encoded
from relay.live.packets import PacketFeed
from relay.live.programme import Programme
from relay.net.fanout import Packet
from relay.sessions.hub import Hub

log = logging.getLogger("loa.live")

OUTBOX: Final = 1_024
"""Packets that may wait for the media thread, of all buses; the oldest goes: it would be too late for anybody."""


class Caller(Protocol):
    """The door into the media thread."""

    def call(self, function: Callable[[], None]) -> Future[None]:
        """Run `function` there."""
        ...


class Tap:
    """A channel's packets, given to a feed."""

    def __init__(self, channel: Channel, feed: PacketFeed) -> None:
        self._channel = channel
        self._feed = feed

    def open(self) -> None:
        """In the media thread."""
        self._channel.tap(self._take)

    def close(self) -> None:
        """In the media thread."""
        self._channel.untap(self._take)

    def _take(self, packet: Packet, now: float) -> None:
        self._feed.push(0, packet.sequence, packet.timestamp, packet.payload, now)


class Air:
    """The media plane as the studio sees it. `make` makes a channel that is not known to anybody yet."""

    def __init__(
        self, hub: Hub, reactor: Caller, make: Callable[[str], Channel], clock: Callable[[], float]
    ) -> None:
        self._hub = hub
        self._reactor = reactor
        self._make = make
        self._clock = clock
        self._outbox: deque[tuple[Programme, Encoded]] = deque(maxlen=OUTBOX)
        self._asked = False

    def programme(self, name: str) -> Programme:
        """A source for the channel of that name. Raises KeyError when there is none."""
        return self._take(self._hub.channels[name])

    def private(self, name: str) -> Programme:
        """A source for a channel of its own, which is in no list and lasts until `end`."""
        channel = self._make(name)
        channel.private = True
        self._have(lambda: self._hub.channels.update({name: channel}))
        return self._take(channel)

    def _take(self, channel: Channel) -> Programme:
        return Programme(channel, secrets.randbits(32))

    def end(self, programme: Programme) -> None:
        """Send no more of it; a private channel goes, and whoever listens to it."""
        programme.closed = True
        channel = programme.channel
        if channel.private:
            self._have(lambda: self._hub.remove_channel(channel, self._clock()))

    def put(self, programme: Programme, encoded: Encoded) -> None:
        """Send a packet. Those of several buses that come together are sent in one go."""
        self._outbox.append((programme, encoded))
        if not self._asked:
            self._asked = True
            self._have(self._send)

    def listen(self, name: str, feed: PacketFeed) -> Callable[[], None]:
        """Give the packets of a channel to `feed`; returns what ends that. Raises KeyError for an unknown one."""
        tap = Tap(self._hub.channels[name], feed)
        self._have(tap.open)
        return partial(self._end_tap, tap)

    def _end_tap(self, tap: Tap) -> None:
        self._have(tap.close)

    def close_session(self, session: str, reason: str) -> None:
        """End a publisher's session, if it still is there."""
        self._have(lambda: self._close(session, reason))

    def _close(self, name: str, reason: str) -> None:
        session = self._hub.sessions.get(name)
        if session is not None:
            self._hub.close(session, reason, self._clock())

    def _send(self) -> None:
        self._asked = False  # before the look into the box, not after it
        while self._outbox:
            _carry_out(partial(self._send_one, *self._outbox.popleft()))

    def _send_one(self, programme: Programme, encoded: Encoded) -> None:
        now = self._clock()
        packet = programme.packet(encoded, now)
        if packet is not None:
            self._hub.send(programme.channel, packet, now)

    def _have(self, function: Callable[[], None]) -> None:
        """Have `function` run in the media thread; nobody waits for it, so nobody else would hear of a mistake."""
        self._reactor.call(partial(_carry_out, function))


def _carry_out(function: Callable[[], None]) -> None:
    try:
        function()
    except Exception:  # one channel's mistake is not the others'
        log.exception("what mixing has the media thread do failed")

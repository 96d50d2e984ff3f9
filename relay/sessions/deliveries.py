"""Sends what is not a channel's plain rendition, and settles what each listener hears of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial

from relay.channels.channel import Channel
from relay.channels.renditions import Rendition
from relay.net.fanout import FanoutEngine, FanoutTable, Packet
from relay.net.histogram import HistogramCounter
from relay.sessions.listener import Listener

ADAPT_INTERVAL_S = 1.0
"""Listeners' reports are looked at this often where they decide on redundancy."""


class Deliveries:
    """Renditions of all channels; those nobody hears are not built.

    `seconds` takes how long a batch took, `read_report` brings a listener's quality up to date.
    """

    def __init__(
        self, table: FanoutTable, engine: FanoutEngine, seconds: HistogramCounter,
        read_report: Callable[[Listener], None],
    ) -> None:  # fmt: skip
        self.drops = 0
        """Packets that could not be sent."""
        self._table = table
        self._engine = engine
        self._seconds = seconds
        self._read_report = read_report
        self._taps: dict[str, tuple[Channel, Callable[[Packet, float], None]]] = {}
        self._adaptive: dict[str, Listener] = {}
        self._next_adapt = 0.0

    def joined(self, listener: Listener) -> None:
        """The listener has a row from now on."""
        if listener.adaptive is not None:
            self._adaptive[listener.session.id] = listener
        self._settle(listener.session.channel)

    def left(self, listener: Listener) -> None:
        """The listener has no row any more."""
        self._adaptive.pop(listener.session.id, None)
        self._settle(listener.session.channel)

    def on_tick(self, now: float) -> None:
        """Send what waited in vain for its next packet; move listeners whose reports call for it."""
        for channel, _ in self._taps.values():
            self._send(channel, channel.renditions.due(now))
        if now >= self._next_adapt:
            self._next_adapt = now + ADAPT_INTERVAL_S
            for listener in list(self._adaptive.values()):
                self._adapt(listener, now)

    def deadline(self) -> float | None:
        """When the next tick is wanted at the latest, None when that does not matter."""
        moments = (channel.renditions.deadline() for channel, _ in self._taps.values())
        return min((moment for moment in moments if moment is not None), default=None)

    def _adapt(self, listener: Listener, now: float) -> None:
        channel = listener.session.channel
        if listener.adaptive is None or not channel.on_air(now):
            return
        self._read_report(listener)
        if listener.repeat(listener.adaptive.note(listener.quality.fraction_lost, now), self._table):
            self._settle(channel)

    def _settle(self, channel: Channel) -> None:
        """Tap the channel while there is anything to build of it."""
        known = self._taps.get(channel.name)
        if channel.renditions.active and known is None:
            receive = partial(self._on_packet, channel)
            self._taps[channel.name] = channel, receive
            channel.tap(receive)
        elif known is not None and not channel.renditions.active:
            del self._taps[channel.name]
            channel.untap(known[1])

    def _on_packet(self, channel: Channel, packet: Packet, now: float) -> None:
        self._send(channel, channel.renditions.feed(packet, now))

    def _send(self, channel: Channel, packets: Iterable[tuple[Rendition, Packet]]) -> None:
        for rendition, packet in packets:
            if not rendition.group.count:
                continue
            began = time.perf_counter()
            outcome = self._engine.send(rendition.group, packet)
            self._seconds.observe(time.perf_counter() - began)
            channel.sent[str(rendition.form)] += outcome.sent
            self.drops += outcome.dropped + outcome.failed

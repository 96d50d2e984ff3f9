"""Sender reports to listeners, spread over time, and the goodbye (RFC 3550 §6.4.1, §6.5, §6.6)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from loacodecs.rtp import ntp_from_unix
from relay.channels.channel import Channel
from relay.net.fanout import FanoutEngine
from relay.net.templates import BYE, SDES
from relay.sessions.listener import Listener

INTERVAL_S = 5.0
"""Every listener has a sender report this often."""

SLICE_S = 0.1
"""Reports leave in slices this far apart, so that they never stand between two packets."""


class Reporter:
    """Decides which rows are told now, and what."""

    def __init__(self, engine: FanoutEngine) -> None:
        self._engine = engine
        self._next_slice = 0.0
        self._cursors: dict[str, int] = {}

    def on_tick(self, channels: Iterable[Channel], now: float, wall: float) -> None:
        """Report to the next slice of every channel's rows."""
        if now < self._next_slice:
            return
        self._next_slice = now + SLICE_S
        for channel in channels:
            count = channel.group.count
            if not count or not channel.on_air(now):
                continue
            size = -(-count // round(INTERVAL_S / SLICE_S))
            start = self._cursors.get(channel.name, 0)
            start = 0 if start >= count else start
            self._send(channel, channel.group.rows[start : min(start + size, count)], wall)
            self._cursors[channel.name] = start + size

    def welcome(self, listener: Listener, wall: float) -> None:
        """Tell a listener who just joined what time its stream stands for."""
        channel = listener.session.channel
        if listener.row is not None and channel.timeline.sequence >= 0:
            self._send(channel, np.array([listener.row], np.int32), wall)

    def goodbye(self, listener: Listener, wall: float) -> None:
        """Tell a listener that its stream ends."""
        if listener.row is not None:
            rows = np.array([listener.row], np.int32)
            timestamp = listener.session.channel.capture.timestamp_at(wall)
            ntp = ntp_from_unix(wall) if timestamp is not None else 0
            self._engine.report(rows, ntp, timestamp or 0, SDES + BYE, len(SDES) + 4)

    def _send(self, channel: Channel, rows: np.ndarray[tuple[int], np.dtype[np.int32]], wall: float) -> None:
        timestamp = channel.capture.timestamp_at(wall)
        if timestamp is not None:
            self._engine.report(rows, ntp_from_unix(wall), timestamp, SDES, 0)

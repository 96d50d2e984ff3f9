"""Sender reports to listeners, spread over time and on request, and the goodbye.

RFC 3550 §6.4.1, §6.5, §6.6; RFC 3611 §4.5.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from loacodecs import rtcp, rtcp_xr
from loacodecs.rtp import ntp_from_unix
from relay.channels.channel import Channel
from relay.channels.renditions import Rendition
from relay.net.fanout import FanoutEngine
from relay.net.templates import BYE, SDES
from relay.sessions.clock_answers import ANSWERS_TO_ALL, ClockAnswers
from relay.sessions.listener import Listener

INTERVAL_S = 5.0
"""Every listener has a sender report this often."""

SLICE_S = 0.5
"""Reports leave in slices this far apart, so that they never stand between two packets."""

_SLICES = round(INTERVAL_S / SLICE_S)


class Reporter:
    """Decides which rows are told now, and what."""

    def __init__(self, engine: FanoutEngine) -> None:
        self._engine = engine
        self._next_slice = 0.0
        self._slice = 0
        self._answers = ClockAnswers(ANSWERS_TO_ALL)

    def on_tick(self, channels: Iterable[Channel], now: float, wall: float) -> None:
        """Report to the next slice of every channel's rows."""
        if now < self._next_slice:
            return
        self._next_slice = now + SLICE_S
        self._slice = (self._slice + 1) % _SLICES
        for channel in channels:
            if channel.on_air(now):
                for rendition in channel.renditions:
                    self._send_slice(channel, rendition, wall)

    def welcome(self, listener: Listener, wall: float) -> None:
        """Tell a listener who just joined what time its stream stands for."""
        channel = listener.session.channel
        if listener.row is not None and channel.timeline.sequence >= 0:
            self._send(channel, np.array([listener.row], np.int32), wall)

    def answer(
        self, listener: Listener, packets: list[rtcp.Packet], refused: Counter[str], now: float, wall: float,
        heard: float,
    ) -> None:  # fmt: skip
        """Tell a listener the time, if it asks in a datagram by the reference time of its clock (RFC 3611 §4.4).

        Not without an agreement, not too often (for it, and for all), and not before there was sound; the first
        question counts. What is not taken is counted in `refused`. It is `now` (monotonic), `wall` (unix), and the
        question came at `heard` (unix, 0 when nobody knows).
        """
        reports = [packet for packet in packets if isinstance(packet, rtcp_xr.ExtendedReport)]
        if ignored := sum(report.ignored for report in reports):
            refused["extended_report"] += ignored
        for report in reports:
            if report.reference_time is None:
                continue
            if listener.clock is None or not (listener.clock.take(now) and self._answers.take(now)):
                refused["clock_question"] += 1
            else:
                last, waited = rtcp_xr.short(report.reference_time), wall - (heard or wall)
                self._tell_time(listener, rtcp_xr.Delay(report.ssrc, last, rtcp_xr.delay_units(waited)), wall)
            return

    def _tell_time(self, listener: Listener, delay: rtcp_xr.Delay, wall: float) -> None:
        """A sender report with the delay since the question (RFC 3611 §4.5); the kernel fills in the row's SSRC."""
        timestamp = listener.session.channel.capture.timestamp_at(wall)
        if listener.row is not None and timestamp is not None:
            told = rtcp.serialize([rtcp_xr.ExtendedReport(0, delays=(delay,))])
            rows = np.array([listener.row], np.int32)
            self._engine.report(rows, ntp_from_unix(wall), timestamp, told, 0)

    def goodbye(self, listener: Listener, wall: float) -> None:
        """Tell a listener that its stream ends."""
        if listener.row is not None:
            rows = np.array([listener.row], np.int32)
            timestamp = listener.session.channel.capture.timestamp_at(wall)
            ntp = ntp_from_unix(wall) if timestamp is not None else 0
            self._engine.report(rows, ntp, timestamp or 0, SDES + BYE, len(SDES) + 4)

    def _send_slice(self, channel: Channel, rendition: Rendition, wall: float) -> None:
        """Tell the next of a rendition's rows; all renditions have the channel's timestamps."""
        rows, count = rendition.group.rows, rendition.group.count
        begin, end = (count * number // _SLICES for number in (self._slice, self._slice + 1))
        if begin < end:
            self._send(channel, rows[begin:end], wall)

    def _send(self, channel: Channel, rows: np.ndarray[tuple[int], np.dtype[np.int32]], wall: float) -> None:
        timestamp = channel.capture.timestamp_at(wall)
        if timestamp is not None:
            self._engine.report(rows, ntp_from_unix(wall), timestamp, SDES, 0)

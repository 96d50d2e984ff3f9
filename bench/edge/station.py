"""The station of a test: sends packets that were encoded before, to one relay or several, each at its moment."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.edge.programme import FRAME
from loacodecs import rtcp
from loacodecs.errors import LoaError, MalformedError
from loacodecs.opus import SAMPLE_RATE
from loaedge.client import ClientSettings, WebRtcClient
from loaedge.outgoing import OutgoingStream

REPORT_INTERVAL_S = 3.0
_LEVEL = 20
"""-20 dBov in every packet (RFC 6464)."""
_WARM_UP_S = 0.2


@dataclass(slots=True)
class _Feed:
    client: WebRtcClient
    stream: OutgoingStream


class Station:
    """`connect`, then `run`; `close` says goodbye. A relay that dies is left behind."""

    def __init__(self, packets: Sequence[bytes]) -> None:
        """`packets` are of 20 ms each and are sent over and over."""
        self.captured = 0.0
        """Local time at which the first sample of the first packet was captured; 0 before `run`."""
        self.sent = 0
        self.latest = 0.0
        """By how much (s) the latest packet left after its time."""
        self._packets = packets
        self._feeds: list[_Feed] = []

    async def connect(self, targets: Sequence[ClientSettings]) -> None:
        """A WHIP session with each relay. Raises LoaError."""
        for target in targets:
            client = WebRtcClient(target)
            await client.connect()
            stream = OutgoingStream(
                ssrc=client.ssrc,
                cname=client.cname,
                payload_type=client.answer.opus_payload_type,
                extensions=client.answer.extensions,
                sequence=int.from_bytes(os.urandom(2), "big"),
                timestamp=int.from_bytes(os.urandom(4), "big"),
            )
            feed = _Feed(client, stream)
            client.on_rtcp = functools.partial(_answer, feed)
            self._feeds.append(feed)

    async def run(self) -> None:
        """Send until cancelled."""
        self.captured = time.monotonic() + _WARM_UP_S
        next_report = 0.0
        while True:
            due = self.captured + (self.sent + 1) * FRAME / SAMPLE_RATE
            await asyncio.sleep(due - time.monotonic())
            now, wall = time.monotonic(), time.time()
            self.latest = max(self.latest, now - due)
            position = self.sent * FRAME
            captured = wall - (now - due) - FRAME / SAMPLE_RATE
            payload = self._packets[self.sent % len(self._packets)]
            for feed in self._feeds:
                packet = feed.stream.packet(payload, position, level=_LEVEL, now=now, captured=captured)
                feed.client.send_rtp(packet)
                if now >= next_report:
                    feed.client.send_rtcp(
                        feed.stream.report(round((now - self.captured) * SAMPLE_RATE), wall)
                    )
            if now >= next_report:
                next_report = now + REPORT_INTERVAL_S
            self.sent += 1

    async def close(self) -> None:
        """Leave the air; relays that are gone are not waited for."""
        for feed in self._feeds:
            position = round((time.monotonic() - self.captured) * SAMPLE_RATE)
            feed.client.send_rtcp(feed.stream.goodbye(position, time.time()))
            with contextlib.suppress(LoaError):
                await feed.client.close()
        self._feeds.clear()


def _answer(feed: _Feed, data: bytes, now: float) -> None:
    """Send again what the relay misses."""
    try:
        packets = rtcp.parse(data)
    except MalformedError:
        return
    for packet in packets:
        for again in feed.stream.on_rtcp(packet, now, time.time()):
            feed.client.send_rtp(again)

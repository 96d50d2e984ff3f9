"""`loa publish`: a programme on the air for as long as it sounds, through as many sessions as that takes."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from loacodecs import rtcp
from loacodecs.backoff import Backoff
from loacodecs.errors import LoaError, MalformedError, TransportError

from .client import ClientSettings, WebRtcClient
from .level import StatusLine, bar, clock
from .outgoing import OutgoingStream
from .programme import Encoding, Frame, Programme
from .sources import SAMPLE_RATE, SampleClock, Source, open_source
from .stopping import run_until, stop_signals
from .urls import Endpoint, Token
from .whip import SignallingError, Trust

REPORT_INTERVAL_S = 3.0
SETTLED_S = 5.0
"""A session that stood so long was a good one: after it the pauses between attempts begin small again."""


@dataclass(frozen=True)
class PublishSettings:
    """What to send where; `token` is asked at each connection."""

    endpoint: Endpoint
    source: str
    token: Callable[[], Token | None]
    trust: Trust = field(default_factory=Trust)
    encoding: Encoding = field(default_factory=Encoding)
    loop: bool = False
    duration_s: float | None = None
    replace: bool = False
    once: bool = False


class SessionLost(TransportError):  # noqa: N818 - named by what happened
    """The session ended before the programme did."""


def run(settings: PublishSettings) -> int:
    """`loa publish`: gives the exit code. Raises LoaError."""
    # Before there is an event loop, which would keep signals waiting as long as the source lets us wait.
    source = open_source(settings.source, loop=settings.loop)
    try:
        return asyncio.run(_run(settings, source))
    finally:
        source.close()


async def _run(settings: PublishSettings, source: Source) -> int:
    with stop_signals() as stop:
        line = StatusLine(sys.stderr)
        publisher = Publisher(settings, line, stop, source)
        await publisher.run()
        print(publisher.summary, flush=True)
        return 0 if publisher.packets else 1


class Publisher:
    """Connects, sends, and connects again until the programme is over or `stop` resolves.

    A file waits while there is no session.
    """

    def __init__(
        self, settings: PublishSettings, line: StatusLine, stop: asyncio.Future[None], source: Source
    ) -> None:
        """`source` is closed when all is over. Raises LoaError."""
        self.packets = 0
        self.sessions = 0
        """Sessions that stood."""
        self._settings = settings
        self._line = line
        self._stop = stop
        self._tls = settings.trust.context() if settings.endpoint.url.startswith("https") else None
        self._programme = Programme(source, settings.encoding, duration_s=settings.duration_s)
        self._backoff = Backoff(os.urandom)

    @property
    def summary(self) -> str:
        """What was done, in one line."""
        programme = self._programme
        return (
            f"sent {clock(programme.samples / SAMPLE_RATE)} of {programme.title}: {self.packets} packets, "
            f"mean level {programme.meter.mean:.1f} dBFS"
        )

    async def run(self) -> None:
        """Put the programme on air. Raises LoaError when there is no use in trying on."""
        if self._settings.encoding.fec and self._settings.encoding.bitrate > 24000:
            self._line.say("note: above 24k Opus mostly leaves out the in-band copies that --fec asks for")
        finished = False
        try:
            while not finished and not self._stop.done():
                try:
                    finished = await self._session()
                except TransportError as error:
                    if not self._worth_another_try(error):
                        raise
                    await self._pause(error)
        finally:
            self._line.clear()
            self._programme.close()

    def _worth_another_try(self, error: TransportError) -> bool:
        if self._settings.once:
            return False
        # Once on air, even a refusal may pass: the relay still holds the lost session, or has just restarted.
        return self.sessions > 0 or not (isinstance(error, SignallingError) and error.permanent)

    async def _pause(self, error: LoaError) -> None:
        asked = error.retry_after if isinstance(error, SignallingError) else None
        seconds = self._backoff.next_pause(asked)
        self._line.say(f"{error}; trying again in {seconds:.1f} s")
        await run_until(asyncio.sleep(seconds), self._stop)

    async def _session(self) -> bool:
        """One session from offer to goodbye; True when the programme is over. Raises LoaError."""
        settings = self._settings
        client = WebRtcClient(
            ClientSettings(
                settings.endpoint,
                "sendonly",
                settings.token(),
                self._tls,
                replace=settings.replace and not self.sessions,
            )
        )
        async with client:
            await run_until(client.connect(), self._stop)
            if client.state != "connected":
                return False
            self.sessions += 1
            self._line.say(f"on air: {self._programme.title} at {settings.endpoint}")
            on_air = OnAir(client, self._programme, self._line)
            try:
                finished = await run_until(on_air.run(), self._stop, client.closed)
            finally:
                self.packets += on_air.packets
                on_air.goodbye()
                if on_air.seconds > SETTLED_S:
                    self._backoff.reset()
        if finished is None and not self._stop.done():
            raise SessionLost(f"the session was lost: {client.closed.result()}")
        return bool(finished)


class OnAir:
    """One session's sending: frames at the pace of the sample clock, reports, answers to requests."""

    def __init__(self, client: WebRtcClient, programme: Programme, line: StatusLine) -> None:
        self._client = client
        self._programme = programme
        self._line = line
        self._loop = asyncio.get_running_loop()
        self._stream = OutgoingStream(
            ssrc=client.ssrc,
            cname=client.cname,
            payload_type=client.answer.opus_payload_type,
            extensions=client.answer.extensions,
            sequence=int.from_bytes(os.urandom(2), "big"),
            timestamp=int.from_bytes(os.urandom(4), "big"),
        )
        # The first frame is taken to have been captured just now, so that it goes out at once.
        self._started = self._loop.time()
        self._pace = SampleClock(self._started - programme.frame_samples / SAMPLE_RATE)
        self._next_report = self._started
        client.on_rtcp = self._on_rtcp

    @property
    def packets(self) -> int:
        """Packets sent, without repetitions."""
        return self._stream.packets

    @property
    def seconds(self) -> float:
        """Since the session stands."""
        return self._loop.time() - self._started

    async def run(self) -> bool:
        """Send until the programme is over: True. Raises SourceError."""
        samples = self._programme.frame_samples
        while (frame := await self._programme.next()) is not None:
            await asyncio.sleep(self._pace.due(samples) - self._loop.time())
            now = self._loop.time()
            self._pace.catch_up(now, samples)
            self._send(frame, now)
            self._pace.advance(samples)
            if now >= self._next_report:
                self._next_report = now + REPORT_INTERVAL_S
                self._client.send_rtcp(self._stream.report(self._pace.sample_at(now), time.time()))
            if self._line.due(now):
                self._show(now)
        return True

    def goodbye(self) -> None:
        """Say BYE, if there still is anybody to say it to."""
        captured = self._pace.sample_at(self._loop.time())
        self._client.send_rtcp(self._stream.goodbye(captured, time.time()))

    def _send(self, frame: Frame, now: float) -> None:
        if not frame.needed:
            return
        position = self._pace.position
        captured = time.time() - (now - self._pace.time_of(position))
        self._client.send_rtp(
            self._stream.packet(frame.payload, position, level=frame.level, now=now, captured=captured)
        )

    def _on_rtcp(self, data: bytes, now: float) -> None:
        try:
            packets = rtcp.parse(data)
        except MalformedError:
            return
        wall = time.time()
        for packet in packets:
            for again in self._stream.on_rtcp(packet, now, wall):
                self._client.send_rtp(again)

    def _show(self, now: float) -> None:
        stream = self._stream
        level = self._programme.meter.take().rms
        parts = [
            f"on air {clock(now - self._started)}",
            f"{bar(level, unicode=self._line.unicode)} {level:6.1f} dBFS",
            f"{stream.packets} packets",
        ]
        if stream.fraction_lost is not None:
            parts.append(f"{stream.fraction_lost * 100:.1f} % lost")
        if stream.round_trip_s is not None:
            parts.append(f"{stream.round_trip_s * 1000:.0f} ms")
        self._line.show("  ".join(parts), now)

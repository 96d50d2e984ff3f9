"""`loa listen`: a channel heard, measured and, if wanted, written to a file."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from loacodecs.errors import LoaError
from loacodecs.opus import SAMPLE_RATE

from .client import ClientSettings, WebRtcClient
from .decoding import Piece, Timeline
from .hearing import Hearing, State, in_words
from .incoming import IncomingStream
from .level import FLOOR_DBFS, LevelMeter, StatusLine, bar, clock
from .sinks import Sink, open_sink
from .stopping import run_until, stop_signals
from .urls import Endpoint, Token
from .whip import Trust

WINDOW_SAMPLES = SAMPLE_RATE // 10
_TICK_S = 0.1
_END_PATIENCE_S = 0.1


@dataclass(frozen=True)
class ListenSettings:
    """What to hear, for how long, and where to put it."""

    endpoint: Endpoint
    token: Callable[[], Token | None]
    trust: Trust = field(default_factory=Trust)
    output: Path | None = None
    duration_s: float | None = None


def run(settings: ListenSettings) -> int:
    """`loa listen`: gives the exit code. Raises LoaError."""
    return asyncio.run(_run(settings))


async def _run(settings: ListenSettings) -> int:
    tls = settings.trust.context() if settings.endpoint.url.startswith("https") else None
    line = StatusLine(sys.stderr)
    with stop_signals() as stop:
        client = WebRtcClient(ClientSettings(settings.endpoint, "recvonly", settings.token(), tls))
        async with client:
            await run_until(client.connect(), stop)
            if client.state != "connected":
                return 1
            # Only now, so that a refused session does not cost an earlier recording of the same name.
            serial = int.from_bytes(os.urandom(4), "big")
            sink = open_sink(settings.output, serial=serial, title=str(settings.endpoint))
            try:
                listener = Listener(client, sink, line)
                broken = await _listen(listener, client, stop, settings.duration_s)
            finally:
                line.clear()
                sink.close()
    print(listener.summary, flush=True)
    return listener.verdict(broken, until_the_end=settings.duration_s is not None)


async def _listen(
    listener: Listener, client: WebRtcClient, stop: asyncio.Future[None], duration_s: float | None
) -> str | None:
    """Listen until the time is over or `stop` resolves; the reason when the session broke before."""
    try:
        await run_until(listener.run(), stop, client.closed, timeout_s=duration_s)
    finally:
        listener.finish()
    return client.closed.result() if client.closed.done() and not stop.done() else None


class Listener:
    """Takes the packets of one session: orders, decodes, measures and stores them."""

    def __init__(self, client: WebRtcClient, sink: Sink, line: StatusLine) -> None:
        self._loop = asyncio.get_running_loop()
        self._client = client
        self._sink = sink
        self._line = line
        self._incoming = IncomingStream(
            ssrc=client.ssrc,
            cname=client.cname,
            payload_type=client.answer.opus_payload_type,
            nack=client.answer.nack,
            random=os.urandom,
        )
        self._timeline = Timeline()
        self._meter = LevelMeter()
        self._began = self._ended = self._loop.time()
        self._hearing = Hearing(self._began)
        self._said: State = "waiting"
        self._level = FLOOR_DBFS
        self._failure: asyncio.Future[None] = self._loop.create_future()
        client.on_rtp = self._on_rtp
        client.on_rtcp = self._on_rtcp

    async def run(self) -> None:
        """Keep time: requests, reports, gaps given up, the status. Raises SinkError."""
        while not self._incoming.gone:
            now = self._loop.time()
            deadline = self._incoming.next_deadline()
            pause = _TICK_S if deadline is None else min(_TICK_S, max(0.001, deadline - now))
            await asyncio.wait((self._failure,), timeout=pause)
            if self._failure.done():
                self._failure.result()
            now = self._loop.time()
            self._work(now)
            self._take(self._timeline.stall(now))
            self._report(now)

    def finish(self) -> None:
        """Take what is left, say BYE. Raises SinkError."""
        now = self._ended = self._loop.time()
        self._client.send_rtcp(self._incoming.goodbye(now))
        for arrival in self._incoming.drain():
            self._take(self._timeline.feed(arrival))
        self._take(self._timeline.stall(now, patience_s=_END_PATIENCE_S))
        self._hearing.on_level(self._meter.take(), now)

    @property
    def summary(self) -> str:
        """What was heard, in one line."""
        incoming, timeline = self._incoming, self._timeline
        return (
            f"heard {self._hearing.heard_s:.1f} of {self._ended - self._began:.1f} s: "
            f"{incoming.packets} packets, {incoming.lost} lost, {incoming.recovered} recovered, "
            f"{timeline.concealed * 1000 // SAMPLE_RATE} ms concealed, "
            f"mean level {self._meter.mean:.1f} dBFS, jitter {incoming.jitter_s * 1000:.1f} ms"
        )

    def verdict(self, broken: str | None, *, until_the_end: bool) -> int:
        """The exit code: 0 when sound was heard, and to the end where an end was set; says why not."""
        state = self._hearing.state(self._ended)
        if not self._hearing.heard_s:
            self._line.say(f"nothing was heard: {in_words('nothing' if state == 'waiting' else state)}")
            return 1
        if broken is not None or self._incoming.gone:
            self._line.say(f"the session broke off: {broken or 'the relay said BYE'}")
            return 1
        if until_the_end and state != "sound":
            silent = self._ended - (self._hearing.last_sound or self._began)
            self._line.say(f"the sound stopped {silent:.1f} s before the end")
            return 1
        return 0

    def _on_rtp(self, data: bytes, now: float) -> None:
        self._incoming.on_rtp(data, now)
        self._work(now)

    def _on_rtcp(self, data: bytes, now: float) -> None:
        self._incoming.on_rtcp(data, now)

    def _work(self, now: float) -> None:
        """Decode what is in order, send what RTCP is due; a failing sink ends `run`."""
        if self._failure.done():
            return
        try:
            while (arrival := self._incoming.pop(now)) is not None:
                self._hearing.on_packet(now)
                self._take(self._timeline.feed(arrival))
        except LoaError as error:
            self._failure.set_exception(error)
        while (rtcp := self._incoming.poll_rtcp(now)) is not None:
            self._client.send_rtcp(rtcp)

    def _take(self, pieces: Iterable[Piece]) -> None:
        for piece in pieces:
            self._sink.write(piece)
            self._meter.add(piece.pcm)
            if self._meter.pending >= WINDOW_SAMPLES:
                level = self._meter.take()
                self._level = level.rms
                self._hearing.on_level(level, self._loop.time())

    def _report(self, now: float) -> None:
        state = self._hearing.state(now)
        if state != self._said:
            self._said = state
            self._line.say(f"{clock(now - self._began)} {in_words(state)}")
        if not self._line.due(now):
            return
        incoming = self._incoming
        parts = [
            f"{'hearing' if state == 'sound' else 'silent'} {clock(now - self._began)}",
            f"{bar(self._level, unicode=self._line.unicode)} {self._level:6.1f} dBFS",
            f"{incoming.packets} packets, {incoming.lost} lost, {incoming.recovered} recovered",
            f"jitter {incoming.jitter_s * 1000:.1f} ms",
        ]
        self._line.show("  ".join(parts), now)

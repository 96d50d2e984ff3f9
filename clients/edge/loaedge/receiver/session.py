"""One WHEP session of a receiver: connect, feed the playout, keep consent as often as the moment needs it.

While media flows consent is renewed every 5 s. A session in doubt is asked every second. One on which nothing is on
air is asked as rarely as the relay agreed to (`a=x-loa-idle`) and sends no reports, so that it costs next to nothing.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from loacodecs import rtcp
from loacodecs.clocksync import Exchange
from loacodecs.errors import MalformedError
from loacodecs.rtp import unix_from_ntp
from loacodecs.sdp import AudioDescription

from ..client import ClientSettings, State, WebRtcClient
from .keeping import SUSPECTED_S, Cadence, Link
from .mediaclock import MediaClock
from .oneway import OneWay

FLOWING_S: Final = 2.0
"""Media that came so recently flows."""
QUIET_AFTER_S: Final = 12.0
"""Without media for so long the session goes to its idle rhythm; a relay's sources change faster than that."""
_INTERVAL_S: Final = {"flowing": 5.0, "doubt": 1.0}
_TIMEOUT_S: Final = {"flowing": 15.0, "doubt": 8.0}
"""In doubt a stall of a mobile link, which lasts 3 s, must not end the session."""
_IDLE_PATIENCE: Final = 2.5
_RTCP_PAUSE_S: Final = 0.005
_SUSPICION_S: Final = 3.0
"""How long a suspicion lasts."""

Rhythm = Literal["flowing", "doubt", "idle"]


class Source(Protocol):
    """Where a session's packets go: `loaedge.playout.Source`, behind the lock of `sound`."""

    def on_rtp(self, data: bytes, now: float) -> None:
        """Take a packet."""

    def on_rtcp(self, data: bytes, now: float) -> None:
        """Take a compound RTCP packet."""

    def poll_rtcp(self, now: float) -> bytes | None:
        """RTCP to send now."""

    def next_deadline(self) -> float | None:
        """When `poll_rtcp` has something."""

    def goodbye(self, now: float) -> bytes:
        """The last compound packet."""


class Clocks(Protocol):
    """Who is told the time of relays, by their places in the list: `linking.LinkClock`."""

    def told_by_sound(self, relay: int, exchange: Exchange) -> None:
        """The relay has answered on the way of the sound."""

    def told_one_way(self, exchange: Exchange) -> None:
        """A reading made of a sender report."""

    def sound_pause_s(self, relay: int, since_s: float, now: float) -> float | None:
        """How long to wait before the relay is asked again, so long after sound began; None: do not ask it."""


@dataclass(frozen=True, slots=True)
class Ears:
    """What a session reports to: `open` and `close` a source by name, `clocks` the time, `changed` state."""

    open: Callable[[str, AudioDescription, WebRtcClient], Source]
    close: Callable[[str], None]
    clocks: Clocks
    changed: Callable[[], None]


class Session:
    """One session with the relay at `relay` in the list; `run` it once."""

    def __init__(self, number: int, relay: int, settings: ClientSettings, ears: Ears) -> None:
        self.number = number
        self.relay = relay
        self._settings = settings
        self._ears = ears
        self._loop = asyncio.get_running_loop()
        self._name = f"{relay}.{number}"
        self._began = self._loop.time()
        self._connected: float | None = None
        self._packet: float | None = None
        self._client: WebRtcClient | None = None
        self._source: Source | None = None
        self._rhythm: Rhythm = "flowing"
        self._doubted: float | None = None
        self._woken = 0.0
        self._cadence = Cadence()
        self._suspected = float("-inf")
        self._one_way = OneWay()
        self._media_clock: MediaClock | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._gone = self._loop.create_future()

    @property
    def link(self) -> Link:
        """The session as the keeper sees it."""
        heard = self._client.last_heard if self._client is not None else 0.0
        patience = self._cadence.patience
        if self._loop.time() - self._suspected < _SUSPICION_S:
            patience = min(patience, SUSPECTED_S)
        return Link(self.number, self.relay, self._began, self._connected, self._packet, heard, patience)

    @property
    def round_trip_s(self) -> float | None:
        """What the last consent check took."""
        return self._client.round_trip_s if self._client is not None else None

    @property
    def unanswered(self) -> float | None:
        """Since when a sign of life is asked for in vain (monotonic); None when none is missing."""
        return self._doubted if self._doubted is not None and self.link.heard < self._doubted else None

    async def run(self) -> str:
        """Connect and listen until the session ends; gives the reason. Raises LoaError when it cannot begin."""
        client = self._client = WebRtcClient(
            self._settings, on_rtp=self._on_rtp, on_rtcp=self._on_rtcp, on_state=self._on_state
        )
        try:
            async with client:
                try:
                    await client.connect()
                    await asyncio.wait({client.closed, self._gone}, return_when=asyncio.FIRST_COMPLETED)
                    return client.closed.result() if client.closed.done() else "the relay said BYE"
                finally:
                    if self._timer is not None:
                        self._timer.cancel()
                    if self._source is not None:
                        client.send_rtcp(self._source.goodbye(self._loop.time()))
        finally:
            if self._source is not None:
                self._ears.close(self._name)

    def doubt(self) -> None:
        """Ask for a sign of life every second, until packets come or `calm`."""
        if self._doubted is None:
            self._doubted = self._loop.time()
            self._set_rhythm("doubt")

    def calm(self) -> None:
        """Sound is not missed any more: nothing is on air."""
        self._doubted = None

    def suspect(self) -> None:
        """The relay may be gone: a short pause is enough for a doubt, for some seconds."""
        self._suspected = self._loop.time()

    def wake(self) -> None:
        """Something will be on air: renew the way through NATs at once."""
        self._woken = self._loop.time()
        self._set_rhythm("flowing", again=True)

    def tick(self, now: float) -> None:
        """Choose the rhythm; to be called about every second."""
        if self._connected is None:
            return
        last = max(self._connected, self._packet or 0.0, self._woken)
        if self._doubted is not None and now - self._doubted < _TIMEOUT_S["doubt"]:
            self._set_rhythm("doubt")
        elif now - last < QUIET_AFTER_S or not self._idle_s:
            self._set_rhythm("flowing")
        else:
            self._set_rhythm("idle")

    @property
    def _idle_s(self) -> int:
        """What the relay agreed to, 0 when it does not know the attribute."""
        return self._client.answer.delivery.idle_s if self._client is not None else 0

    def _set_rhythm(self, rhythm: Rhythm, *, again: bool = False) -> None:
        if self._client is None or self._connected is None or (rhythm == self._rhythm and not again):
            return
        self._rhythm = rhythm
        idle = float(self._idle_s)
        self._client.set_consent(
            interval_s=_INTERVAL_S.get(rhythm, idle),
            timeout_s=_TIMEOUT_S.get(rhythm, idle * _IDLE_PATIENCE),
        )

    def _on_state(self, state: State) -> None:
        """Listen from the moment the session stands: in the next datagram the relay says when its sound was captured,
        and whoever only listens once a task has been woken up misses that and plays a second in the wrong place."""
        client = self._client
        if state == "connected" and client is not None:
            self._connected = self._loop.time()
            self._source = self._ears.open(self._name, client.answer, client)
            if client.answer.delivery.clock:
                pause_s = functools.partial(self._ears.clocks.sound_pause_s, self.relay)
                self._media_clock = MediaClock(client.ssrc, pause_s)
            self._ears.changed()

    def _on_rtp(self, data: bytes, now: float) -> None:
        first = self._packet is None or now - self._packet > FLOWING_S
        self._packet = now
        self._cadence.note(len(data), now)
        self._doubted = None
        assert self._source is not None
        self._source.on_rtp(data, now)
        self._send_due(now)
        self._ask_time(first)
        if first:
            self._set_rhythm("flowing")
            self._ears.changed()

    def _on_rtcp(self, data: bytes, now: float) -> None:
        assert self._source is not None
        self._source.on_rtcp(data, now)
        try:
            packets = rtcp.parse(data)
        except MalformedError:
            return
        for packet in packets:
            if isinstance(packet, rtcp.Goodbye) and not self._gone.done():
                self._gone.set_result(None)
        self._note_clock(packets, now)

    def _note_clock(self, packets: Sequence[rtcp.Packet], now: float) -> None:
        """Take an answer for the exchange it is, and a report without a question for a poor man's: it left the relay
        half a round trip ago."""
        told = self._media_clock.answer(packets, now) if self._media_clock is not None else None
        if told is not None:
            self._ears.clocks.told_by_sound(self.relay, told)
        elif self.round_trip_s is not None:
            for packet in packets:
                if isinstance(packet, rtcp.SenderReport) and packet.ntp:
                    reading = self._one_way.exchange(unix_from_ntp(packet.ntp), now, self.round_trip_s)
                    self._ears.clocks.told_one_way(reading)

    def _ask_time(self, first: bool) -> None:
        """Ask the relay for the time if it is due; only with sound, so that it costs no timer, and nothing in silence.

        `first`: sound begins.
        """
        clock, client = self._media_clock, self._client
        if clock is None or client is None:
            return
        if first:
            clock.silence()
        now = self._loop.time()
        if clock.due(now):
            client.send_rtcp(clock.question(now))

    def _send_due(self, now: float) -> None:
        """Reports and requests that are due, and a timer for the next ones; none while nothing flows."""
        source, client = self._source, self._client
        if source is None or client is None:
            return
        deadline = source.next_deadline()
        if deadline is not None and deadline <= now:
            while (data := source.poll_rtcp(now)) is not None:
                client.send_rtcp(data)
            deadline = source.next_deadline()
        if deadline is None or self._packet is None or now - self._packet > QUIET_AFTER_S:
            return
        deadline = max(deadline, now + _RTCP_PAUSE_S)
        # A timer that comes too early looks again; that is cheaper than a new one with every packet.
        if self._timer is not None:
            if self._timer.when() <= deadline:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._send_due(self._loop.time())

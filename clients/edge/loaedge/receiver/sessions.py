"""The sessions of a receiver: does what the keeper decided, for ever."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from loacodecs.errors import ConfigurationError, LoaError

from ..client import ClientSettings, Wishes
from ..urls import Token, endpoint
from ..whip import SignallingError
from .keeping import Decision, Keeper, Link
from .session import Ears, Session
from .words import spoken

log = logging.getLogger(__name__)

TICK_S: Final = 0.1
IDLE_TICK_S: Final = 0.5
_MARGIN_S: Final = 0.01
"""Timers may come a little early."""
CONNECT_S: Final = 5.0
"""A session that has its answer and is not connected by then is given up: ICE and DTLS take four round trips."""
ASKING_S: Final = 8.0
PERMANENT_S: Final = 10.0
"""A refusal that will be the same without a change (no such channel, a token not accepted) is tried again after this
at the least: the change is made at the relay, and nobody comes here for it."""


@dataclass(frozen=True, slots=True)
class Way:
    """How to reach the channel: relays in order of preference, and what is the same for all of them.

    `token` and `tls` are asked at each connection, since they change. `awaits_token`: the control link brings one.
    """

    relays: tuple[str, ...]
    channel: str
    token: Callable[[], Token | None]
    tls: Callable[[], ssl.SSLContext | None]
    wishes: Wishes
    awaits_token: bool = False


class Sessions:
    """Keeps as many sessions as are wanted; `run` it in a task of its own.

    `on_air` is what the relay says about the channel by the control link, None when nobody says anything; setting it
    to True wakes sessions that are idle.
    """

    def __init__(self, way: Way, keeper: Callable[[], Keeper], ears: Ears) -> None:
        self.problems: dict[int, str] = {}
        """Why there is no session with a relay, by its place in the list."""
        self._way = way
        self._make_keeper = keeper
        self._keeper = keeper()
        self._ears = replace(ears, changed=self._on_changed)
        self._changed = ears.changed
        self._running: dict[Session, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._number = 0
        self._on_air: bool | None = None
        self._asking_until = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False
        self._loop = asyncio.get_running_loop()

    @property
    def channel(self) -> str:
        """The channel listened to, "" when none is chosen."""
        return self._way.channel

    @property
    def connected(self) -> tuple[str, ...]:
        """The relays a session stands with."""
        return tuple(
            self._way.relays[link.relay]
            for link in (session.link for session in self._running)
            if link.connected is not None
        )

    @property
    def round_trip_s(self) -> float | None:
        """The shortest round trip of the sessions."""
        found = [session.round_trip_s for session in self._running]
        return min((value for value in found if value is not None), default=None)

    @property
    def flowing(self) -> bool:
        """Whether packets come."""
        now = self._loop.time()
        # A list of its own: the worker's thread asks, too, while sessions come and go.
        packets = [session.link.packet for session in tuple(self._running)]
        return any(packet is not None and now - packet < 1.0 for packet in packets)

    def say_on_air(self, on_air: bool | None) -> None:
        """Hear from the relay whether the channel is on air."""
        woken = on_air and not self._on_air
        if on_air is None and self._on_air is not None:
            # The control link is gone; often so is the relay, and a link's end is told sooner than silence tells it.
            for session in self._running:
                session.suspect()
        self._on_air = on_air
        if woken:
            self.wake()
        self._look_soon()

    @property
    def unanswered(self) -> float | None:
        """Since when all sessions have been asked for a sign of life and none has given one (monotonic)."""
        since = [session.unanswered for session in self._running if session.link.connected is not None]
        known = [moment for moment in since if moment is not None]
        return min(known) if known and len(known) == len(since) else None

    def ask(self) -> None:
        """Find out whether the relays are still there, though nothing is on air."""
        self._asking_until = self._loop.time() + ASKING_S
        self._look_soon()

    def retry(self) -> None:
        """Something has changed: what was refused before may be accepted now."""
        if not self.connected:
            self._keeper = self._make_keeper()
            self._look_soon()

    def wake(self) -> None:
        """Ask all relays for a sign of life."""
        for session in self._running:
            session.wake()
        self._look_soon()

    def tune(self, channel: str) -> None:
        """Listen to another channel from now on."""
        if channel == self._way.channel:
            return
        log.info("channel %s", channel or "(none)")
        self._way = replace(self._way, channel=channel)
        self._on_air = None
        self._keeper = self._make_keeper()
        self.problems.clear()
        for session in list(self._running):
            self._leave(session)
        self._look_soon()

    async def run(self) -> None:
        """Keep sessions until cancelled; then each says goodbye."""
        try:
            self._look()
            await self._loop.create_future()
        finally:
            if self._timer is not None:
                self._timer.cancel()
            self._ended = True
            for session in list(self._running):
                self._leave(session)
            await asyncio.gather(*self._leaving, return_exceptions=True)

    def _look(self) -> None:
        """Decide and act, now and again after a while."""
        if self._ended:
            return
        if self._timer is not None:
            self._timer.cancel()
        pause = IDLE_TICK_S
        try:
            pause = self._step()
        finally:  # a fault of ours is told, and looked at again
            self._timer = self._loop.call_later(pause, self._look)

    def _look_soon(self) -> None:
        """Something has happened."""
        self._loop.call_soon(self._look)

    def _step(self) -> float:
        """Decide and act; gives the pause until the next time (s)."""
        now = self._loop.time()
        if not self._way.channel:
            return IDLE_TICK_S
        links = [session.link for session in self._running]
        decision = self._keeper.decide(links, now, on_air=self._on_air)
        self._act(decision, now)
        for session in self._running:
            session.tick(now)
        return self._pause(links, now) if links and not (decision.start or decision.probe) else TICK_S

    def _pause(self, links: Sequence[Link], now: float) -> float:
        """Until a session could be in doubt at the earliest, while all of them stand (s)."""
        if any(link.connected is None for link in links):
            return TICK_S
        doubtful = min(link.doubtful_at for link in links) + _MARGIN_S - now
        return doubtful if doubtful > 0 else IDLE_TICK_S if not self.flowing else TICK_S

    def _act(self, decision: Decision, now: float) -> None:
        for session in list(self._running):
            if session.number in decision.end:
                self._leave(session)
            elif session.number in decision.probe or now < self._asking_until:
                session.doubt()
            else:
                session.calm()
        for relay in decision.start:
            self._start(relay)

    def _start(self, relay: int) -> None:
        self._number += 1
        try:
            settings = self._settings(relay)
        except ConfigurationError as error:  # the token's file cannot be read just now
            self._fail(relay, error)
            return
        session = Session(self._number, relay, settings, self._ears)
        task = self._loop.create_task(self._run(session))
        self._running[session] = task

    def _settings(self, relay: int) -> ClientSettings:
        way = self._way
        address = endpoint(f"{way.relays[relay]}/{way.channel}", "whep")
        tls = way.tls() if address.url.startswith("https") else None
        return ClientSettings(
            address, "recvonly", way.token(), tls, wishes=way.wishes, connect_timeout_s=CONNECT_S
        )

    async def _run(self, session: Session) -> None:
        keeper = self._keeper
        where = self._way.relays[session.relay]
        try:
            reason = await session.run()
            if session.link.packet is not None:
                log.info("%s: session over, %s", where, reason)
            self.problems[session.relay] = reason
            keeper.lost(session.relay, self._loop.time())
        except LoaError as error:
            if keeper is self._keeper:
                self._fail(session.relay, error)
        except Exception:  # a fault of ours costs no more than a refusal
            log.exception("%s: the session failed", where)
            keeper.lost(session.relay, self._loop.time())
        finally:
            if self._running.pop(session, None) is not None:
                self._on_changed()

    def _fail(self, relay: int, error: LoaError) -> None:
        at_least = None
        if isinstance(error, SignallingError):
            at_least = error.retry_after or (PERMANENT_S if error.permanent else None)
        pause = self._keeper.lost(relay, self._loop.time(), at_least_s=at_least)
        sentence, level = spoken(error), logging.WARNING
        if self._way.awaits_token and isinstance(error, SignallingError) and error.needs == "token":
            sentence, level = f"{error.sentence}, which comes with the control link", logging.INFO
        if self.problems.get(relay) != sentence:
            log.log(level, "%s: %s; trying again in %.1f s", self._way.relays[relay], sentence, pause)
        self.problems[relay] = sentence

    def _on_changed(self) -> None:
        for session in self._running:
            stands = session.link.connected is not None and session.unanswered is None
            if stands and self.problems.pop(session.relay, ""):
                log.info("%s: session stands", self._way.relays[session.relay])
        self._look_soon()
        self._changed()

    def _leave(self, session: Session) -> None:
        """End a session; its goodbye goes on by itself."""
        task = self._running.pop(session)
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        task.cancel()

"""The receiver put together: builds, wires, runs one TaskGroup, shuts down in order.

Threads: the event loop (sessions, control link, timers), the player's (sound), and a worker of its own that reads
local programmes and writes receipts: those of asyncio are all busy when names are looked up in vain. They meet in
`SharedPlayout` and in values that are replaced whole.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

import numpy as np

from loacodecs.clocksync import ClockSync
from loacodecs.control import Settings
from loacodecs.errors import ConfigurationError

from ..control.classes import LiveClasses
from ..control.identity import IdentityStore
from ..control.receipts import ReceiptBook
from ..control.settings import SETTINGS_FILE, SettingsStore
from ..control.tls import forgiving
from ..disk import reason
from ..local.cache import verify
from ..local.director import Director
from ..local.selector import QUIET_WORD, LiveState, Selector, SelectorSettings
from ..local.timetable import Timetable
from ..local.wallclock import EARLIEST, WallClock
from ..outputs.amplifier import Amplifier, AmplifierSettings
from ..outputs.chain import Chain
from ..outputs.chime import chime
from ..outputs.limiter import Limiter
from ..outputs.opening import open_output
from ..outputs.output import Output, Pcm
from ..outputs.player import Player
from ..outputs.power import open_power
from ..outputs.volume import Volume
from ..playout import Playout, PlayoutSettings
from ..stopping import run_until
from ..urls import Token, bearer
from ..whip import Trust
from .config import Config
from .console import Console
from .keeping import Keeper
from .linking import RECEIPTS_FILE, ControlLink, LinkClock, Wants
from .notify import Notifier
from .session import Ears
from .sessions import Sessions, Way
from .sound import SharedPlayout
from .telling import Parts, Teller

log = logging.getLogger(__name__)

LOCAL_TICK_S: Final = 1.0
SWITCH_TICK_S: Final = 0.1
SOUND_STALLED_S: Final = 30.0
"""A sound thread that has asked for nothing for so long is stuck, unless the player says what is wrong."""
NO_DEVICE_S: Final = 600.0
"""After so long without a sound device a fresh start is tried: the watchdog is not told that all is well."""


class Receiver:
    """Everything a receiver is, built from its configuration; `run` it once, in the event loop it is made in.

    Raises ConfigurationError.
    """

    def __init__(
        self, config: Config, *, notifier: Notifier, random: Callable[[int], bytes] = os.urandom
    ) -> None:
        self._config = config
        self._random = random
        self._notifier = notifier
        self._stop = asyncio.get_running_loop().create_future()
        self._link_token: Token | None = None
        self._sound_at = time.monotonic()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="loa-worker")
        self._settings_store = SettingsStore(config.state_dir / SETTINGS_FILE)
        kept = self._settings_store.load() if config.control else None
        self._settings = kept.settings if kept is not None and _may_be_told(config) else _settings(config)
        self._classes = LiveClasses(self._settings.channel)
        self._clock = ClockSync()
        self._link_clock = LinkClock(self._clock)
        self._wall = WallClock(self._clock, config.zone, floor=kept.at if kept is not None else EARLIEST)
        self._playout = SharedPlayout(
            lambda settings: Playout(self._clock, settings, channels=config.channels),
            _playout_settings(self._settings),
            random,
        )
        self._selector = self._build_selector()
        self._chain = self._build_chain()
        self._player = Player(self._open_output, self._render, ready=self._chain.ready)
        self._amplifier = Amplifier(AmplifierSettings(config.amplifier.lead_s, config.amplifier.tail_s))
        self._power = open_power(config.amplifier.switch)
        self._tls = self._trust()
        self._sessions = self._build_sessions()
        self._receipts = ReceiptBook(config.state_dir / RECEIPTS_FILE)
        self._teller = self._build_teller()
        self._console = Console(self._said_elsewhere)
        self._link = self._build_link() if config.control else None

    async def run(self, stop: asyncio.Future[None]) -> None:
        """Receive and play until `stop` resolves or the relay wants a fresh start."""
        self._player.start()
        self._notifier.ready()
        try:
            await run_until(self._run(), stop, self._stop)
        finally:
            self._notifier.stopping()
            self._player.stop()  # nothing else is left that the event loop could do meanwhile
            self._power.close()
            # After what the worker is still at: both are its.
            await asyncio.get_running_loop().run_in_executor(self._worker, self._close)
            self._worker.shutdown()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sessions.run())
            tasks.create_task(self._work())
            tasks.create_task(self._watch())
            if self._config.amplifier.switch != "none":
                tasks.create_task(self._switch())
            if self._link is not None:
                tasks.create_task(self._link.run())

    async def _work(self) -> None:
        """What the selector must know, and beside it the worker's half of local programmes and receipts: while a disk
        hangs, an emergency still ends in its time.
        """
        loop = asyncio.get_running_loop()
        since = loop.time()
        connected = False
        tending: asyncio.Future[None] | None = None
        while True:
            now = loop.time()
            if connected != bool(self._sessions.connected):
                connected, since = not connected, now
            kind = self._classes.kind(now)
            self._selector.live_state = LiveState(connected, since, self._sessions.unanswered, kind)
            self._wall.note_system(time.time(), now)
            if self._selector.probe_due(now):
                self._sessions.ask()
            if (commit_s := self._player.commit_s) is not None:
                self._playout.commit(commit_s + self._chain.delay_s)
            if tending is None or tending.done():
                if tending is not None:
                    tending.result()  # a fault of ours is not to be passed over
                tending = loop.run_in_executor(self._worker, self._tend, now)
            await asyncio.sleep(LOCAL_TICK_S)

    def _tend(self, now: float) -> None:
        """Once a second, in the worker's thread: files are read and receipts written here."""
        self._selector.tick(now)
        self._teller.look(now)

    def _close(self) -> None:
        self._selector.close()
        self._teller.close()

    async def _watch(self) -> None:
        """Tell the service manager how we are, and that we are, as long as loop and sound both get on."""
        pause = min(5.0, (self._notifier.watchdog_s or 60.0) / 3)
        while True:
            now = time.monotonic()
            state, faults = self._teller.state, self._teller.faults(now)
            self._notifier.status("; ".join((state, *faults)))
            self._console.note(state, faults)
            limit = NO_DEVICE_S if self._player.state.problem else SOUND_STALLED_S
            if now - self._sound_at < limit:
                self._notifier.alive()
            await asyncio.sleep(pause)

    async def _switch(self) -> None:
        """Give the amplifier power in time."""
        while True:
            now = time.monotonic()
            sounding = self._selector.sounding
            due = not sounding.quiet and (
                sounding.source != "silence"
                or any(self._playout.sounding_at(moment) for moment in self._amplifier.moments(now))
            )
            self._power.switch(self._amplifier.update(now, due), now)
            await asyncio.sleep(SWITCH_TICK_S)

    def _want(self, settings: Settings) -> None:
        """Play from now on as the relay has commanded."""
        if settings == self._settings:
            return
        log.info(
            "settings: channel %s, delay %d ms, trim %d ms, volume %+.1f dB%s",
            settings.channel or "(none)",
            settings.delay_ms,
            settings.trim_ms,
            settings.volume_db,
            ", muted" if settings.muted else "",
        )
        self._settings = settings
        self._chain.volume.db = settings.volume_db
        self._chain.volume.muted = settings.muted
        self._playout.choose(_playout_settings(settings))
        if settings.channel != self._sessions.channel:
            # In this order: sessions of the old channel keep feeding what is not heard any more.
            self._playout.begin_anew()
            self._sessions.tune(settings.channel)
        if self._link is not None:
            self._link.ask()

    def _on_token(self, token: str) -> None:
        try:
            self._link_token = bearer(token, "the control link") if token else None
        except ConfigurationError as error:
            log.warning("%s", error)
            return
        self._sessions.retry()

    def _on_air(self, channel: str, on_air: bool | None) -> None:
        if channel in ("", self._sessions.channel):
            self._sessions.say_on_air(on_air)

    def _on_class(self) -> None:
        kind = self._classes.kind(time.monotonic())
        log.info("the live programme is %s", kind)
        self._selector.live_state = replace(self._selector.live_state, kind=kind)

    def _on_restart(self) -> None:
        log.info("the relay wants a fresh start")
        if not self._stop.done():
            self._stop.set_result(None)

    def _render(self, frames: int, heard_at: float) -> Pcm:
        pcm = self._chain.render(frames, heard_at)
        self._sound_at = time.monotonic()  # not sooner: a fault in it, time and again, is no sound
        return pcm

    def _open_output(self) -> Output:
        config = self._config
        return open_output(config.output, latency_s=config.output_latency_s, channels=config.channels)

    def _build_selector(self) -> Selector:
        config = self._config
        director = Director(
            Timetable(config.timetable, config.zone),
            config.quiet,
            config.fallback,
            channels=config.channels,
            verify=verify,
        )
        tones = np.repeat(chime(), config.channels, axis=1) if config.chime else None
        lead_s = config.amplifier.lead_s if config.amplifier.switch != "none" else 0.0
        return Selector(
            self._playout,
            director,
            config.quiet,
            self._wall,
            SelectorSettings(lead_s=lead_s),
            channels=config.channels,
            chime=tones,
        )

    def _build_chain(self) -> Chain:
        volume = Volume(self._settings.volume_db, muted=self._settings.muted)
        limiter = Limiter(channels=self._config.channels)
        return Chain(self._selector.render, volume, limiter, ready=self._playout.ready)

    def _build_sessions(self) -> Sessions:
        config = self._config
        way = Way(
            relays=config.relays,
            channel=self._settings.channel,
            token=self._token,
            tls=self._fresh_tls,
            wishes=config.wishes,
            awaits_token=config.control and config.token_file is None,
        )
        wanted = 2 if config.mode == "both" else 1
        ears = Ears(self._playout.open, self._playout.close, self._link_clock, self._on_sessions)
        return Sessions(way, lambda: Keeper(len(config.relays), wanted, self._random), ears)

    def _build_teller(self) -> Teller:
        parts = Parts(
            self._sessions,
            self._playout,
            self._selector,
            self._chain,
            self._player,
            self._wall,
            self._other_faults,
        )
        return Teller(parts, self._receipts, lambda: self._random(12).hex())

    def _build_link(self) -> ControlLink:
        return ControlLink(
            self._config.relays,
            self._config.state_dir,
            clock=self._link_clock,
            settings=self._settings_store,
            receipts=self._receipts,
            classes=self._classes,
            report=lambda: self._teller.report(time.monotonic()),
            on_air=lambda: self._teller.on_air,
            wants=Wants(self._want, self._on_token, self._on_air, self._on_class, self._on_restart),
            tls=self._fresh_tls,
            random=self._random,
        )

    def _other_faults(self) -> tuple[str, ...]:
        own = (self._settings_store.fault, self._power.problem)
        link = self._link.faults if self._link is not None else ()
        return (*(fault for fault in own if fault), *link)

    def _said_elsewhere(self) -> tuple[str, ...]:
        """Faults whose own lines are on the console: of the device, the sessions and the control link.

        Nor need it be told every evening that hours are quiet.
        """
        link = self._link.fault if self._link is not None else ""
        return (self._player.state.problem, link, *self._sessions.problems.values(), QUIET_WORD)

    def _trust(self) -> ssl.SSLContext | None:
        """One context for all connections: it holds the system's certificates, which take some memory."""
        config = self._config
        if not any(relay.startswith("https") for relay in config.relays):
            return None
        return Trust(ca_file=str(config.ca_file) if config.ca_file else None, option="ca_file").context()

    def _fresh_tls(self) -> ssl.SSLContext | None:
        """The context as the present time wants it, see `control.tls`."""
        return None if self._tls is None else forgiving(self._tls, time.time())

    def _token(self) -> Token | None:
        """The token to listen: of the file, read anew each time, else what the control link brought."""
        path = self._config.token_file
        if path is None:
            return self._link_token
        try:
            return bearer(path.read_text(encoding="utf-8"), f"token_file {path}")
        except (OSError, UnicodeDecodeError) as error:
            why = reason(error) if isinstance(error, OSError) else str(error)
            raise ConfigurationError(f"token_file {path} cannot be read: {why}") from error

    def _on_sessions(self) -> None:
        if self._link is not None:
            self._link.wake()


def _may_be_told(config: Config) -> bool:
    """Whether a relay's settings go before those of the file: not where that says what to play and none knows us."""
    return not config.channel or IdentityStore(config.state_dir).is_enrolled


def _settings(config: Config) -> Settings:
    """What the configuration wants, or else the enrolment, until the relay says otherwise."""
    enrolled = IdentityStore(config.state_dir).first_channel() if config.control else ""
    return Settings(
        channel=config.channel or enrolled,
        delay_ms=round(config.delay_s * 1000),
        trim_ms=round(config.trim_s * 1000),
        volume_db=config.volume_db,
        muted=False,
    )


def _playout_settings(settings: Settings) -> PlayoutSettings:
    return PlayoutSettings(settings.delay_ms / 1000, settings.trim_ms / 1000)

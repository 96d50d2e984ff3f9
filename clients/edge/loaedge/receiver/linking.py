"""The control link of a receiver: from the files of its enrolment to what the relay wants of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loacodecs.clocksync import ON_AIR_PAUSE_S, ClockSync, Exchange
from loacodecs.control import Settings

from ..control.classes import LiveClasses
from ..control.identity import Identity, IdentityError, IdentityStore
from ..control.link import Link, LinkParts, LinkStatus
from ..control.nonces import NONCE_FILE, NonceMemory
from ..control.receipts import ReceiptBook
from ..control.settings import SettingsStore
from ..control.telemetry import Report
from ..disk import DiskError
from .version import program_version

log = logging.getLogger(__name__)

RECEIPTS_FILE: Final = "receipts.dat"
LINK_CLOCK_S: Final = 180.0
"""So long after the control link's last exchange others tell the time."""
SOUND_CLOCK_S: Final = 30.0
"""So long after the last exchange on the way of the sound it tells the time no more."""
_NEVER: Final = float("-inf")
ENROLMENT_PAUSE_S: Final = 10.0
"""How often a receiver looks whether it has been enrolled, or enrolled anew, meanwhile."""


@dataclass(frozen=True, slots=True)
class Wants:
    """Who is told what the relay wants; called in the event loop."""

    settings: Callable[[Settings], None]
    token: Callable[[str], None]
    on_air: Callable[[str, bool | None], None]
    live_class: Callable[[], None]
    restart: Callable[[], None]


class LinkClock:
    """The receiver's clock, and by whom it is told the time: one relay at a time, since no two clocks are the same.

    That is the relay of the control link. While there is none, the one whose sound is heard, by exchanges on its way
    (RFC 3611), else by sender reports. While sound tells the time the link is not asked for it: what comes over TCP
    comes later, and costs twice as much.
    """

    def __init__(self, clock: ClockSync) -> None:
        self.relay: int | None = None
        """Place in the list of the relay that the link is up with, or was last."""
        self._clock = clock
        self._link_at = self._sound_at = _NEVER
        self._sound_relay: int | None = None

    def add(self, exchange: Exchange) -> bool:
        """Take an exchange of the link."""
        self._link_at = exchange.arrived
        return self._clock.add(exchange)

    def told_by_sound(self, relay: int, exchange: Exchange) -> None:
        """Take an exchange that a relay made on the way of its sound."""
        if self._follows(relay, exchange.arrived):
            self._sound_relay, self._sound_at = relay, exchange.arrived
            self._clock.add(exchange)

    def told_one_way(self, exchange: Exchange) -> None:
        """Take a reading made of a sender report: worse than any exchange, and taken only without those."""
        now = exchange.arrived
        if now - self._link_at > LINK_CLOCK_S and now - self._sound_at > SOUND_CLOCK_S:
            self._clock.add(exchange)

    def pause_s(self, on_air: bool) -> float:
        """How long to wait before the next exchange of the link."""
        pause = self._clock.pause_s(on_air)
        if on_air and self.relay == self._sound_relay and abs(self._link_at - self._sound_at) < SOUND_CLOCK_S:
            return max(pause, ON_AIR_PAUSE_S)
        return pause

    def sound_pause_s(self, relay: int, since_s: float, now: float) -> float | None:
        """How long to wait before that relay is asked again on the way of its sound; None: its time is not wanted."""
        return self._clock.sound_pause_s(since_s) if self._follows(relay, now) else None

    def relay_time(self, local: float) -> float | None:
        """The relay's time at local time `local`."""
        return self._clock.relay_time(local)

    def confidence_s(self, local: float) -> float | None:
        """How far that may be off."""
        return self._clock.confidence_s(local)

    def _follows(self, relay: int, now: float) -> bool:
        """Whether that relay's clock is the one to follow."""
        if now - self._link_at <= LINK_CLOCK_S:
            return relay == self.relay
        return relay == self._sound_relay or now - self._sound_at > SOUND_CLOCK_S


class ControlLink:
    """Holds the link up once this receiver is enrolled; `run` it in a task of its own.

    It is what `control.link.LinkListener` asks for, and passes on what the relay wants.
    """

    def __init__(
        self,
        relays: tuple[str, ...],
        directory: Path,
        *,
        clock: LinkClock,
        settings: SettingsStore,
        receipts: ReceiptBook,
        classes: LiveClasses,
        report: Callable[[], Report],
        on_air: Callable[[], bool],
        wants: Wants,
        tls: Callable[[], ssl.SSLContext | None],
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.fault = ""
        """Why there is no link, a sentence; empty when there is one."""
        self._relays = relays
        self._store = IdentityStore(directory)
        self._memory_path = directory / NONCE_FILE
        self._clock = clock
        self._settings = settings
        self._receipts = receipts
        self._classes = classes
        self._report = report
        self._on_air = on_air
        self._wants = wants
        self._tls = tls
        self._random = random
        self._link: Link | None = None
        self._memory: NonceMemory | None = None

    @property
    def faults(self) -> tuple[str, ...]:
        """All that is wrong with the link and its files."""
        memory = self._memory.fault if self._memory is not None else ""
        return tuple(fault for fault in (self.fault, memory, self._receipts.fault) if fault)

    @property
    def unanswered(self) -> float | None:
        """Monotonic time of the oldest question the relay has not answered."""
        return self._link.unanswered if self._link is not None else None

    def ask(self) -> None:
        """Send telemetry now: something has changed, or a sign of life is wanted."""
        if self._link is not None:
            self._link.ask()

    def wake(self) -> None:
        """What is heard may have begun or ended: then telemetry and the clock have another rhythm at once."""
        if self._link is not None:
            self._link.wake()

    async def run(self) -> None:
        """Keep the link up until cancelled; wait for an enrolment where there is none, take up a new one."""
        while True:
            identities = await self._enrolled()
            running = asyncio.create_task(self._keep_up(identities))
            watching = asyncio.create_task(self._enrolled_anew(identities))
            try:
                await asyncio.wait({running, watching}, return_when=asyncio.FIRST_COMPLETED)
                if running.done():
                    await running
            finally:
                running.cancel()
                watching.cancel()
                await asyncio.wait({running, watching})
            log.info("control link: enrolled anew")
            self._wants.on_air("", None)

    async def _keep_up(self, identities: dict[str, Identity]) -> None:
        self._memory = await asyncio.to_thread(NonceMemory, self._memory_path)
        parts = LinkParts(
            memory=self._memory,
            settings=self._settings,
            receipts=self._receipts,
            classes=self._classes,
            clock=self._clock,
            report=self._report,
            on_air=self._on_air,
            listener=self,
            version=program_version(),
            tls=self._tls,
        )
        self._link = Link(self._relays, identities, parts, random=self._random)
        await self._link.run()

    async def _enrolled(self) -> dict[str, Identity]:
        while True:
            try:
                identities = await asyncio.to_thread(self._store.load)
            except (IdentityError, DiskError) as error:
                if self.fault != str(error):
                    log.warning("control link: %s", error)
                self.fault = str(error)
                await asyncio.sleep(ENROLMENT_PAUSE_S)
                continue
            self.fault = ""
            return identities

    async def _enrolled_anew(self, known: dict[str, Identity]) -> None:
        """Wait until this receiver is another device to some relay, or known to another one."""
        while True:
            await asyncio.sleep(ENROLMENT_PAUSE_S)
            with contextlib.suppress(
                IdentityError, DiskError
            ):  # in the middle of it, or broken: the old ones hold
                if _told_apart(await asyncio.to_thread(self._store.load)) != _told_apart(known):
                    return

    def on_settings(self, settings: Settings) -> None:
        """Pass on what is to be played."""
        self._wants.settings(settings)

    def on_token(self, token: str, expires: float) -> None:
        """Pass on the token to listen with."""
        del expires  # the link brings another one in time
        self._wants.token(token)

    def on_air(self, channel: str, on_air: bool) -> None:
        """Pass on whether the channel is on air."""
        self._wants.on_air(channel, on_air)

    def on_class(self) -> None:
        """Pass on that something was stated of the live programme's class."""
        self._wants.live_class()

    def on_restart(self) -> None:
        """Pass on that a fresh start is wanted."""
        self._wants.restart()

    def on_status(self, status: LinkStatus) -> None:
        """Say on the console when the link comes and goes."""
        if status.phase == "up":
            self._clock.relay = self._link.relay if self._link is not None else None
            log.info("control link to %s is up", status.relay)
            self.fault = ""
        elif status.phase == "waiting":
            fault = status.detail or status.word
            if fault != self.fault:
                log.warning("control link to %s: %s", status.relay, fault)
            self.fault = fault
            self._wants.on_air("", None)


def _told_apart(identities: dict[str, Identity]) -> set[tuple[str, str, bytes, bytes]]:
    return {(relay, each.device, each.command_key, each.public_key) for relay, each in identities.items()}

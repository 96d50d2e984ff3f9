"""Edge receivers as a whole: the desk that HTTP talks to, and what goes on by itself.

By itself: on_air notices within ON_AIR_POLL_S of the change, new tokens before the old ones expire, when devices were
last seen (to a minute, so that a restart of the relay does not forget it), and the end of old receipts.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from loacodecs.control import CLOSE_REFUSED, BulletinClass, LiveClass, Refused, encode
from loacodecs.strict_json import to_base64url
from relay.device_ports import (
    DEVICE_SUBJECT,
    RELAYS,
    Declaration,
    DeviceStats,
    DeviceView,
    Enrolled,
    IssuedCode,
    LinkSocket,
    ReceiptRecord,
    Statement,
    Told,
)
from relay.devices.classes import ChannelClasses
from relay.devices.codes import hash_of, make_code
from relay.devices.keys import Commander
from relay.devices.link import Link
from relay.devices.registry import Registry
from relay.devices.serving import REVOKED, LinkServer, LinkSettings
from relay.errors import CodeRefused, DeviceAway, StoreUnavailable
from relay.store.classes import ClassStore
from relay.store.database import Database
from relay.store.devices import CodeRecord, DeviceRecord, DeviceStore
from relay.store.receipts import ReceiptStore
from relay.tokens import Tokens

_log = logging.getLogger(__name__)

TOKEN_TTL_S: Final = 7200.0
ON_AIR_POLL_S: Final = 0.05
UNATTENDED_POLL_S: Final = 1.0
"""Without receivers only declarations come to an end. Twenty looks a second cost as much as a hundred listeners."""
HOUSEKEEPING_S: Final = 60.0
UNREAD_S: Final = 1.0
"""How often a store that could not be read at the start is asked again."""
APPLIED_S: Final = 2.0
"""How long a change of settings waits for the receiver's word before it answers."""
_AT_ONCE: Final = 50
"""Links that are told something in one turn of the event loop."""


class DeviceService:
    """Implements `relay.device_ports.DeviceDesk`. `run` does what goes on by itself; lives in one event loop."""

    def __init__(
        self,
        database: Database,
        commander: Commander,
        tokens: Tokens,
        *,
        settings: LinkSettings,
        receipts_keep_s: float,
        on_air: Callable[[str], bool],
        draining: Callable[[], bool],
        bar: Callable[[str], Awaitable[None]],
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._database = database
        self._commander = commander
        self._tokens = tokens
        self._receipts_keep_s = receipts_keep_s
        self._on_air = on_air
        self._bar = bar
        self._wall = wall
        self._random = random
        self._registry = Registry()
        self._devices = DeviceStore(database)
        self._revoked: dict[str, float] = {}
        """When each device was revoked that may still have a token; by the tokens' subject."""
        self._classes = ChannelClasses()
        self._class_store = ClassStore(database)
        self._classes_kept = True
        self._began = False
        self._receipts = ReceiptStore(database)
        self._server = LinkServer(
            settings,
            commander=commander,
            registry=self._registry,
            classes=self._classes,
            devices=self._devices,
            receipts=self._receipts,
            mint=self._mint,
            on_air=on_air,
            draining=draining,
            wall=wall,
            monotonic=monotonic,
            random=random,
        )

    @property
    def relay(self) -> str:
        """The name by which receivers, and relays that pull from this one, know it."""
        return self._commander.relay

    # Enrolment

    async def issue_code(self, *, name: str, channel: str, ttl: float, subject: str) -> IssuedCode:
        """A new one-time code, good for `ttl` seconds."""
        code, now = make_code(self._random), self._wall()
        hashed = hash_of(code)
        assert hashed is not None
        await self._devices.add_code(CodeRecord(hashed, name, channel, now, subject, now + ttl))
        return IssuedCode(code, now + ttl)

    async def enrol(self, code: str, *, public_key: bytes, name: str) -> Enrolled:
        """Raises CodeRefused, DeviceExists."""
        hashed = hash_of(code)
        if hashed is None:
            raise CodeRefused("this is not an enrolment code; it has 16 letters and digits in groups of four")
        record = await self._devices.enrol(
            hashed,
            device=f"rx-{self._random(6).hex()}",
            name=name,
            public_key=public_key,
            now=self._wall(),
        )
        key = to_base64url(self._commander.public_key)
        return Enrolled(record.id, self._commander.relay, key, record.settings.channel)

    # Administration

    async def devices(self) -> Sequence[DeviceView]:
        """All of them, revoked ones included, by name."""
        return [self._view(record) for record in await self._devices.all()]

    async def device(self, device: str) -> DeviceView:
        """Raises DeviceNotFound."""
        return self._view(await self._devices.find(device))

    async def change(self, device: str, *, name: str | None, settings: Mapping[str, Any]) -> DeviceView:
        """Change what is wanted of a device and tell it; waits a little for its word. Raises DeviceNotFound."""
        record = await self._devices.change(device, name=name, settings=settings)
        link = self._registry.find(device)
        if link is not None and link.welcomed and link.settings != record.settings:
            moved = link.settings.channel != record.settings.channel
            self._registry.settle(link, record.settings)
            if moved:
                self._server.renew_token(link)
            applied = self._server.command_settings(link)
            if moved:
                self._command_class(link)
                link.told_on_air = None  # the next look at the channels tells it
            await asyncio.wait({applied}, timeout=APPLIED_S)  # without a word they are shown as pending
        return self._view(record)

    async def restart(self, device: str) -> None:
        """Command the receiver to start afresh; raises DeviceNotFound, DeviceAway."""
        await self._devices.find(device)
        link = self._registry.find(device)
        if link is None or not link.welcomed:  # a receiver hangs up on a command before its welcome
            raise DeviceAway(f"{device} is not connected; it can be restarted when it is")
        self._server.command_restart(link)

    async def revoke(self, device: str) -> DeviceView:
        """Its key and its tokens are good no more, its link and its sessions end. Raises DeviceNotFound."""
        record = await self._devices.revoke(device, self._wall())
        self._revoked[_subject(device)] = self._wall()
        link = self._registry.find(device)
        if link is not None:
            link.push(encode(Refused("revoked", REVOKED)))
            link.end(CLOSE_REFUSED, REVOKED)
            self._registry.remove(link)
        self._registry.forget(device)
        await self._bar(_subject(device))
        return self._view(record)

    def is_revoked(self, subject: str) -> bool:
        """Whether a token's subject is a receiver that was revoked while that token may still be good."""
        return subject in self._revoked

    async def receipts(self, device: str, *, limit: int, before: float | None) -> Sequence[ReceiptRecord]:
        """The latest first. Raises DeviceNotFound."""
        await self._devices.find(device)
        return await self._receipts.of_device(device, limit=limit, before=before)

    # The class of live programmes

    async def declare(self, channel: str, kind: BulletinClass, *, ttl: float, subject: str) -> Told:
        """Declare the class of the live programme of `channel` for `ttl` seconds, and tell its receivers."""
        now = self._wall()
        self._classes.declare(Declaration(channel, kind, now + ttl, now, subject))
        told = await self._tell_class(channel)
        await self._keep_classes()
        return told

    def declared(self, channel: str) -> Declaration | None:
        """What the live programme of `channel` is declared to be; None when it is normal."""
        return self._classes.of(channel)

    async def adopt(self, stated: LiveClass, relay: str) -> None:
        """Take what `relay`, from which the channel is pulled and which is to be trusted, states of it."""
        declaration = Declaration(stated.channel, stated.kind, stated.until, self._wall(), relay)
        if self._classes.adopt(declaration):
            _log.warning(
                "the live programme of channel %s is %s, says %s", stated.channel, stated.kind, relay
            )
            await self._tell_class(stated.channel)

    def statement(self, channel: str) -> Statement:
        """What the live programme of `channel` is, signed for relays that pull it."""
        _, command = self._commander.live_class(RELAYS, self._stated(channel))
        return Statement(to_base64url(self._commander.public_key), command)

    def _stated(self, channel: str) -> LiveClass:
        declared = self._classes.of(channel)
        if declared is None:
            return LiveClass(channel, "normal", 0.0)
        return LiveClass(channel, declared.kind, declared.until)

    async def _tell_class(self, channel: str) -> Told:
        links = [link for link in self._registry.of_channel(channel) if link.welcomed]
        deaf = 0
        for start in range(0, len(links), _AT_ONCE):
            deaf += sum(not self._command_class(link) for link in links[start : start + _AT_ONCE])
            await asyncio.sleep(0)
        return Told(len(links), deaf)

    def _command_class(self, link: Link) -> bool:
        """Tell a receiver what is declared now; False when it would not understand."""
        return self._server.command_class(link, self._stated(link.settings.channel))

    async def _keep_classes(self) -> None:
        """A full disk must not stand in the way of an emergency: what could not be kept is kept later."""
        self._classes_kept = False
        if not self._began:
            await self.begin()
        if not self._began:
            return  # what is written replaces all that is kept, and nobody knows yet what that is
        declared = self._classes.all()
        with contextlib.suppress(StoreUnavailable):  # told by the store itself
            await self._class_store.replace(declared)
            self._classes_kept = declared == self._classes.all()

    # Links

    def reserve_link(self, address: str) -> bool:
        """A place for a link without hello, which `serve_link` gives back; False when there are too many."""
        if self._server.strangers.enter(address):
            return True
        self._registry.refused["strangers"] += 1
        return False

    async def serve_link(self, socket: LinkSocket) -> None:
        """The whole life of one link, from its acceptance on, after `reserve_link`."""
        await self._server.serve(socket)

    def stats(self) -> DeviceStats:
        """A snapshot of all counters."""
        registry = self._registry
        return DeviceStats(
            connected=len(registry),
            sounding=registry.sounding(),
            links=registry.opened,
            refused=dict(registry.refused),
            messages=dict(registry.messages),
            receipts=dict(registry.receipts),
            commands=dict(registry.commands),
            results=dict(registry.results),
            throttled=registry.throttled,
            emergencies=frozenset(
                each.channel for each in self._classes.in_force() if each.kind == "emergency"
            ),
            store_errors=self._database.errors,
            store_waiting=self._database.waiting,
        )

    # What goes on by itself

    async def close(self) -> None:
        """After the last link: note who was seen, then close the store."""
        await self.keep_house()
        await asyncio.to_thread(self._database.close)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_channels())
            group.create_task(self._keep_house())

    async def begin(self) -> None:
        """Read what was so before this relay started: who was revoked, what was declared.

        While the store cannot say, tokens are taken as they are; `keep_house` asks it again.
        """
        now = self._wall()
        with contextlib.suppress(StoreUnavailable):  # told by the store itself
            revoked = await self._devices.revoked_since(now - TOKEN_TTL_S)
            self._revoked.update({_subject(device): moment for device, moment in revoked.items()})
            changed = self._classes.restore(await self._class_store.current(now))
            self._began = True
            for channel in changed:
                await self._tell_class(channel)

    async def _watch_channels(self) -> None:
        while True:
            await self.look_at_channels()
            if self._registry.attended.is_set():
                await asyncio.sleep(ON_AIR_POLL_S)
            else:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(UNATTENDED_POLL_S):
                        await self._registry.attended.wait()

    async def look_at_channels(self) -> None:
        """Tell the receivers of every channel that has come on air or gone since the last look."""
        registry = self._registry
        over = self._classes.end(self._wall(), self._on_air)
        for declaration in over:
            _log.warning("channel %s is normal again", declaration.channel)
            await self._tell_class(declaration.channel)
        if over:
            await self._keep_classes()
        for channel in registry.channels():
            on_air = self._on_air(channel)
            if registry.known_on_air.get(channel) == on_air:
                continue
            registry.known_on_air[channel] = on_air
            untold = [
                link
                for link in registry.of_channel(channel)
                if link.welcomed and link.told_on_air is not on_air
            ]
            for start in range(0, len(untold), _AT_ONCE):
                self._server.tell_on_air(channel, untold[start : start + _AT_ONCE], on_air)
                await asyncio.sleep(0)

    async def _keep_house(self) -> None:
        while True:
            await self.keep_house()
            await asyncio.sleep(HOUSEKEEPING_S if self._began else UNREAD_S)

    async def keep_house(self) -> None:
        """Renew tokens at half their time, note who was seen, let old receipts go."""
        now = self._wall()
        if not self._began:
            await self.begin()
        if not self._classes_kept:
            await self._keep_classes()
        self._revoked = {who: moment for who, moment in self._revoked.items() if moment > now - TOKEN_TTL_S}
        aging = [link for link in self._registry if 0 < link.token_expires < now + TOKEN_TTL_S / 2]
        for start in range(0, len(aging), _AT_ONCE):  # those that came together age together
            for link in aging[start : start + _AT_ONCE]:
                if link.welcomed:
                    self._server.renew_token(link)
            await asyncio.sleep(0)
        seen = self._registry.take_seen()
        try:
            await self._devices.note_seen(seen)
            await self._receipts.prune(now - self._receipts_keep_s)
        except StoreUnavailable:  # told by the store itself
            self._registry.give_back(seen)

    def _mint(self, device: str, channel: str) -> tuple[str, float]:
        if not channel:
            return "", 0.0
        token = self._tokens.mint(
            subject=_subject(device), scopes=["listen"], channels=[channel], ttl=TOKEN_TTL_S
        )
        return token, float(int(self._wall()) + int(TOKEN_TTL_S))

    def _view(self, record: DeviceRecord) -> DeviceView:
        link = self._registry.find(record.id)
        telemetry, heard = self._registry.heard(record.id) or (None, None)
        return DeviceView(
            id=record.id,
            name=record.name,
            settings=record.settings,
            enrolled=record.enrolled,
            revoked=record.revoked,
            seen=link.seen if link is not None else record.seen,
            presence=link.presence if link is not None else None,
            telemetry=telemetry,
            heard=heard,
        )


def _subject(device: str) -> str:
    """Who the tokens of `device` are for: by it they, and the sessions they opened, are found again."""
    return f"{DEVICE_SUBJECT}{device}"

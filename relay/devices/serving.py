"""The life of a control link at the relay's end: challenge, hello, welcome, then whatever the receiver says.

A link that misbehaves is closed with a code of `loacodecs.control` and counted; nothing it sends can raise out of
`LinkServer.serve`. A receiver that sends too fast is read more slowly, so that a backlog of receipts after days without
network drains by itself.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from loacodecs.control import (
    CLOSE_LATER,
    CLOSE_MALFORMED,
    CLOSE_REFUSED,
    CLOSE_RESTART,
    CLOSE_TIMEOUT,
    HELLO_SECONDS,
    PROTOCOL,
    SILENT_INTERVALS,
    Challenge,
    Clock,
    ClockAnswer,
    Hello,
    LiveClass,
    Message,
    OnAir,
    Receipt,
    ReceiptOk,
    Refused,
    Result,
    Telemetry,
    Token,
    Welcome,
    decode,
    encode,
)
from loacodecs.errors import MalformedError
from loacodecs.signing import is_genuine
from loacodecs.strict_json import to_base64url
from relay.device_ports import LinkClosed, LinkSocket
from relay.devices.admission import Gate
from relay.devices.classes import ChannelClasses
from relay.devices.keys import Commander
from relay.devices.link import Link
from relay.devices.registry import Registry
from relay.errors import DeviceNotFound, StoreUnavailable
from relay.ratelimit import Bucket, Strangers
from relay.store.devices import DeviceRecord, DeviceStore
from relay.store.receipts import ReceiptStore

MESSAGES_A_SECOND: Final = 10.0
MESSAGES_AT_ONCE: Final = 100.0
STRANGERS_MAX: Final = 1024

REVOKED: Final = "this receiver has been revoked; to use it again: loa device code, then loa edge enrol CODE"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """Seconds between telemetry messages, and how many links there may be.

    links_a_second            that come up at most, since they cost the thread of the sound its time
    strangers_of_one_address  that wait for that or have not said hello: a mobile operator may put a whole province
                              behind one address, and so many have their turn before receivers lose patience
    """

    telemetry_on_air_s: float = 10.0
    telemetry_idle_s: float = 60.0
    links_max: int = 10_000
    hello_s: float = HELLO_SECONDS
    links_a_second: float = 100.0
    strangers_of_one_address: int = 512


class _End(Exception):  # noqa: N818 - not an error: the relay has decided to hang up
    def __init__(self, code: int, reason: str, counted: str, last: Refused | None = None) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.counted = counted
        self.last = last


class LinkServer:
    """Serves links. `wall` is relay time (unix seconds), `monotonic` never jumps; `mint` gives (token, expiry)."""

    def __init__(
        self,
        settings: LinkSettings,
        *,
        commander: Commander,
        registry: Registry,
        classes: ChannelClasses,
        devices: DeviceStore,
        receipts: ReceiptStore,
        mint: Callable[[str, str], tuple[str, float]],
        on_air: Callable[[str], bool],
        draining: Callable[[], bool],
        wall: Callable[[], float],
        monotonic: Callable[[], float],
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.strangers: Final = Strangers(
            maximum=STRANGERS_MAX, of_one_address=settings.strangers_of_one_address
        )
        self._gate = Gate(settings.links_a_second, monotonic)
        self._settings = settings
        self._commander = commander
        self._registry = registry
        self._classes = classes
        self._devices = devices
        self._receipts = receipts
        self._mint = mint
        self._on_air = on_air
        self._draining = draining
        self._wall = wall
        self._monotonic = monotonic
        self._random = random

    async def serve(self, socket: LinkSocket) -> None:
        """The whole life of one link whose place among the strangers is taken; gives that back."""
        try:
            try:
                await self._gate.turn(socket.address)
                await socket.accept()
                link = await self._admit(socket)
            finally:
                self.strangers.leave(socket.address)
            await self._converse(link)
        except LinkClosed:
            pass
        except _End as end:
            self._registry.refused[end.counted] += 1
            _log.info("link closed: %s", end.reason, extra={"address": socket.address, "code": end.code})
            await self._hang_up(socket, end)

    async def _hang_up(self, socket: LinkSocket, end: _End) -> None:
        try:
            if end.last is not None:
                await socket.send(encode(end.last))
        except LinkClosed:
            return
        await socket.close(end.code, end.reason)

    async def _admit(self, socket: LinkSocket) -> Link:
        nonce = to_base64url(self._random(32))
        await socket.send(encode(Challenge(PROTOCOL, self._commander.relay, nonce, self._wall())))
        try:
            async with asyncio.timeout(self._settings.hello_s):
                text, _ = await socket.receive()
        except TimeoutError:
            raise _End(CLOSE_TIMEOUT, "no hello came in time", "hello_timeout") from None
        except MalformedError as error:
            raise _malformed(error) from None
        hello = _decoded(text)
        if not isinstance(hello, Hello):
            raise _End(CLOSE_MALFORMED, "the first message must be a hello", "malformed")
        if hello.protocol != PROTOCOL:
            raise _refusal("protocol", f"this relay speaks protocol {PROTOCOL} of the control link")
        record = await self._identify(hello, nonce)
        if self._draining():
            raise _End(CLOSE_RESTART, "the relay is shutting down", "draining")
        if len(self._registry) >= self._settings.links_max and self._registry.find(hello.device) is None:
            raise _End(CLOSE_LATER, "the relay has as many links as it takes", "full")
        return Link(socket, hello, record.settings, since=self._wall())

    async def _identify(self, hello: Hello, nonce: str) -> DeviceRecord:
        try:
            record = await self._devices.find(hello.device)
        except DeviceNotFound:
            raise _refusal("unknown", "this relay does not know the receiver; enrol it") from None
        except StoreUnavailable:
            raise _later() from None
        if not is_genuine(hello, relay=self._commander.relay, nonce=nonce, public_key=record.public_key):
            raise _refusal("signature", "the hello is not signed with the key that was enrolled")
        if record.revoked is not None:
            raise _refusal("revoked", REVOKED)
        return record

    async def _converse(self, link: Link) -> None:
        self._registry.add(link)
        extra = {"device": link.device, "channel": link.settings.channel}
        _log.info("receiver connected", extra=extra)
        try:
            await self._welcome(link)
            await self._listen(link)
        except StoreUnavailable:
            raise _later() from None
        finally:
            self._registry.remove(link)
            self._registry.see(link.device, self._wall())
            link.dispose()
            _log.info("receiver disconnected", extra=extra)

    async def _welcome(self, link: Link) -> None:
        # What was looked up for the hello may have changed before the link could be told of it.
        record = await self._devices.find(link.device)
        if record.revoked is not None:
            raise _refusal("revoked", REVOKED)
        self._registry.settle(link, record.settings)
        channel = link.settings.channel
        token, link.token_expires = self._mint(link.device, channel)
        link.told_on_air = bool(channel) and self._on_air(channel)
        settings = self._settings
        await link.send(
            Welcome(
                settings.telemetry_on_air_s,
                settings.telemetry_idle_s,
                token,
                link.token_expires,
                link.told_on_air,
            )
        )
        link.welcomed = True
        # Have the channel looked at again: it may have changed while the welcome was being sent.
        self._registry.known_on_air.pop(channel, None)
        self.command_settings(link)
        declared = self._classes.of(channel)
        if declared is not None:
            self.command_class(link, LiveClass(channel, declared.kind, declared.until))

    async def _listen(self, link: Link) -> None:
        silent_s = SILENT_INTERVALS * self._settings.telemetry_idle_s
        bucket = Bucket(rate=MESSAGES_A_SECOND, burst=MESSAGES_AT_ONCE, now=self._monotonic())
        while True:
            try:
                async with asyncio.timeout(silent_s):
                    text, received = await link.receive()
            except TimeoutError:
                raise _End(CLOSE_TIMEOUT, "nothing has come for too long", "silent") from None
            except MalformedError as error:
                raise _malformed(error) from None
            await self._take(link, _decoded(text), received)
            link.seen = received
            self._registry.see(link.device, received)
            wait = bucket.take(self._monotonic())
            if wait > 0:
                self._registry.throttled += 1
                await asyncio.sleep(wait)

    async def _take(self, link: Link, message: Message, received: float) -> None:
        match message:
            case Clock(sent=sent):
                await link.send(ClockAnswer(sent, received, self._wall()))
            case Telemetry(sent=sent):
                await link.send(ClockAnswer(sent, received, self._wall()))
                self._registry.hear(link.device, message, received)
            case Receipt():
                await link.room_for_receipts()
                link.start(self._keep(link, message, received))
            case Result():
                self._registry.results["ok" if message.ok else "refused"] += 1
                if link.note(message) and not message.ok:
                    extra = {"device": link.device, "detail": message.detail}
                    _log.warning("a receiver refused a command", extra=extra)
            case _:
                raise _End(CLOSE_MALFORMED, "a receiver does not send this type of message", "malformed")
        self._registry.messages[type(message).__name__.lower()] += 1

    async def _keep(self, link: Link, receipt: Receipt, received: float) -> None:
        try:
            new = await self._receipts.keep(link.device, receipt, received)
        except StoreUnavailable:
            self._registry.receipts["refused"] += 1  # without receipt_ok the receiver keeps it
            return
        self._registry.receipts["stored" if new else "repeated"] += 1
        link.push(encode(ReceiptOk(receipt.id)))

    # What the relay says of its own accord

    def command_settings(self, link: Link) -> asyncio.Future[Result]:
        """Tell a receiver all that is wanted of it; the Result that it will answer with."""
        nonce, command = self._commander.settings(link.device, link.settings)
        future = link.expect(nonce, settings=True)
        link.push(encode(command))
        self._registry.commands["settings"] += 1
        return future

    def command_restart(self, link: Link) -> None:
        """Have a receiver start afresh."""
        nonce, command = self._commander.restart(link.device)
        link.expect(nonce, settings=False)
        link.push(encode(command))
        self._registry.commands["restart"] += 1

    def command_class(self, link: Link, stated: LiveClass) -> bool:
        """Tell a receiver what the live programme of its channel is; False when it would not understand."""
        if not link.understands("class"):
            return False
        nonce, command = self._commander.live_class(link.device, stated)
        link.expect(nonce, settings=False)
        link.push(encode(command))
        self._registry.commands["class"] += 1
        return True

    def renew_token(self, link: Link) -> None:
        """Send a receiver a new token for its channel."""
        token, link.token_expires = self._mint(link.device, link.settings.channel)
        link.push(encode(Token(token, link.token_expires)))

    def tell_on_air(self, channel: str, links: list[Link], on_air: bool) -> None:
        """Send one notice, made once, to all of `links`."""
        text = encode(OnAir(channel, on_air))
        for link in links:
            link.told_on_air = on_air
            link.push(text)


def _decoded(text: str) -> Message:
    try:
        return decode(text)
    except MalformedError as error:
        raise _malformed(error) from None


def _malformed(error: MalformedError) -> _End:
    # A close reason has at most 123 octets (RFC 6455 §5.5.1).
    return _End(CLOSE_MALFORMED, str(error).encode("ascii", "replace").decode()[:120], "malformed")


def _refusal(code: str, detail: str) -> _End:
    return _End(CLOSE_REFUSED, detail, code, Refused(code, detail))


def _later() -> _End:
    return _End(CLOSE_LATER, "the relay cannot look devices up now", "store")

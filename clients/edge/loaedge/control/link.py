"""The control link kept up for ever: connect, run a `LinkSession`, come back.

Everything a relay may do wrong, and every way a network fails, ends in `status` and a pause. The relays are tried
in order of preference; a receiver never listens on a port.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, WebSocketException

from loacodecs.control import (
    MESSAGE_BYTES_MAX,
    Command,
    OnAir,
    ReceiptOk,
    Settings,
    Telemetry,
    Token,
    Welcome,
)

from ..disk import reason
from ..retry_after import retry_after
from ..urls import LOCAL_HOSTS
from .classes import LiveClasses
from .commands import Commands
from .enrol import relay_url
from .identity import Identity
from .nonces import NonceMemory
from .receipts import ReceiptBook
from .session import ANSWER_S, Ended, LinkSession, RelayClock
from .settings import SettingsStore
from .telemetry import Machine, Place, Report, telemetry
from .turns import Attempt, Turns

OPEN_TIMEOUT_S: Final = 20.0
SEND_TIMEOUT_S: Final = 20.0
CAPABILITIES: Final = ("settings", "restart", "receipts", "class")
LINK_ERRORS: Final = (OSError, WebSocketException)
"""What opening a link or using it may raise; `why_ended` tells what it means."""

Phase = Literal["connecting", "up", "waiting"]


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """`word` is "" while all is well; else why there is no link: "no network", "revoked", "protocol", …"""

    phase: Phase = "connecting"
    relay: str = ""
    word: str = ""
    detail: str = ""


class Clock(RelayClock, Protocol):
    """What the link needs of `loacodecs.clocksync.ClockSync`."""

    def relay_time(self, local: float) -> float | None:
        """The relay's time at local time `local`."""

    def confidence_s(self, local: float) -> float | None:
        """How far that may be off."""


class LinkListener(Protocol):
    """Who is told what the relay wants; called in the event loop, must not block or raise."""

    def on_settings(self, settings: Settings) -> None:
        """These are wanted from now on; they are on the disk already."""

    def on_token(self, token: str, expires: float) -> None:
        """A token to listen with until relay time `expires`; "" when there is no channel."""

    def on_air(self, channel: str, on_air: bool) -> None:
        """The channel ("" right after the welcome: the receiver's own) has come on air or gone."""

    def on_class(self) -> None:
        """Something was stated of the class of the live programme."""

    def on_restart(self) -> None:
        """The relay wants this receiver to start anew."""

    def on_status(self, status: LinkStatus) -> None:
        """The link has changed."""


@dataclass(frozen=True)
class LinkParts:
    """What the link works with.

    report  what the receiver knows about itself, in the event loop
    on_air  whether it sounds; asked whenever the link works, so cheap
    tls     the settings for the next connection (see `tls.forgiving`); only asked for wss
    """

    memory: NonceMemory
    settings: SettingsStore
    receipts: ReceiptBook
    classes: LiveClasses
    clock: Clock
    report: Callable[[], Report]
    on_air: Callable[[], bool]
    listener: LinkListener
    version: str
    tls: Callable[[], ssl.SSLContext | None] = ssl.create_default_context
    machine: Machine = Machine()  # noqa: RUF009 (reads files, keeps nothing)


class Link:
    """`run` it for as long as the receiver lives; create it in the event loop.

    relays      base addresses, best first
    identities  from `IdentityStore.load`
    """

    def __init__(
        self,
        relays: Sequence[str],
        identities: Mapping[str, Identity],
        parts: LinkParts,
        *,
        random: Callable[[int], bytes] = os.urandom,
        open_timeout_s: float = OPEN_TIMEOUT_S,
    ) -> None:
        """Raises ConfigurationError for an address that is none."""
        self.status = LinkStatus()
        self._urls = [relay_url(relay) for relay in relays]
        self._identities = identities
        self._parts = parts
        self._turns = Turns(len(relays), random)
        self._open_timeout = open_timeout_s
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()
        self._wake = asyncio.Event()
        self._session: LinkSession | None = None
        # As long as the link, so that its counts last.
        self._commands = Commands(identities, parts.memory, parts.settings, parts.classes, parts.listener)

    @property
    def refused(self) -> Counter[str]:
        """Commands that were not obeyed, by reason."""
        return self._commands.refused

    @property
    def unanswered(self) -> float | None:
        """Monotonic time of the oldest question the relay has not answered; None without one, or without a link."""
        return None if self._session is None else self._session.unanswered

    @property
    def relay(self) -> int:
        """Place in the list of the relay that the link is with, or is tried next."""
        return self._turns.relay

    def ask(self) -> None:
        """Send telemetry now: for a sign of life, or because something has changed."""
        if self._session is not None:
            self._session.ask(self._loop.time())
        self._wake.set()

    def wake(self) -> None:
        """There is a receipt to send, or on-air has changed; call it in the event loop."""
        self._wake.set()

    async def run(self) -> None:
        """Keep the link up until cancelled."""
        while True:
            url = self._urls[self._turns.relay]
            began = self._loop.time()
            was_up, ended, code, retry = await self._attempt(url)
            stood_s = self._loop.time() - began
            pause = self._turns.after(Attempt(was_up, stood_s, ended.word, code, retry))
            self._say(LinkStatus("waiting", _host(url), ended.word, ended.detail))
            await asyncio.sleep(pause)

    async def _attempt(self, url: str) -> tuple[bool, Ended, int, float | None]:
        """One connection to its end: whether the link was up, why it ended, the close code (0 without one), and
        the seconds that the relay asked to wait.
        """
        self._say(LinkStatus("connecting", _host(url), self.status.word, self.status.detail))
        code, retry = 0, None
        self._session = None
        try:
            async with link_connection(url, self._tls(url), self._open_timeout) as socket:
                session = self._session = self._new_session()
                await self._converse(socket, session, url)
            ended = session.ended or Ended("closed", "the relay closed the link")
        except LINK_ERRORS as error:
            known = self._session.ended if self._session is not None else None
            code, ended, retry = why_ended(error)
            ended = (known or ended) if isinstance(error, ConnectionClosed) else ended
        was_up = self._session is not None and self._session.up
        self._session = None
        return was_up, ended, code, retry

    def _tls(self, url: str) -> ssl.SSLContext | None:
        return self._parts.tls() if url.startswith("wss:") else None

    def _new_session(self) -> LinkSession:
        parts = self._parts
        return LinkSession(
            self._identities,
            parts.clock,
            version=parts.version,
            capabilities=CAPABILITIES,
            telemetry=self._telemetry,
            on_air=parts.on_air,
            receipt=parts.receipts.next_unsent,
            now=self._loop.time(),
        )

    async def _converse(self, socket: ClientConnection, session: LinkSession, url: str) -> None:
        """Run `session` over `socket` until either ends."""
        reader = asyncio.create_task(self._read(socket, session, url))
        try:
            while session.ended is None and not reader.done():
                self._wake.clear()
                while (text := session.poll(self._loop.time())) is not None:
                    async with asyncio.timeout(SEND_TIMEOUT_S):
                        await socket.send(text)
                waker = asyncio.create_task(self._wake.wait())
                pause = max(0.0, session.next_deadline() - self._loop.time())
                try:
                    await asyncio.wait({reader, waker}, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    waker.cancel()
            if session.ended is None:
                await reader
        finally:
            reader.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionClosed):
                await reader

    async def _read(self, socket: ClientConnection, session: LinkSession, url: str) -> None:
        async for text in socket:
            session.receive(text, self._loop.time())
            while (event := session.next_event()) is not None:
                await self._handle(event, session, url)
            self._wake.set()
            if session.ended is not None:
                return

    async def _handle(
        self, event: Welcome | Token | OnAir | Command | ReceiptOk, session: LinkSession, url: str
    ) -> None:
        listener = self._parts.listener
        match event:
            case Welcome():
                assert session.identity is not None
                self._parts.classes.welcomed(session.identity.enrolment.relay, self._loop.time())
                self._say(LinkStatus("up", _host(url)))
                listener.on_token(event.token, event.token_expires)
                listener.on_air("", event.channel_on_air)
            case Token(token, expires):
                listener.on_token(token, expires)
            case OnAir(channel, on_air):
                listener.on_air(channel, on_air)
            case ReceiptOk(id):
                await asyncio.to_thread(self._parts.receipts.acknowledge, id)
            case Command():
                await self._command(event, session)

    async def _command(self, command: Command, session: LinkSession) -> None:
        assert session.identity is not None
        now = self._loop.time()
        relay_now = self._relay_now(session, now)
        result = await self._commands.take(command, session.identity.enrolment.relay, relay_now, now)
        if result is not None:
            session.reply(result)
            self._wake.set()

    def _relay_now(self, session: LinkSession, now: float) -> float:
        """What the clock of the relay that commands shows.

        The receiver's may still be another relay's, or go by what this one's showed before it was set right: three
        exchanges later it follows, but what is wanted is told right after the welcome, and once.
        """
        told, known = session.relay_time(now) or 0.0, self._parts.clock.relay_time(now)
        return told if known is None or abs(known - told) > ANSWER_S else known

    def _telemetry(self, number: int, now: float) -> Telemetry:
        parts = self._parts
        report = parts.report()
        place = Place(
            number=number,
            uptime_s=now - self._started,
            clock_error_s=parts.clock.confidence_s(now),
            commands_refused=self.refused.total(),
            temperature_c=parts.machine.temperature_c(),
            link=parts.machine.link(),
        )
        # Its answer is an exchange of clocks: what it took to look around is not time on the way to the relay.
        return telemetry(report, place, self._loop.time())

    def _say(self, status: LinkStatus) -> None:
        if status != self.status:
            self.status = status
            self._parts.listener.on_status(status)


@contextlib.asynccontextmanager
async def link_connection(
    url: str, tls: ssl.SSLContext | None, timeout_s: float
) -> AsyncIterator[ClientConnection]:
    """A WebSocket to the control link at `url`; entering it raises one of LINK_ERRORS, whatever answers there."""
    opening = connect(
        url,
        ssl=tls,
        compression=None,  # small messages, and a window of 32 KiB for each side
        ping_interval=None,  # telemetry is the sign of life, and pays for itself
        max_size=MESSAGE_BYTES_MAX,
        max_queue=16,
        open_timeout=timeout_s,
        close_timeout=2.0,
        user_agent_header=None,
        proxy=None if _host(url) in LOCAL_HOSTS else True,
    )
    try:
        socket = await opening
    except LINK_ERRORS:
        raise
    except Exception as error:
        # Sent on to an address that is none, it fails with whatever urllib, idna and the sockets say.
        raise InvalidHandshake(f"it sends us to an address that is none: {error}") from error
    async with socket:
        yield socket


def why_ended(error: Exception) -> tuple[int, Ended, float | None]:
    """What one of LINK_ERRORS means: the close code (0 without one), why, and the pause that the relay asks for (s)."""
    match error:
        case ConnectionClosed():
            code, ended = _closed(error)
            return code, ended, None
        case InvalidStatus():
            status = error.response.status_code
            word = "not found" if 400 <= status < 500 and status != 429 else "busy"
            return 0, Ended(word, f"the relay answers {status} to the control link"), _retry_after(error)
        case ssl.SSLError():
            return 0, Ended("tls", f"the relay's certificate is not trusted: {_tls_reason(error)}"), None
        case WebSocketException():
            return 0, Ended("malformed", f"the relay does not speak the control link: {error}"), None
    return 0, Ended("no network", f"the relay cannot be reached: {network_reason(error)}"), None


def network_reason(error: Exception) -> str:
    """Why a connection could not be made, as the end of a sentence."""
    if not isinstance(error, OSError) or error.errno is None:
        return str(error) or type(error).__name__
    # asyncio puts words of its own into strerror; name resolution has negative numbers.
    return os.strerror(error.errno).lower() if error.errno > 0 else reason(error)


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _closed(closed: ConnectionClosed) -> tuple[int, Ended]:
    """The relay's close code (0 without one), and why the link is closed."""
    if closed.sent is not None and not closed.rcvd_then_sent:
        return 0, Ended("malformed", f"the relay does not keep to the protocol: {closed.sent}")
    if closed.rcvd is None:
        return 0, Ended("no network", "the link to the relay was lost")
    return closed.rcvd.code, Ended("closed", f"the relay closed the link: {closed.rcvd}")


def _retry_after(error: InvalidStatus) -> float | None:
    told = error.response.headers.get_all("Retry-After")  # a hostile relay may send several
    return retry_after(told[0]) if told else None


def _tls_reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return error.reason or str(error)

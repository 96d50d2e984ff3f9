"""A WebRTC session with a relay: WHIP or WHEP over HTTP, media over one UDP socket.

This is the shell around the sans-I/O `loacodecs.peer`: datagrams and time in, datagrams and events out.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal
from urllib.parse import urlsplit

from loacodecs.address import Address
from loacodecs.certificate import Certificate
from loacodecs.description import RECEIVER_CLOCK
from loacodecs.errors import TransportError
from loacodecs.peer import Closed, Connected, Peer, Rtcp, Rtp, Transmit, generate_credentials
from loacodecs.rtp import ABS_CAPTURE_TIME_URI, AUDIO_LEVEL_URI
from loacodecs.sdp import AudioDescription, make_offer, parse_answer

from .udp import UdpSocket
from .urls import Endpoint, Token
from .whip import Answer, IceServer, Signalling

CONNECT_TIMEOUT_S: Final = 12.0
SIGNALLING_TIMEOUT_S: Final = 20.0
"""After so long without a whole answer the offer is given up, however busily names are looked up and octets drip in."""
CONSENT_TIMEOUT_S: Final = 15.0
"""Without an answer for so long the session is lost; RFC 7675 allows 30 s, live sound wants to be back sooner."""
_REASONS: Final = {"peer_closed": "the relay ended it", "closed": "closed here"}

State = Literal["new", "signalling", "connecting", "connected", "closed"]


def _ignore(_data: bytes, _now: float) -> None:
    """What is done with media nobody asked for."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a listener asks of a relay that is Loa's; any other relay ignores it (docs/protocol.md).

    `ptime` is milliseconds of sound in a packet (0: as they come), `red` how many earlier packets RED repeats,
    `adaptive` lets the relay add and leave out RED by our reports, `idle_s` is how rarely we ask for consent
    while nothing is on air (0: as always), `recent_ms` how much of what was captured before we came is sent first,
    `clock` lets us ask the time on the way of the sound (RFC 3611).
    """

    ptime: int = 0
    red: int = 0
    adaptive: bool = False
    idle_s: int = 0
    recent_ms: int = 0
    clock: bool = False

    @property
    def session_attributes(self) -> tuple[str, ...]:
        """The session attributes that say so."""
        said: tuple[str, ...] = (f"x-loa-idle:{self.idle_s}",) if self.idle_s else ()
        said += (f"x-loa-recent:{self.recent_ms}",) if self.recent_ms else ()
        said += (RECEIVER_CLOCK,) if self.clock else ()
        return (*said, "x-loa-adaptive") if self.adaptive else said


@dataclass(frozen=True)
class ClientSettings:
    """How to reach the channel. `direction` is "sendonly" (WHIP) or "recvonly" (WHEP)."""

    endpoint: Endpoint
    direction: Literal["sendonly", "recvonly"]
    token: Token | None = None
    tls: ssl.SSLContext | None = None
    replace: bool = False
    signalling_timeout_s: float = SIGNALLING_TIMEOUT_S
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    wishes: Wishes = Wishes()


class WebRtcClient:
    """One session; `async with` it, then `connect`.

    `on_rtp` and `on_rtcp` get plain packets and the monotonic time of their arrival, in the event loop; they
    must not block and may be set anew at any time. `closed` resolves with the reason when the session ends.
    """

    def __init__(
        self,
        settings: ClientSettings,
        *,
        on_rtp: Callable[[bytes, float], None] = _ignore,
        on_rtcp: Callable[[bytes, float], None] = _ignore,
        on_state: Callable[[State], None] = lambda _state: None,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.ssrc = int.from_bytes(random(4), "big") or 1
        self.cname = random(8).hex()
        self.state: State = "new"
        self.ice_servers: tuple[IceServer, ...] = ()
        """What the relay recommends; a relay with public addresses needs none."""
        self._settings = settings
        self.on_rtp = on_rtp
        self.on_rtcp = on_rtcp
        self._on_state = on_state
        self._random = random
        self._loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[str] = self._loop.create_future()
        self._connected: asyncio.Future[None] = self._loop.create_future()
        self._signalling = Signalling(
            settings.endpoint, settings.token, tls=settings.tls, replace=settings.replace
        )
        self._peer: Peer | None = None
        self._socket: UdpSocket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._pumping = False
        self._answer: AudioDescription | None = None

    @property
    def answer(self) -> AudioDescription:
        """What the relay accepted. Raises TransportError before `connect`."""
        if self._answer is None:
            raise TransportError("there is no session yet")
        return self._answer

    @property
    def round_trip_s(self) -> float | None:
        """What the last consent check took; None before one was answered."""
        return self._peer.round_trip if self._peer is not None else None

    @property
    def last_heard(self) -> float:
        """Monotonic time of the last authentic packet or answer, 0.0 before."""
        return self._peer.last_received if self._peer is not None else 0.0

    async def __aenter__(self) -> WebRtcClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def connect(self) -> None:
        """Set the session up, ready to send and receive. Raises LoaError: SignallingError, TransportError, …"""
        self._enter("signalling")
        self._socket = sock = UdpSocket(self._receive)
        certificate = Certificate.generate()
        ufrag, pwd = generate_credentials(self._random)
        peer = Peer.client(
            certificate=certificate,
            ufrag=ufrag,
            pwd=pwd,
            random=self._random,
            consent_timeout=CONSENT_TIMEOUT_S,
        )
        answer = await self._exchange(sock, certificate.fingerprint, ufrag, pwd)
        self._answer = parse_answer(answer.sdp)
        self.ice_servers = answer.ice_servers
        self._peer = peer
        self._enter("connecting")
        peer.set_remote(self._answer, self._loop.time())
        self._pump()
        await self._await_connection()

    async def _exchange(self, sock: UdpSocket, fingerprint: str, ufrag: str, pwd: str) -> Answer:
        """The relay's answer to our offer. Raises SignallingError, TransportError when it takes too long."""
        limit = self._settings.signalling_timeout_s
        try:
            async with asyncio.timeout(limit):
                offer = self._offer(await self._candidates(sock), fingerprint, ufrag, pwd)
                return await self._signalling.offer(offer)
        except TimeoutError:
            host = urlsplit(self._settings.endpoint.url).hostname
            raise TransportError(f"{host} has not answered within {limit:g} s") from None

    def _offer(self, candidates: list[Address], fingerprint: str, ufrag: str, pwd: str) -> str:
        wishes = self._settings.wishes
        return make_offer(
            direction=self._settings.direction,
            ice_ufrag=ufrag,
            ice_pwd=pwd,
            fingerprint=fingerprint,
            candidates=candidates,
            ssrc=self.ssrc if self._settings.direction == "sendonly" else None,
            cname=self.cname,
            extensions=(AUDIO_LEVEL_URI, ABS_CAPTURE_TIME_URI),
            red=2 if wishes.adaptive else wishes.red,
            red_first=wishes.red > 0 and not wishes.adaptive,
            ptime=wishes.ptime or None,
            session_attributes=wishes.session_attributes,
            session_id=int.from_bytes(self._random(8), "big") >> 2,
        )

    def send_rtp(self, data: bytes) -> None:
        """Send a plain RTP packet; dropped when there is no session."""
        if self._peer is not None and self.state == "connected":
            self._peer.send_rtp(data)
            self._pump()

    def send_rtcp(self, data: bytes) -> None:
        """Send a plain compound RTCP packet; dropped when there is no session."""
        if self._peer is not None and self.state == "connected":
            self._peer.send_rtcp(data)
            self._pump()

    def set_consent(self, *, interval_s: float, timeout_s: float) -> None:
        """Renew consent at once, then every `interval_s`; lost after `timeout_s` without it or media."""
        if self._peer is not None and self.state == "connected":
            self._peer.set_consent(self._loop.time(), interval=interval_s, timeout=timeout_s)
            self._on_timer()

    async def close(self) -> None:
        """End the session: DELETE, close_notify, sockets; closing again does nothing."""
        sock, self._socket = self._socket, None
        self._end("closed here")
        try:
            # DELETE before close_notify: a relay that has already closed the session would answer 404.
            await self._signalling.delete()
        finally:
            if sock is not None:
                self._say_goodbye(sock)
                sock.close()
            await self._signalling.close()

    def _say_goodbye(self, sock: UdpSocket) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._peer is not None:
            self._peer.close(self._loop.time())
            while (event := self._peer.poll()) is not None:
                if isinstance(event, Transmit):
                    sock.send(event.data, event.addr)

    def _receive(self, data: bytes, source: Address) -> None:
        if self._peer is not None and self.state != "closed":
            self._peer.receive(self._loop.time(), data, source)
            # Media move no deadline, and are nearly all there is.
            self._pump(deadlines=self.state != "connected" or data[:1] < b"\x80")

    async def _await_connection(self) -> None:
        try:
            await asyncio.wait_for(self._connected, self._settings.connect_timeout_s)
        except TimeoutError:
            tried = ", ".join(f"{c.address[0]}:{c.address[1]}" for c in self.answer.candidates[:4])
            raise TransportError(
                f"the relay answers, but no media gets through to UDP {tried or '(it named no address)'}: "
                "is a firewall between?"
            ) from None

    def _pump(self, *, deadlines: bool = True) -> None:
        """Do what the peer wants done, until it has nothing more; then see when it wants to be called again."""
        peer = self._peer
        if peer is None or self._pumping:  # a callback that sends is inside the loop already
            return
        self._pumping = True
        try:
            while (event := peer.poll()) is not None:
                self._handle(event)
        finally:
            self._pumping = False
        if deadlines:
            self._schedule(peer.next_deadline())

    def _handle(self, event: object) -> None:
        match event:
            case Transmit(data, address):
                if self._socket is not None:
                    self._socket.send(data, address)
            case Rtp(data):
                self.on_rtp(data, self._loop.time())
            case Rtcp(data):
                self.on_rtcp(data, self._loop.time())
            case Connected():
                self._enter("connected")
                if not self._connected.done():
                    self._connected.set_result(None)
            case Closed(reason, detail):
                self._end(_REASONS.get(reason) or detail or reason)

    def _schedule(self, deadline: float | None) -> None:
        if self._timer is not None:
            if self._timer.when() == deadline:
                return
            self._timer.cancel()
            self._timer = None
        if deadline is not None and self.state != "closed":
            self._timer = self._loop.call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._peer is not None:
            self._peer.on_timeout(self._loop.time())
            self._pump()

    def _enter(self, state: State) -> None:
        self.state = state
        self._on_state(state)

    def _end(self, reason: str) -> None:
        if self.state == "closed":
            return
        self._enter("closed")
        if not self._connected.done():
            self._connected.set_exception(TransportError(f"no session could be set up: {reason}"))
            self._connected.exception()  # nobody need have waited for it
        if not self.closed.done():
            self.closed.set_result(reason)

    async def _candidates(self, sock: UdpSocket) -> list[Address]:
        """Local addresses on the way to the relay: a full agent at the other end needs somewhere to begin."""
        host = urlsplit(self._settings.endpoint.url).hostname or ""
        found: list[Address] = []
        with contextlib.suppress(OSError):
            for family, _, _, _, remote in await self._loop.getaddrinfo(host, 9, type=socket.SOCK_DGRAM):
                address = sock.local_address(family, remote)
                if address is not None and address not in found:
                    found.append(address)
        return found[:4]

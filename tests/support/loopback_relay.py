"""A relay of one channel in the test's own event loop: WHIP, WHEP, one `Peer.server` each, loopback UDP.

It impairs what the test tells it to, which a real relay would not.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from types import TracebackType

from loacodecs import rtcp
from loacodecs.address import Address, canonical
from loacodecs.certificate import Certificate
from loacodecs.peer import Closed, Connected, Peer, Rtcp, Rtp, Transmit, generate_credentials
from loacodecs.rtp import RtpPacket, parse
from loacodecs.sdp import make_answer, parse_offer
from tests.support.whip_server import Reply, Request, WhipServer, created

PATIENCE_S = 15.0


class Session(asyncio.DatagramProtocol):
    """One publisher or listener, on a socket of its own."""

    def __init__(self, offer: str, direction: str, extensions: tuple[str, ...]) -> None:
        self.offer = parse_offer(offer)
        self.direction = direction
        self.packets: list[RtpPacket] = []
        self.arrivals: list[float] = []
        self.reports: list[rtcp.Packet] = []
        self.connected = asyncio.Event()
        self.closed = asyncio.Event()
        self.changed = asyncio.Condition()
        self.drop: Callable[[RtpPacket, int], bool] = lambda _packet, _times: False
        self._times_sent: dict[int, int] = {}
        self._history: dict[int, bytes] = {}
        self._extensions = extensions
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._certificate = Certificate.generate()
        self._ufrag, self._pwd = generate_credentials(os.urandom)
        self._peer = Peer.server(
            certificate=self._certificate,
            ufrag=self._ufrag,
            pwd=self._pwd,
            offer=self.offer,
            random=os.urandom,
        )
        self._transport: asyncio.DatagramTransport | None = None

    async def open(self) -> str:
        """Open the socket; gives the SDP answer."""
        self._transport, _ = await self._loop.create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", 0)
        )
        return make_answer(
            self.offer,
            direction=self.direction,
            ice_ufrag=self._ufrag,
            ice_pwd=self._pwd,
            fingerprint=self._certificate.fingerprint,
            candidates=[("127.0.0.1", self._transport.get_extra_info("sockname")[1])],
            ssrc=7777 if self.direction == "sendonly" else None,
            cname="loopback",
            extensions=self._extensions,
            session_id=1,
        )

    def send(self, packet: RtpPacket) -> None:
        """Send an RTP packet, unless `drop(packet, times sent before)` says it is lost."""
        data = packet.to_bytes()
        self._history[packet.sequence] = data
        self._send_maybe(packet, data)

    def send_rtcp(self, *packets: rtcp.Packet) -> None:
        self._peer.send_rtcp(rtcp.serialize(packets))
        self._pump()

    def refused(self, reason: str) -> int:
        """Datagrams refused for `reason`, as `Peer` counts them."""
        return self._peer.refused[reason]

    def vanish(self) -> None:
        """Answer nothing any more, as when the machine lost its power."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def close(self) -> None:
        self._peer.close(self._loop.time())
        self._pump()
        self.vanish()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something that arrived makes `condition` true."""
        async with asyncio.timeout(PATIENCE_S), self.changed:
            await self.changed.wait_for(condition)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._peer.receive(self._loop.time(), data, canonical(addr[0], addr[1]))
        self._pump()

    def _send_maybe(self, packet: RtpPacket, data: bytes) -> None:
        times = self._times_sent.get(packet.sequence, 0)
        self._times_sent[packet.sequence] = times + 1
        if not self.drop(packet, times):
            self._peer.send_rtp(data)
            self._pump()

    def _pump(self) -> None:
        while (event := self._peer.poll()) is not None:
            match event:
                case Transmit(data, address):
                    if self._transport is not None:
                        self._transport.sendto(data, address)
                case Connected():
                    self.connected.set()
                case Closed():
                    self.closed.set()
                case Rtp(data):
                    self.packets.append(parse(data))
                    self.arrivals.append(self._loop.time())
                case Rtcp(data):
                    self._take_rtcp(rtcp.parse(data))
        self._notify()
        if self._timer is not None:
            self._timer.cancel()
        deadline = self._peer.next_deadline()
        self._timer = None if deadline is None else self._loop.call_at(deadline, self._on_timer)

    def _take_rtcp(self, packets: list[rtcp.Packet]) -> None:
        self.reports += packets
        for packet in packets:
            if isinstance(packet, rtcp.Nack):
                for sequence in packet.lost:
                    if sequence in self._history:
                        data = self._history[sequence]
                        self._loop.call_soon(self._send_maybe, parse(data), data)

    def _notify(self) -> None:
        async def notify() -> None:
            async with self.changed:
                self.changed.notify_all()

        self._notifying = self._loop.create_task(notify())

    def _on_timer(self) -> None:
        self._peer.on_timeout(self._loop.time())
        self._pump()


class LoopbackRelay:
    """HTTP and sessions of a channel; `refuse` may answer a request before it becomes a session."""

    def __init__(
        self,
        *,
        extensions: tuple[str, ...] = (),
        refuse: Callable[[Request], Reply | None] = lambda _request: None,
    ) -> None:
        self.sessions: list[Session] = []
        self._arrived = asyncio.Condition()
        self._extensions = extensions
        self._refuse = refuse
        self._http = WhipServer(self._respond)

    @property
    def url(self) -> str:
        return f"{self._http.url}/channel"

    @property
    def requests(self) -> list[Request]:
        return self._http.requests

    async def __aenter__(self) -> LoopbackRelay:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for session in self.sessions:
            session.close()
        await self._http.__aexit__(kind, error, trace)

    async def session(self, number: int = 0) -> Session:
        """The session of that number, once it is connected."""
        async with asyncio.timeout(PATIENCE_S):
            async with self._arrived:
                await self._arrived.wait_for(lambda: len(self.sessions) > number)
            await self.sessions[number].connected.wait()
        return self.sessions[number]

    async def _respond(self, request: Request) -> Reply:
        refusal = self._refuse(request)
        if refusal is not None:
            return refusal
        if request.method != "POST":
            return Reply(200)
        direction = "recvonly" if request.path.endswith("/whip") else "sendonly"
        session = Session(request.body, direction, self._extensions)
        answer = await session.open()
        async with self._arrived:
            self.sessions.append(session)
            self._arrived.notify_all()
        return created(answer, f"{request.path}/{len(self.sessions)}", ("ETag", '"1"'))

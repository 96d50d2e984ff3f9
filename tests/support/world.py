"""A relay's core without threads, and clients beside it, on real loopback sockets under a hand-driven clock.

Loopback delivers within the sending call, so `World.settle` turns until nothing moves any more; nothing here sleeps.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import TypeVar

from loacodecs import rtcp, rtp, sdp, srtp
from loacodecs.certificate import Certificate
from loacodecs.peer import Closed, Connected, Peer, Rtcp, Rtp, Transmit
from relay.config import Config
from relay.core import Core
from relay.net.addresses import AddressBook
from relay.net.fanout import FanoutEngine, FanoutTable
from relay.net.histogram import HistogramCounter
from relay.net.port import UdpPort, open_port
from relay.net.watch import Watch
from relay.ports import SessionCreated
from relay.sessions.hub import Hub
from relay.sessions.reports import Reporter
from relay.tokens import Grant

T = TypeVar("T")

NO_WISHES = sdp.Delivery()

UNIX = 1_700_000_000.0
"""Unix time of the world's clock at 0."""


class InlineReactor:
    """Runs what the core hands to the media thread at once."""

    alive = True

    def __init__(self) -> None:
        self.watch: Watch | None = None
        self.send_errors = self.datagrams = self.overflows = 0
        self.lag = HistogramCounter()

    def call(self, function: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(function())
        except Exception as error:
            future.set_exception(error)
        return future

    def add_port(self, port: UdpPort) -> None:
        assert self.watch is not None
        self.watch.add(port)

    def remove_port(self, port: UdpPort) -> None:
        assert self.watch is not None
        self.watch.remove(port)
        port.close()


class World:
    """One relay core, a clock, and the clients made by `client`."""

    def __init__(
        self, config: Config | None = None, *, compiled: bool = True,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:  # fmt: skip
        self.now = 0.0
        self.config = config or Config.model_validate(
            {"channels": {"named": {"xa": {"title": "Xã"}, "tinh": {}}}}
        )
        self.reactor = InlineReactor()
        media = self.config.media
        port = open_port("127.0.0.1", 0, receive_buffer=1 << 22, send_buffer=1 << 22)
        self.port = port
        table = FanoutTable(media.listeners_max)
        self.engine = FanoutEngine(table, 1)
        self.hub = Hub(
            table,
            self.engine,
            Reporter(self.engine),
            wall=lambda: UNIX + self.now,
            **({} if compiled else {"sources": 0}),
        )
        self.watch = self.reactor.watch = Watch(self.engine, self.hub.upkeep, self.hub.sources)
        self.watch.add(port)
        self.core = Core(
            self.config,
            CERTIFICATE,
            self.hub,
            self.reactor,  # type: ignore[arg-type]  # the one method the core uses
            AddressBook([port.address]),
            clock=lambda: self.now,
            sleep=sleep,
        )
        self.clients: list[Client] = []

    def __enter__(self) -> World:
        return self

    def __exit__(self, *exc: object) -> None:
        for client in self.clients:
            client.socket.close()
        for port in self.watch.ports:
            port.close()
        self.watch.close()
        self.engine.close()

    def turn(self) -> bool:
        """One turn of everybody; False when nothing moved."""
        self.watch.set_clock(self.now, UNIX + self.now)
        before = self.watch.datagrams
        batch = self.watch.wait(0.0)
        self.hub.settle()
        if batch is not None:
            self.hub.on_batch(batch)
        moved = self.watch.datagrams > before
        while self.hub.work(self.now):
            moved = True
        for client in self.clients:
            moved = client.turn(self.now) or moved
        return moved

    def settle(self) -> None:
        """Turn until nothing moves."""
        while self.turn():
            pass

    def advance(self, seconds: float, step: float = 0.01) -> None:
        """Let time pass, ticking as the reactor would."""
        for _ in range(round(seconds / step)):
            self.now += step
            self.hub.on_tick(self.now)
            self.settle()

    async def publisher(
        self, channel: str = "xa", *, replace: bool = False, connect: bool = True, subject: str = "test",
        grant: Grant | None = None,
    ) -> Client:  # fmt: skip
        """A client that publishes to `channel`."""
        client = Client(direction="sendonly", extensions=(rtp.AUDIO_LEVEL_URI,))
        created = await self.core.publish(
            channel, client.offer, replace=replace, subject=subject, local_address="127.0.0.1", grant=grant
        )
        return self._join(client, created, connect)

    async def listener(
        self, channel: str = "xa", *, connect: bool = True, wishes: sdp.Delivery = NO_WISHES,
        edit: Callable[[str], str] = str, subject: str = "test", without: str = "", grant: Grant | None = None,
    ) -> Client:  # fmt: skip
        """A client that listens to `channel`; `edit` has the last word on its offer. `without` a session of it."""
        client = Client(direction="recvonly", extensions=(rtp.ABS_CAPTURE_TIME_URI,), wishes=wishes)
        client.offer = edit(client.offer)
        created = await self.core.listen(
            channel, client.offer, subject=subject, local_address="127.0.0.1", without=without, grant=grant
        )
        return self._join(client, created, connect)

    def _join(self, client: Client, created: SessionCreated, connect: bool) -> Client:
        client.created = created
        self.clients.append(client)
        client.accept(created.answer, self.now)
        if connect:
            for _ in range(300):
                self.advance(0.01)
                if client.keys is not None:
                    return client
            raise AssertionError("the client never connected")
        return client


class Client:
    """A WebRTC client by loacodecs with a socket of its own; notes what it is sent."""

    created: SessionCreated

    def __init__(
        self,
        *,
        direction: str,
        extensions: tuple[str, ...],
        nack: bool = True,
        wishes: sdp.Delivery = NO_WISHES,
    ) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.ssrc = 4242
        self.peer = Peer.client(
            certificate=CERTIFICATE, ufrag="clnt", pwd="client-password-of-22-chars", random=os.urandom
        )
        self.offer = sdp.make_offer(
            direction=direction,
            ice_ufrag="clnt",
            ice_pwd="client-password-of-22-chars",
            fingerprint=CERTIFICATE.fingerprint,
            ssrc=self.ssrc,
            cname="test",
            extensions=extensions,
            nack=nack,
            session_id=1,
            red=wishes.redundancy,
            red_first=wishes.red_first,
            ptime=wishes.ptime_ms,
            session_attributes=[
                *(["x-loa-adaptive"] if wishes.adaptive else []),
                *([f"x-loa-idle:{wishes.idle_s}"] if wishes.idle_s else []),
                *([f"x-loa-recent:{wishes.recent_ms}"] if wishes.recent_ms else []),
                *(["rtcp-xr:rcvr-rtt=all"] if wishes.clock else []),
            ],
        )
        self.answer: sdp.AudioDescription | None = None
        self.keys: srtp.Keys | None = None
        self.heard: list[rtp.RtpPacket] = []
        self.reports: list[rtcp.Packet] = []
        self.closed: str | None = None
        self.sealed: list[bytes] = []
        """Datagrams as they came, still sealed."""
        self.lost: Callable[[bytes], bool] = lambda datagram: False
        """Which datagrams of sound never reach the client."""

    def accept(self, answer: str, now: float) -> None:
        self.answer = sdp.parse_answer(answer)
        self.peer.set_remote(self.answer, now)

    def turn(self, now: float) -> bool:
        moved = False
        while True:
            try:
                data, source = self.socket.recvfrom(2048)
            except BlockingIOError:
                break
            moved = True
            if data[0] >= 128 and not rtp.is_rtcp(data):
                if self.lost(data):
                    continue
                self.sealed.append(data)
            self.peer.receive(now, data, source)
        deadline = self.peer.next_deadline()
        if deadline is not None and deadline <= now:
            self.peer.on_timeout(now)
        while (output := self.peer.poll()) is not None:
            moved = self._take(output) or moved
        return moved

    def _take(self, output: object) -> bool:
        if isinstance(output, Transmit):
            self.socket.sendto(output.data, output.addr)
            return True
        if isinstance(output, Connected):
            self.keys = output.keys
        elif isinstance(output, Rtp):
            self.heard.append(rtp.parse(output.data))
        elif isinstance(output, Rtcp):
            self.reports += rtcp.parse(output.data)
        elif isinstance(output, Closed):
            self.closed = output.reason
        return False

    def say(self, sequence: int, payload: bytes = b"opus", *, timestamp: int | None = None) -> None:
        """Send one packet of sound."""
        assert self.answer is not None
        stamp = 960 * sequence if timestamp is None else timestamp
        packet = rtp.RtpPacket(
            self.answer.opus_payload_type, False, sequence & 0xFFFF, stamp & 0xFFFF_FFFF, self.ssrc, payload
        )
        self.peer.send_rtp(packet.to_bytes())

    def tell(self, *packets: rtcp.Packet) -> None:
        """Send RTCP."""
        self.peer.send_rtcp(rtcp.serialize(packets))


CERTIFICATE = Certificate.generate("test")

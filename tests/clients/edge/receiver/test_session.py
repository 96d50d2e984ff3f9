"""One session of a receiver against a relay that says everything in one breath."""

from __future__ import annotations

import asyncio
import contextlib

from loacodecs import rtcp
from loacodecs.clocksync import ClockSync
from loacodecs.rtp import RtpPacket
from loaedge.client import ClientSettings
from loaedge.receiver.linking import LinkClock
from loaedge.receiver.session import Ears, Session
from loaedge.urls import endpoint
from tests.support import loopback_relay
from tests.support.loopback_relay import LoopbackRelay
from tests.support.whip_server import Reply, Request, created


class Hasty(loopback_relay.Session):
    """Sends its first report and packet with the last flight of the handshake, as Loa's relay does."""

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        before = self.connected.is_set()
        super().datagram_received(data, addr)
        if self.connected.is_set() and not before:
            self.send_rtcp(rtcp.SenderReport(7777, 1 << 40, 960, 1, 1))
            self.send(RtpPacket(111, False, 1, 960, 7777, b"opus"))


class Listener:
    """What a session feeds: notes everything."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.both = asyncio.Event()

    def on_rtp(self, data: bytes, now: float) -> None:
        self._note("rtp")

    def on_rtcp(self, data: bytes, now: float) -> None:
        self._note("rtcp")

    def _note(self, kind: str) -> None:
        self.heard.append(kind)
        if len(self.heard) == 2:
            self.both.set()

    def poll_rtcp(self, now: float) -> bytes | None:
        return None

    def next_deadline(self) -> float | None:
        return None

    def goodbye(self, now: float) -> bytes:
        return rtcp.serialize([rtcp.ReceiverReport(1)])


async def test_what_a_relay_says_together_with_the_end_of_the_handshake_is_heard() -> None:
    sessions: list[Hasty] = []

    async def respond(request: Request) -> Reply:
        if request.method != "POST":
            return Reply(200)
        sessions.append(Hasty(request.body, "sendonly", ()))
        return created(await sessions[-1].open())

    listener = Listener()
    ears = Ears(lambda *_: listener, lambda _name: None, LinkClock(ClockSync()), lambda: None)
    async with loopback_relay.WhipServer(respond) as server:
        settings = ClientSettings(endpoint(f"{server.url}/a", "whep"), "recvonly")
        task = asyncio.create_task(Session(1, 0, settings, ears).run())
        try:
            await asyncio.wait_for(listener.both.wait(), 5)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    assert listener.heard == ["rtcp", "rtp"]


async def test_a_relay_that_refuses_opens_no_ear() -> None:
    opened: list[str] = []
    ears = Ears(
        lambda name, *_: opened.append(name) or Listener(),  # type: ignore[func-returns-value]  # notes the name
        opened.append,
        LinkClock(ClockSync()),
        lambda: None,
    )
    async with LoopbackRelay(refuse=lambda _request: Reply(404)) as relay:
        settings = ClientSettings(endpoint(relay.url, "whep"), "recvonly")
        with contextlib.suppress(Exception):
            await Session(1, 0, settings, ears).run()
    assert opened == []

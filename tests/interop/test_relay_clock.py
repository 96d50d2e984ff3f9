"""A receiver's session asks a real relay the time on the way of the sound: both clocks are this machine's."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

from loacodecs.clocksync import Exchange
from loaedge.client import ClientSettings, Wishes
from loaedge.receiver.session import Ears, Session
from loaedge.urls import Token, endpoint
from tests.clients.edge.receiver.test_session import Listener
from tests.support.aiortc_peers import publish
from tests.support.relay_process import RelayProcess

PATIENCE_S = 30.0
ENOUGH = 4


class Clocks:
    """Asks ten times a second, which is more than the relay answers, and keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, Exchange]] = []
        self.enough = asyncio.Event()

    def told_by_sound(self, relay: int, exchange: Exchange) -> None:
        self.told.append((relay, exchange))
        if len(self.told) >= ENOUGH:
            self.enough.set()

    def told_one_way(self, exchange: Exchange) -> None:
        pass

    def sound_pause_s(self, relay: int, since_s: float, now: float) -> float | None:
        return 0.1


async def test_what_the_relay_tells_is_its_clock_to_half_the_round_trip(tmp_path: Path) -> None:
    with RelayProcess(tmp_path, {"xa": []}) as relay:
        token = relay.token("publish", "listen")
        voice = await publish(f"{relay.base}/xa/whip", token, 440.0)
        clocks = Clocks()
        settings = ClientSettings(
            endpoint(f"{relay.base}/xa", "whep"), "recvonly", Token(token), wishes=Wishes(clock=True)
        )
        ears = Ears(lambda *_: Listener(), lambda _name: None, clocks, lambda: None)
        session = asyncio.create_task(Session(1, 3, settings, ears).run())
        try:
            async with asyncio.timeout(PATIENCE_S):
                await clocks.enough.wait()
        finally:
            session.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await session
            await voice.close()
    ahead = time.time() - time.monotonic()
    for number, exchange in clocks.told:
        assert number == 3
        assert exchange.sane
        assert abs(exchange.offset - ahead) <= exchange.round_trip / 2 + 1e-3

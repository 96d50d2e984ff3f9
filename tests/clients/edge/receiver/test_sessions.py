"""The sessions of a receiver when something goes wrong that nobody has thought of."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from loacodecs.clocksync import ClockSync
from loaedge.client import Wishes
from loaedge.receiver.keeping import Keeper
from loaedge.receiver.linking import LinkClock
from loaedge.receiver.session import Ears
from loaedge.receiver.sessions import Sessions, Way
from loaedge.urls import Token
from tests.support.loopback_relay import LoopbackRelay
from tests.support.whip_server import Reply

NOBODY = ("http://127.0.0.1:9", "http://127.0.0.1:11")


class Noting(Keeper):
    """Keeps what it is told of failures: the relay, and for how long it shall be left alone at the least."""

    def __init__(self, relays: int) -> None:
        super().__init__(relays, relays, os.urandom)
        self.failures: asyncio.Queue[tuple[int, float | None]] = asyncio.Queue()

    def lost(self, relay: int, now: float, *, at_least_s: float | None = None) -> float:
        self.failures.put_nowait((relay, at_least_s))
        return super().lost(relay, now, at_least_s=at_least_s)


@asynccontextmanager
async def running(keeper: Noting, *relays: str, **way: Any) -> AsyncIterator[Sessions]:
    known = {"channel": "a", "token": lambda: None, "tls": lambda: None, "wishes": Wishes()} | way
    ears = Ears(lambda *_: None, lambda _name: None, LinkClock(ClockSync()), lambda: None)  # type: ignore[arg-type, return-value]  # nobody is heard
    sessions = Sessions(Way(relays, **known), lambda: keeper, ears)
    task = asyncio.create_task(sessions.run())
    try:
        async with asyncio.timeout(10):
            yield sessions
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_sessions_may_come_and_go_while_another_thread_asks_whether_sound_flows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started = asyncio.Event()
    asked: list[int] = []

    def token() -> Token | None:
        asked.append(1)
        if len(asked) == 2:
            started.set()
        return None

    loop = asyncio.get_running_loop()
    keeper = Noting(2)
    async with running(keeper, *NOBODY, token=token) as sessions:
        await started.wait()
        real, turns = loop.time, iter(range(100))

        def time_of_another_thread() -> float:
            if next(turns) == 1:  # the event loop's thread has its turn while the sessions are looked at
                sessions.tune("b")
            return real()

        monkeypatch.setattr(loop, "time", time_of_another_thread)
        assert not sessions.flowing
        monkeypatch.undo()
        assert sessions.channel == "b"


async def test_a_fault_of_our_own_is_backed_off_from_like_a_refusal() -> None:
    keeper = Noting(1)
    async with LoopbackRelay() as relay:
        base = relay.url.rpartition("/")[0].replace("http", "https")
        async with running(keeper, base, tls=object):  # which no library takes for the settings of TLS
            assert await keeper.failures.get() == (0, None)
            assert await keeper.failures.get() == (0, None)


async def test_a_fault_while_looking_does_not_end_the_looking() -> None:
    looked: asyncio.Queue[int] = asyncio.Queue()
    turns = itertools.count()

    def token() -> Token | None:
        looked.put_nowait(turn := next(turns))
        if turn:
            raise RuntimeError("never thought of")
        return None

    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    async with running(Noting(1), NOBODY[0], token=token):
        while await looked.get() < 3:
            pass


async def test_a_relay_is_not_left_for_an_hour_though_it_says_so() -> None:
    keeper = Noting(1)
    full = Reply(503, [("Retry-After", "3600")])
    async with LoopbackRelay(refuse=lambda _request: full) as relay:
        base = relay.url.rpartition("/")[0]
        async with running(keeper, base):
            assert await keeper.failures.get() == (0, 300.0)

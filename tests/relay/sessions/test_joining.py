"""Many who are about to join: what they cost the media thread, and who need not wait for them."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from typing import cast

import pytest

from loacodecs.credentials import generate_credentials
from loacodecs.peer import Peer
from relay.sessions.hub import Hub
from relay.sessions.listener import Listener, Terms
from relay.sessions.session import Session
from tests.support.world import World

TICK_S = 0.01
RETRANSMISSION_S = 1.0
"""The shortest timer of a DTLS handshake (RFC 6347 §4.2.4.1)."""


class Handshake:
    """A peer whose handshake goes on; counts how often it is asked what is due."""

    def __init__(self) -> None:
        self.looks = 0
        self.due: float | None = None
        self.timeouts: list[float] = []
        self.refused: Counter[str] = Counter()

    def next_deadline(self) -> float | None:
        self.looks += 1
        return self.due

    def on_timeout(self, now: float) -> None:
        self.timeouts.append(now)
        self.due = None

    def poll(self) -> None:
        return None


def join(hub: Hub, count: int) -> list[Handshake]:
    """So many listeners that have their answer and are not connected."""
    handshakes = []
    for number in range(count):
        peer = Handshake()
        credentials = generate_credentials(os.urandom)
        session = Session("listen", hub.channels["xa"], cast(Peer, peer), credentials, 0.0)
        hub.add(session, Listener(session, number, Terms(111)))
        handshakes.append(peer)
    return handshakes


def tick(world: World, seconds: float) -> None:
    for _ in range(round(seconds / TICK_S)):
        world.now += TICK_S
        world.hub.on_tick(world.now)


@pytest.mark.parametrize("count", [10, 300, 3000])
def test_looking_at_handshakes_costs_no_more_for_many_than_for_some(count: int) -> None:
    with World() as world:
        handshakes = join(world.hub, count)
        tick(world, 10.0)
        looks = sum(handshake.looks for handshake in handshakes) / 10.0
        assert looks <= 10_000, "of 3,000 who came at once 849 were kept out by being looked at"
        assert looks >= count / RETRANSMISSION_S


def test_a_timer_is_kept_in_time_however_many_join() -> None:
    with World() as world:
        handshakes = join(world.hub, 3000)
        tick(world, 2.0)
        for handshake in handshakes:
            handshake.due = world.now + 0.5
        due = world.now + 0.5
        tick(world, 2.0)
        late = [handshake.timeouts[0] - due for handshake in handshakes]
        assert max(late) < RETRANSMISSION_S / 2
        assert {len(handshake.timeouts) for handshake in handshakes} == {1}


async def test_a_publisher_does_not_wait_behind_a_crowd_of_listeners() -> None:
    """5,000 receivers that come back at once take 20 s, and an emergency has one."""

    async def sleep(seconds: float) -> None:
        await asyncio.Event().wait()

    with World(sleep=sleep) as world:
        crowd = [asyncio.create_task(world.listener(connect=False)) for _ in range(100)]
        async with asyncio.timeout(10):
            await asyncio.wait(crowd, return_when=asyncio.FIRST_COMPLETED)
            voice = await world.publisher()
        assert world.hub.publishers.keys() == {voice.created.id}
        for waiting in crowd:
            waiting.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)

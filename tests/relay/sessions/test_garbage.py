"""What sessions leave behind when they are over: nothing that only the collector would find.

What is alive is set aside every 20 s, and a circle there is never found: a leak with each that ends.
"""

from __future__ import annotations

import asyncio
import gc
from collections import Counter

import pytest

from loacodecs.sdp import Delivery
from relay.channels.history import PacketHistory
from relay.config import Config
from relay.net.fanout import Group
from tests.support.mixing import Microphone, MixWorld, packets_of, tone
from tests.support.world import World


def there() -> Counter[str]:
    return Counter(
        type(each).__name__ for each in gc.get_objects() if isinstance(each, Group | PacketHistory)
    )


@pytest.mark.usefixtures("uncollected")
async def test_a_rendition_that_nobody_hears_any_more_leaves_nothing() -> None:
    with World() as world:
        publisher = await world.publisher()
        before = there()
        listener = await world.listener(wishes=Delivery(ptime_ms=60, redundancy=1))
        for number in range(12):
            publisher.say(number, bytes((8, number)))
        assert there() != before
        world.hub.close(world.hub.sessions[listener.created.id], "gone", world.now)
        await asyncio.sleep(0)  # the loop holds what this test was woken with
        assert there() == before


@pytest.mark.usefixtures("uncollected")
async def test_a_mix_for_one_who_talked_leaves_nothing() -> None:
    config = Config.model_validate({"channels": {"named": {"xa": {"mode": "mix", "publishers": "talk"}}}})
    with MixWorld(config) as world:
        before = there()
        client = await world.publisher()
        microphone = Microphone(client, packets_of(tone(440, 20)))
        await world.listener(without=client.created.id)
        world.ticks(20, microphone)
        assert there() != before
        world.hub.close(world.hub.sessions[client.created.id], "gone", world.now)
        world.ticks(20)
        await asyncio.sleep(0)  # the loop holds what this test was woken with
        assert there() == before

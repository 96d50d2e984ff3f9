"""When a mixed channel is on air, and what is told of that."""

from __future__ import annotations

from tests.relay.live.test_mixed import Sine, speaker
from tests.support.mixing import FRAME, TICK_S, Ear, Microphone, MixWorld, packets_of, strength, tone


async def test_a_silent_channel_goes_off_the_air_and_comes_back_in_time() -> None:
    with MixWorld() as world:
        channel = world.hub.channels["xa"]
        ear = Ear(channel)
        microphone = await speaker(world, 440, 50)
        world.ticks(50, microphone)
        assert channel.on_air(world.now)
        world.ticks(250)
        count = len(ear.packets)
        world.ticks(150)
        assert len(ear.packets) == count
        assert not channel.on_air(world.now)
        again = Microphone(microphone.client, packets_of(tone(440, 50)))
        again.sequence = 50
        before, began = ear.packets[-1].timestamp, ear.times[-1]
        world.ticks(50, again)
        assert strength(ear.sound(20), 440) > -21
        first = ear.packets[count]
        passed = (ear.times[count] - began) / TICK_S
        assert (first.timestamp - before) & 0xFFFF_FFFF == round(passed) * FRAME, "the pause keeps its length"
        assert first.marker


async def test_a_publisher_is_told_of_while_somebody_publishes_or_is_heard() -> None:
    with MixWorld() as world:

        def told() -> bool:
            return world.core.stats().channels["xa"].publisher

        assert not told()
        microphone = await speaker(world, 440)
        world.settle()
        assert told(), "connected, if silent yet"
        world.ticks(20, microphone)
        assert told()
        await world.core.close("xa", "publish", microphone.client.created.id)
        world.ticks(400)
        assert not told(), "the mixer, which has fed the channel, is nobody"
        world.mixed.add_input("music", Sine(440))
        world.ticks(10)
        assert told(), "what is heard need not be a publisher"

"""Who comes again takes his own place, and no more than that."""

from __future__ import annotations

from relay.config import Config
from tests.support.mixing import Microphone, MixWorld, packets_of, tone


def two_channels(inputs_max: int) -> Config:
    settings = {"mode": "mix", "publishers": "talk", "leveller": False, "inputs_max": inputs_max}
    return Config.model_validate({"channels": {"named": {"xa": settings, "huyen": settings}}})


async def test_who_comes_again_and_again_and_says_nothing_takes_one_place() -> None:
    with MixWorld(two_channels(2)) as world:
        first = Microphone(await world.publisher(subject="a"), packets_of(tone(440, 10)))
        world.ticks(5, first)
        silent = []
        for _ in range(30):
            silent.append(await world.publisher(subject="a", replace=True))
            world.ticks(1)
        assert len(world.mixed.inputs) == 2
        assert first.client.closed is None, "he is heard until another sounds"
        assert [each.closed is None for each in silent] == [False] * 29 + [True]
        await world.publisher("huyen", subject="b")


async def test_all_of_a_full_channel_may_come_back_at_once() -> None:
    """Their network broke, and the relay does not know yet."""
    with MixWorld(two_channels(12)) as world:
        names = [f"speaker {number}" for number in range(12)]
        for channel in ("xa", "huyen"):
            for again in (False, True):
                for name in names:
                    client = await world.publisher(channel, subject=name, replace=again)
                    microphone = Microphone(client, packets_of(tone(440, 1)))
                    if not again:
                        world.ticks(1, microphone)
        assert len(world.mixed.inputs) == 24

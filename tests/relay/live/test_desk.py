"""The studio of a relay with its threads: which channels it has, and that it hears what the configuration names."""

from __future__ import annotations

import pytest

from relay.config import Config
from relay.errors import ChannelNotFound, NotMixed
from relay.live.desk import Desk
from tests.support.mixing import Ear, strength
from tests.support.waiting import until
from tests.support.world import World

CONFIG = Config.model_validate(
    {
        "channels": {
            "named": {
                "tinh": {},
                "xa": {
                    "mode": "mix",
                    "leveller": False,
                    "inputs_max": 2,
                    "inputs": [{"name": "tone", "source": "tone:1000"}],
                },
            }
        }
    }
)


def test_only_mixed_channels_have_inputs() -> None:
    with World(CONFIG) as world:
        desk = Desk(CONFIG, world.hub, world.reactor)  # type: ignore[arg-type]
        assert desk.channel("xa").name == "xa"
        with pytest.raises(NotMixed, match='mode = "mix"'):
            desk.channel("tinh")
        with pytest.raises(ChannelNotFound):
            desk.channel("nowhere")
        desk.stop()


def test_what_the_configuration_names_is_on_air_and_ends_with_the_desk() -> None:
    with World(CONFIG) as world:
        desk = Desk(CONFIG, world.hub, world.reactor)  # type: ignore[arg-type]
        ear = Ear(world.hub.channels["xa"])
        desk.open()
        world.settle()
        assert not ear.packets, "nothing is mixed before the inputs are as they were set"
        desk.start()
        try:
            until(lambda: len(ear.packets) >= 20, 15.0)
        finally:
            desk.stop()
        assert strength(ear.sound(10), 1000) > -30
        assert desk.stats().ticks >= 20
        sent = len(ear.packets)
        world.settle()
        assert len(ear.packets) == sent

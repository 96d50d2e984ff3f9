"""The outputs of a whole core under a hand-driven clock: what is published, or mixed, is kept and streamed."""

from __future__ import annotations

import io
from datetime import UTC
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from loacodecs.ogg import OggOpusReader
from relay.config import Config
from relay.errors import ChannelNotFound, Unavailable
from relay.outputs.service import Outputs
from relay.outputs.shelf import Shelf
from tests.support.mixing import MixWorld
from tests.support.on_air import hear, second_of
from tests.support.tones import dominant_frequency, tone
from tests.support.world import UNIX, World

RECORDED = {"recording": {"enabled": True, "reserve": 0}}


class Sine:
    """A feed of 600 Hz that always has something."""

    def __init__(self) -> None:
        self._sound = tone(600.0, 1.0)
        self._at = 0

    def read(self, out: NDArray[np.float32]) -> bool:
        out[:] = self._sound[self._at : self._at + out.shape[-1]]
        self._at = (self._at + out.shape[-1]) % len(self._sound)
        return True


def outputs_of(world: World, playing: str = "") -> Outputs:
    outputs = Outputs(
        world.config,
        world.hub,
        world.reactor,
        playing=lambda _channel: playing,
        zone=UTC,
        clock=lambda: world.now,
        wall=lambda: UNIX + world.now,
    )
    outputs.start()
    return outputs


def config(folder: Path, **channels: object) -> Config:
    return Config.model_validate({"state_dir": folder, "channels": {"named": channels}})


async def test_what_a_publisher_says_is_recorded_and_streamed(tmp_path: Path) -> None:
    with World(config(tmp_path, xa=RECORDED, tinh={"stream": False})) as world:
        outputs = outputs_of(world)
        channel = world.hub.channels["xa"]
        assert not channel.group.prompt, "to record wakes nobody"
        voice = await world.publisher()
        began = world.now
        payloads = second_of(1000.0)
        for number in range(50):
            voice.say(number, payloads[number])
            world.advance(0.02)
        stream = await outputs.open_stream("xa")
        ogg = stream.welcome()
        assert channel.group.prompt
        assert hear(io.BytesIO(ogg)).size > 0.7 * 48_000, "the first client hears the second before it came"
        for number in range(50, 100):
            voice.say(number, payloads[number % 50])
            world.advance(0.02)
            ogg += stream.turn(world.now)
        assert dominant_frequency(hear(io.BytesIO(ogg))[9600:]) == pytest.approx(1000, abs=1)
        await outputs.close_stream("xa", stream)
        assert not channel.group.prompt
        outputs.stop()
        (item,) = outputs.recordings("xa", 0, 1e12, 10)
        assert item.finished
        assert item.started == int(UNIX + began)
        assert item.local == "2023-11-14T22:13:20+00:00"
        assert item.seconds == pytest.approx(2.0)
        assert outputs.recording("xa", item.name) == item
        assert outputs.recording("xa", "nothing.opus") is None
        assert outputs.recordings("xa", item.started + 1, 1e12, 10) == []
        with item.path.open("rb") as file:
            assert [packet for _, packet in OggOpusReader(file)] == [*payloads, *payloads]
        stats = outputs.stats().recordings["xa"]
        assert (stats.seconds, stats.missing_seconds, stats.segments, stats.fault) == (2.0, 0.0, 1, "")
        for refused in ("tinh", "nowhere", "xa~1"):
            with pytest.raises(ChannelNotFound):
                await outputs.open_stream(refused)


async def test_a_mixed_channel_is_recorded_and_streamed_with_what_it_plays(tmp_path: Path) -> None:
    mixed = {"mode": "mix", "leveller": False, **RECORDED}
    with MixWorld(config(tmp_path, xa=mixed)) as world:
        outputs = outputs_of(world, playing="Trống Cơm")
        stream = await outputs.open_stream("xa")
        world.mixed.add_input("song", Sine())
        ogg = b""
        for _ in range(100):
            world.ticks(1)
            ogg += stream.turn(world.now)
        assert ogg
        assert dominant_frequency(hear(io.BytesIO(stream.welcome()))[9600:]) == pytest.approx(600, abs=1)
        outputs.stop()
        (item,) = outputs.recordings("xa", 0, 1e12, 10)
        assert dominant_frequency(hear(str(item.path))[24_000:]) == pytest.approx(600, abs=1)
        assert stream.title == "xa: Trống Cơm"


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with World(config(tmp_path, xa=RECORDED)) as world:
        outputs = Outputs(world.config, world.hub, world.reactor)
        folder = tmp_path / "recordings"
        assert outputs.recordings("xa", 0, 1e12, 10) == []
        (folder / "xa" / "xa_2026-11-26_07-00-00+0700.opus").mkdir(parents=True)
        with pytest.raises(Unavailable, match="the recordings of channel xa cannot be read"):
            outputs.recordings("xa", 0, 1e12, 10)


def test_names_of_a_shelf_are_those_of_its_channel_alone(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "xa", UTC)
    (tmp_path / "xa_2026-11-26_07-00-00+0700.opus").write_bytes(b"")
    (tmp_path / "xa-2_2026-11-26_07-00-00+0700.opus").write_bytes(b"")
    (tmp_path / "xa_2026-13-26_07-00-00+0700.opus").write_bytes(b"")
    assert [stored.name for stored in shelf.recordings()] == ["xa_2026-11-26_07-00-00+0700.opus"]
    for name in ("../xa_2026-11-26_07-00-00+0700.opus", "xa-2_2026-11-26_07-00-00+0700.opus", "loa.toml"):
        assert shelf.find(name) is None

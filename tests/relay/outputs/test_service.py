"""The outputs of a whole core under a hand-driven clock: what is published, or mixed, is kept and streamed."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from datetime import UTC
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from loacodecs.ogg import OggOpusReader, OggOpusWriter
from relay.config import Config
from relay.errors import ChannelNotFound, Unavailable
from relay.outputs import service
from relay.outputs.service import Outputs
from relay.outputs.shelf import Shelf, Stored, duration
from tests.support.interleaving import at_every_turn
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


@pytest.mark.parametrize("deleted", [False, True])
async def test_a_list_is_told_though_one_is_finished_or_deleted_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deleted: bool
) -> None:
    """Both are done by the thread that records."""
    with World(config(tmp_path, xa=RECORDED)) as world:
        outputs = Outputs(world.config, world.hub, world.reactor, zone=UTC)
        folder = tmp_path / "recordings" / "xa"
        folder.mkdir(parents=True, exist_ok=True)
        name, other = (f"xa_2026-11-26_0{hour}-00-00+0000.opus" for hour in (7, 8))
        shutil.copy(sounding(tmp_path), folder / f"{name}.part")
        shutil.copy(sounding(tmp_path), folder / other)

        def measured(stored: Stored) -> float:
            if (part := folder / f"{name}.part").exists():
                part.unlink() if deleted else part.rename(folder / name)
            return duration(stored)

        monkeypatch.setattr(service, "duration", measured)
        found = {each.name: each.finished for each in outputs.recordings("xa", 0, 1e12, 10)}
        assert found == ({other: True} if deleted else {other: True, name: True})


def test_a_recording_is_found_though_it_is_finished_meanwhile(tmp_path: Path) -> None:
    name = "xa_2026-11-26_07-00-00+0000.opus"
    path = tmp_path / name

    def make() -> tuple[Callable[[], Stored | None], Callable[[], None]]:
        path.unlink(missing_ok=True)
        path.with_name(f"{name}.part").write_bytes(b"")
        return lambda: Shelf(tmp_path, "xa", UTC).find(name), finish

    def finish() -> None:
        path.with_name(f"{name}.part").rename(path)

    assert all(found is not None and found.name == name for found in at_every_turn(make))


def sounding(folder: Path) -> Path:
    """A recording of a second."""
    path = folder / "a.opus"
    with path.open("wb") as file:
        writer = OggOpusWriter(file.write, serial=7)
        for payload in second_of(1000.0):
            writer.write_packet(payload)
        writer.close()
    return path

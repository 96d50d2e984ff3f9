"""Mixed channels by ear: what publishers and sources send is heard in what listeners are sent."""

from __future__ import annotations

import itertools
import os
import socket
import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from loacodecs.errors import ConfigurationError
from loacodecs.opus import OpusDecoder
from loacodecs.rtcp import Nack
from relay.config import Config
from relay.errors import ChannelBusy, InputExists, InputNotFound, SessionNotFound
from relay.sources.feed import OPERATOR
from tests.support.bounds import within
from tests.support.media_files import tone_file
from tests.support.mixing import FRAME, TICK_S, Ear, Microphone, MixWorld, packets_of, strength, tone
from tests.support.tones import level_dbfs
from tests.support.waiting import until
from tests.support.world import UNIX


class Sine:
    """A feed that always has something."""

    def __init__(self, frequency: float, db: float = -20.0) -> None:
        self._sound = tone(frequency, 50, db)[:, 0]
        self._at = 0

    def read(self, out: NDArray[np.float32]) -> bool:
        out[:] = self._sound[self._at : self._at + FRAME]
        self._at = (self._at + FRAME) % len(self._sound)
        return True


async def speaker(world: MixWorld, frequency: float, blocks: int = 200, **how: object) -> Microphone:
    client = await world.publisher(subject=f"tone {frequency:g}", **how)  # type: ignore[arg-type]
    return Microphone(client, packets_of(tone(frequency, blocks)))


async def test_two_publishers_are_heard_at_once_and_by_listeners() -> None:
    with MixWorld() as world:
        low, high = await speaker(world, 440), await speaker(world, 1700)
        listener = await world.listener()
        world.ticks(60, lambda: (low(), high()))
        decoder = OpusDecoder(1)
        sound = np.concatenate([decoder.decode(packet.payload) for packet in listener.heard])
        assert len(listener.heard) >= 58
        assert abs(strength(sound[-30 * FRAME :], 440) + 20) < 1
        assert abs(strength(sound[-30 * FRAME :], 1700) + 20) < 1
        assert [packet.timestamp - listener.heard[0].timestamp for packet in listener.heard[:3]] == [
            0,
            960,
            1920,
        ]
        assert {each.label for each in world.mixed.state().inputs} == {"tone 440", "tone 1700"}


async def test_an_announcement_brings_the_programme_down_and_lets_it_up_again() -> None:
    with MixWorld(publishers="announcement", duck={"hold": "100ms", "release": "100ms"}) as world:
        ear = Ear(world.hub.channels["xa"])
        world.mixed.add_input("music", Sine(440))
        microphone = await speaker(world, 1700, 50)
        world.ticks(30)
        world.ticks(50, microphone)
        world.ticks(50)
        assert abs(strength(ear.sound()[10 * FRAME : 28 * FRAME], 440) + 20) < 1
        assert abs(strength(ear.sound()[50 * FRAME : 75 * FRAME], 440) + 35) < 1.5
        assert abs(strength(ear.sound(20), 440) + 20) < 1


async def test_talk_neither_ducks_nor_is_ducked() -> None:
    with MixWorld() as world:
        ear = Ear(world.hub.channels["xa"])
        world.mixed.add_input("music", Sine(440))
        microphone = await speaker(world, 1700)
        world.ticks(60, microphone)
        assert abs(strength(ear.sound(30), 440) + 20) < 1


async def test_mute_gain_fade_and_removal() -> None:
    with MixWorld() as world:
        ear = Ear(world.hub.channels["xa"])
        music = world.mixed.add_input("music", Sine(440), gain_db=-6)
        world.mixed.add_input("voice", Sine(1700))
        world.ticks(40)
        assert abs(strength(ear.sound(20), 440) + 26) < 1
        music.mute(True)
        world.ticks(40)
        assert strength(ear.sound(20), 440) < -80
        assert world.mixed.state().inputs[0].rms_dbfs > -25, "who is muted still sees that he sounds"
        music.mute(False)
        music.fade(-20, 0.2)
        world.ticks(40)
        assert abs(strength(ear.sound(20), 440) + 46) < 1
        world.mixed.remove_input("music", 0.1)
        assert list(world.mixed.inputs) == ["voice"]
        world.ticks(40)
        assert strength(ear.sound(20), 440) < -80
        assert abs(strength(ear.sound(20), 1700) + 20) < 1


async def test_who_talks_hears_all_but_himself() -> None:
    with MixWorld() as world:
        low, high = await speaker(world, 440), await speaker(world, 1700)
        mine = world.mixed.input_of(low.client.created.id)
        assert mine is not None
        listener = await world.listener(without=low.client.created.id)
        world.ticks(60, lambda: (low(), high()))
        decoder = OpusDecoder(1)
        sound = np.concatenate([decoder.decode(packet.payload) for packet in listener.heard])[-30 * FRAME :]
        assert abs(strength(sound, 1700) + 20) < 1
        assert strength(sound, 440) < -70
        assert [state.name for state in world.core.channels()] == ["xa"], "no list shows it"
        await world.core.close("xa", "publish", low.client.created.id)
        world.ticks(10, high)
        assert listener.closed is not None, "it goes with him whose it is"
        with pytest.raises(SessionNotFound):
            await world.listener(without=low.client.created.id)


async def test_lost_packets_are_asked_for_again_and_concealed() -> None:
    with MixWorld() as world:
        microphone = await speaker(world, 440)
        ear = Ear(world.hub.channels["xa"])

        def say() -> None:
            if microphone.sequence % 10 == 5:
                microphone.sequence += 1  # this one never comes
            microphone()

        world.ticks(100, say)
        world.hub.on_tick(world.now)
        world.settle()
        assert any(isinstance(report, Nack) for report in microphone.client.reports)
        sound = ear.sound(60)
        assert np.abs(sound).reshape(-1, 480).max(1).min() > 0.05, "no hole of 10 ms"
        assert world.mixed.state().inputs[0].missing >= 8
        assert world.core.stats().channels["xa"].lost_in >= 4, "of the older half"


async def test_a_source_that_sends_no_sound_harms_nobody_and_is_named() -> None:
    class Broken:
        def read(self, out: NDArray[np.float32]) -> bool:
            out[:] = np.nan
            out[:, ::2] = np.inf
            return True

    class Raising:
        def read(self, out: NDArray[np.float32]) -> bool:
            raise OSError("the card was pulled out")

    with MixWorld() as world:
        ear = Ear(world.hub.channels["xa"])
        world.mixed.add_input("nan", Broken())
        world.mixed.add_input("raising", Raising())
        world.mixed.add_input("good", Sine(440))
        world.ticks(60)
        assert abs(strength(ear.sound(30), 440) + 20) < 1
        faults = {each.name: each.fault for each in world.mixed.state().inputs}
        assert "no sound" in faults["nan"]
        assert "the card was pulled out" in faults["raising"]
        assert faults["good"] == ""
        assert world.studio.stats().sources["xa", "nan"].cleaned == 60 * FRAME


async def test_full_scale_noise_stays_below_the_ceiling() -> None:
    class Noise:
        def read(self, out: NDArray[np.float32]) -> bool:
            out[:] = np.random.default_rng(1).choice([-1.0, 1.0], (2, FRAME))
            return True

    with MixWorld() as world:
        world.mixed.add_input("a", Noise())
        world.mixed.add_input("b", Noise())
        world.ticks(30)
        assert world.mixed.state().bus.peak_dbfs <= -1


async def test_sources_of_the_configuration(tmp_path: Path) -> None:
    file = tone_file(tmp_path / "jingle.wav", 0.5)
    config = Config.model_validate(
        {
            "channels": {
                "named": {
                    "tinh": {},
                    "xa": {
                        "mode": "mix",
                        "leveller": False,
                        "publishers": "talk",
                        "inputs": [
                            {"name": "tone", "source": "tone:1700", "gain": -10},
                            {"name": "jingle", "source": str(file)},
                            {"name": "nobody", "source": "http://127.0.0.1:9/nothing.mp3", "role": "talk"},
                            {"name": "province", "source": "channel:tinh"},
                        ],
                    },
                }
            }
        }
    )
    with MixWorld(config) as world:
        world.studio.start()
        jingle = world.mixed.inputs["jingle"]
        until(lambda: world.mixed.state().inputs[1].buffer_ms > 300)
        until(lambda: bool(world.mixed.inputs["nobody"].fault))
        ear = Ear(world.hub.channels["xa"])
        client = await world.publisher("tinh")
        microphone = Microphone(client, packets_of(tone(3000, 100)))
        heard = set()

        def say() -> None:
            microphone()
            heard.update(each.name for each in world.mixed.inputs.values() if each.sounding)

        world.ticks(60, say)
        assert strength(ear.sound(30), 3000) > -21
        assert strength(ear.sound(30), 1700) > -40
        assert "jingle" in heard
        kinds = {each.name: each.kind for each in world.mixed.state().inputs}
        assert kinds == {"tone": "tone", "jingle": "file", "nobody": "stream", "province": "channel"}
        assert jingle.title == "jingle.wav"


async def test_a_source_that_never_answers_keeps_nobody_waiting() -> None:
    with socket.socket() as deaf, MixWorld() as world:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        ear = Ear(world.hub.channels["xa"])
        world.mixed.add_input("deaf", f"http://127.0.0.1:{deaf.getsockname()[1]}/radio", policy=OPERATOR)
        world.mixed.add_input("good", Sine(440))
        world.ticks(60)
        assert abs(strength(ear.sound(30), 440) + 20) < 1
        assert not world.mixed.inputs["deaf"].sounding


def test_what_the_api_names_is_held_to_its_policy(tmp_path: Path) -> None:
    with MixWorld() as world:
        file = tone_file(tmp_path / "secret.wav", 0.5)
        refused = world.mixed.add_input("secret", str(file))
        until(lambda: bool(refused.fault))
        world.ticks(5)
        assert not refused.sounding
        with pytest.raises(ConfigurationError):
            world.mixed.add_input("what", "gopher://x")
        with pytest.raises(ConfigurationError, match="itself"):
            world.mixed.add_input("loop", "channel:xa")
        with pytest.raises(ConfigurationError, match="no channel"):
            world.mixed.add_input("none", "channel:nowhere")


async def test_capture_times_are_those_of_the_ticks_less_what_mixing_takes() -> None:
    with MixWorld() as world:
        ear = Ear(world.hub.channels["xa"])
        world.mixed.add_input("music", Sine(440))
        world.ticks(60)
        channel = world.hub.channels["xa"]
        captured = [channel.capture.capture(packet.timestamp) for packet in ear.packets]
        late = [UNIX + at - when for at, when in zip(ear.times, captured, strict=True) if when is not None]
        assert max(late) - min(late) < 1e-4
        assert late[0] == pytest.approx((128 + 312) / 48_000, abs=1e-4)


@pytest.mark.parametrize("frame", ["40ms", "60ms"])
async def test_longer_packets(frame: str) -> None:
    with MixWorld(frame=frame) as world:
        ear = Ear(world.hub.channels["xa"])
        world.mixed.add_input("music", Sine(440))
        world.ticks(60)
        blocks = int(frame[0]) // 2
        assert len(ear.packets) == 60 // blocks
        stamps = [packet.timestamp for packet in ear.packets]
        assert {b - a & 0xFFFF_FFFF for a, b in itertools.pairwise(stamps)} == {blocks * FRAME}
        assert abs(strength(ear.sound(30), 440) + 20) < 1


async def test_stereo_keeps_places_apart() -> None:
    with MixWorld(channels=2, bitrate=96_000) as world:
        ear = Ear(world.hub.channels["xa"], 2)
        world.mixed.add_input("left", Sine(440), pan=-1, channels=1)
        world.mixed.add_input("right", Sine(1700), pan=1, channels=1)
        world.ticks(60)
        sound = ear.sound(30)
        assert strength(sound[:, 0], 440) > strength(sound[:, 1], 440) + 30
        assert strength(sound[:, 1], 1700) > strength(sound[:, 0], 1700) + 30


async def test_ticks_that_were_passed_over_leave_no_delay_behind() -> None:
    with MixWorld() as world:
        ear = Ear(world.hub.channels["xa"])
        microphone = await speaker(world, 440)
        world.ticks(50, microphone)
        for _ in range(15):
            microphone()
            world.settle()
            world.now += TICK_S
        world.ticks(50, microphone, skipped=15)
        stamps = [packet.timestamp for packet in ear.packets]
        steps = {after - before & 0xFFFF_FFFF for before, after in itertools.pairwise(stamps)}
        assert steps == {FRAME, 16 * FRAME}
        assert world.mixed.state().inputs[0].buffer_ms <= 20
        assert strength(ear.sound(20), 440) > -21


async def test_no_more_inputs_than_there_is_room_for() -> None:
    with MixWorld(inputs_max=2) as world:
        await speaker(world, 440)
        world.mixed.add_input("music", Sine(440))
        with pytest.raises(ChannelBusy, match="inputs_max"):
            await world.publisher()
        with pytest.raises(InputExists):
            world.mixed.add_input("music", Sine(440))
        with pytest.raises(InputNotFound):
            world.mixed.remove_input("nothing")
        world.mixed.remove_input("music")
        world.ticks(10)
        await world.publisher()


async def test_who_comes_again_with_replace_takes_his_own_place_with_his_first_sound() -> None:
    with MixWorld(inputs_max=1) as world:
        old = await speaker(world, 440)
        world.ticks(10, old)
        with pytest.raises(ChannelBusy):
            await speaker(world, 440)
        new = await speaker(world, 440, replace=True)
        assert old.client.closed is None
        world.ticks(10, new)
        assert old.client.closed is not None
        assert len(world.mixed.inputs) == 1


async def test_a_publisher_that_is_removed_loses_its_session() -> None:
    with MixWorld() as world:
        microphone = await speaker(world, 440)
        world.ticks(5, microphone)
        world.mixed.remove_input(next(iter(world.mixed.inputs)))
        world.ticks(5)
        assert microphone.client.closed is not None
        assert world.studio.idle is False
        world.ticks(250)
        assert world.studio.idle


async def test_what_a_publisher_was_counted_stays_from_the_moment_he_leaves() -> None:
    with MixWorld() as world:
        client = await world.publisher()
        for sequence, payload in enumerate(packets_of(tone(440, 60))):
            if sequence % 3:
                client.say(sequence, payload, timestamp=sequence * FRAME)
            world.ticks(1)
        counted = world.mixed.sources()["publishers"]
        assert counted.missing > 5
        world.mixed.remove_input("publisher-1")
        for _ in range(10):  # while he fades, and after
            left = world.mixed.sources()["publishers"]
            assert (left.missing, left.playing) == (counted.missing, 0)
            world.ticks(1)


async def test_a_tick_waits_for_nobody_who_adds_or_removes_inputs() -> None:
    with MixWorld() as world:
        voice = await speaker(world, 440)
        world.ticks(10, voice)
        held, let_go = threading.Event(), threading.Event()

        def hold() -> None:
            with world.studio.lock:
                held.set()
                let_go.wait(10)

        holding = threading.Thread(target=hold)
        holding.start()
        held.wait(10)
        try:
            world.hub.close_all("gone", world.now)
            with within(5.0, "the tick waits for the lock"):
                world.ticks(2)
            assert len(world.mixed.inputs) == 1, "put off"
        finally:
            let_go.set()
            holding.join()
        world.ticks(5)
        assert not world.mixed.inputs


async def test_draining_ends_publishers_and_leaves_nothing_to_mix() -> None:
    with MixWorld() as world:
        microphone = await speaker(world, 440)
        world.ticks(5, microphone)
        await world.core.drain()
        world.ticks(250)
        assert microphone.client.closed is not None
        assert not world.mixed.inputs
        assert world.studio.idle


async def test_hostile_packets_of_one_publisher_leave_the_other_alone() -> None:
    with MixWorld() as world:
        good, bad = await speaker(world, 440), await world.publisher(subject="bad")
        ear = Ear(world.hub.channels["xa"])
        dice = np.random.default_rng(1)

        def say() -> None:
            good()
            for _ in range(5):
                sequence, stamp = int(dice.integers(65_536)), int(dice.integers(1 << 32))
                bad.say(sequence, os.urandom(int(dice.integers(200))), timestamp=stamp)

        world.ticks(100, say)
        assert strength(ear.sound(50), 440) > -26
        assert len(ear.packets) >= 98
        assert np.isfinite(level_dbfs(ear.sound()))
        assert world.studio.counts.faults == 0
        rejected = world.studio.stats().sources["xa", "publishers"].rejected
        assert rejected > 10
        await world.core.close("xa", "publish", bad.created.id)
        world.ticks(10, good)
        assert world.studio.stats().sources["xa", "publishers"].rejected >= rejected, "counters never fall"

"""The chime before announcements, by ear: when it is heard, what steps back for it, and who waits for its end."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from loacodecs.chime import FREQUENCIES, two_notes
from relay.automation.programme import ChannelAutomation
from relay.automation.settings import AutomationConfig
from relay.automation_ports import QueueItem
from relay.live.meetings import Meetings
from relay.meeting_ports import End, Entry, Open
from relay.ports import Hearing
from relay.sources.feed import OPERATOR
from tests.support.hand_mixer import HandSource, endless
from tests.support.interleaving import at_every_turn
from tests.support.media_files import encode
from tests.support.mixing import FRAME, Ear, Microphone, MixWorld, packets_of, strength, tone
from tests.support.waiting import until

CHIME = -(-len(two_notes()) // FRAME)
"""Blocks that it lasts."""
MUSIC, VOICE = 440.0, 1700.0
SILENCE = -65


class Station(MixWorld):
    """A mixed channel with a chime, and music on it."""

    def __init__(self, **mix: object) -> None:
        short = {"hold": "100ms", "release": "100ms"}
        super().__init__(**{"publishers": "announcement", "chime": "two-tone", "duck": short} | mix)
        self.ear = Ear(self.hub.channels["xa"])

    def play_music(self) -> None:
        sound = HandSource(live=True, state="playing", generate=endless(MUSIC, 0.1))
        self.mixed.add_input("music", sound)

    async def speaker(self, blocks: int = 400, frequency: float = VOICE, db: float = -20) -> Microphone:
        client = await self.publisher(subject="lan")
        return Microphone(client, packets_of(tone(frequency, blocks, db)))

    def hear(self, blocks: int, *microphones: Microphone) -> np.ndarray:
        """What is heard in so many ticks; a tick is 20 ms, and its sound comes within three more."""
        before = len(self.ear.packets)
        self.ticks(blocks, lambda: [each() for each in microphones])
        return self.ear.sound(len(self.ear.packets) - before)

    def chimes(self, sound: np.ndarray) -> int:
        """How often the chime begins in `sound`, by its first note's attack."""
        line = sound.mean(axis=1) if sound.ndim == 2 else sound
        count, rings = 0, False
        for at in range(0, len(line) - 2400, 2400):
            level = strength(line[at : at + 2400], FREQUENCIES[0])
            count += level > -18 and not rings
            rings = level > -30 if rings else level > -18
        return count


def note(sound: np.ndarray, number: int) -> float:
    """The strength of that note of a chime whose first sample is that of `sound`."""
    start = 5_000 + number * 26_400
    return strength(sound[start : start + 12_000], FREQUENCIES[number])


async def test_the_chime_comes_before_the_speaker_and_the_programme_steps_back() -> None:
    with Station() as station:
        station.play_music()
        station.hear(30)
        lan = await station.speaker()
        session = next(each.session for each in station.mixed.inputs.values() if each.session)
        assert station.core.hearing("xa", session) == Hearing(heard=False, awaits_chime=False), (
            "nothing came yet"
        )
        chime = station.hear(CHIME, lan)
        assert note(chime, 0) > -20
        assert note(chime, 1) > -20
        assert strength(chime, VOICE) < SILENCE, "his microphone waits"
        assert strength(chime[10 * FRAME :], MUSIC) == pytest.approx(-35, abs=1.5)
        state = station.mixed.state()
        assert state.chime
        assert [each.awaits_chime for each in state.inputs] == [False, True]
        assert station.core.hearing("xa", session) == Hearing(heard=False, awaits_chime=True)
        station.hear(5, lan)
        speech = station.hear(40, lan)
        assert strength(speech, VOICE) == pytest.approx(-20, abs=1)
        assert strength(speech, MUSIC) == pytest.approx(-35, abs=1.5)
        assert strength(speech, FREQUENCIES[1]) < -50
        state = station.mixed.state()
        assert not state.chime
        assert not any(each.awaits_chime for each in state.inputs)
        assert station.core.hearing("xa", session) == Hearing(heard=True, awaits_chime=False)
        assert station.core.hearing("xa", "another") is None
        assert station.core.hearing("elsewhere", session) is None


async def test_who_has_no_chime_before_him_is_never_said_to_wait() -> None:
    with Station(publishers="programme") as station:
        lan = await station.speaker()
        station.hear(5, lan)
        session = next(each.session for each in station.mixed.inputs.values() if each.session)
        assert station.core.hearing("xa", session) is None


async def test_a_second_announcement_has_a_chime_only_after_a_pause() -> None:
    with Station(chime_after="3s") as station:
        lan = await station.speaker(CHIME + 50)
        assert station.chimes(station.hear(CHIME + 50, lan)) == 1
        quiet = station.hear(100)
        minh = await station.speaker(50, 1000)
        second = station.hear(50, minh)
        assert station.chimes(np.concatenate([quiet, second])) == 0
        assert strength(second[10 * FRAME : 40 * FRAME], 1000) == pytest.approx(-20, abs=1)
        station.hear(200)
        hoa = await station.speaker(100, 2500)
        third = station.hear(CHIME + 50, hoa)
        assert station.chimes(third) == 1


async def test_two_who_come_together_have_one_chime() -> None:
    with Station(chime_after="1s") as station:
        lan, minh = await station.speaker(), await station.speaker(400, 1000)
        station.hear(40, lan)
        station.hear(CHIME - 30, lan, minh)
        both = station.hear(40, lan, minh)
        assert station.chimes(station.ear.sound()) == 1
        assert strength(both, VOICE) == pytest.approx(-20, abs=1)
        assert strength(both, 1000) == pytest.approx(-20, abs=1)


async def test_who_comes_on_air_without_a_word_has_it_and_a_muted_one_when_he_is_opened() -> None:
    with Station() as station:
        lan = await station.speaker(db=-100)
        source = next(iter(station.mixed.inputs.values()))
        source.mute(True)
        assert station.chimes(station.hear(40, lan)) == 0
        source.mute(False)
        assert station.chimes(station.hear(CHIME, lan)) == 1


async def test_a_line_that_is_always_open_has_it_with_its_first_sound() -> None:
    with Station() as station:
        loud = False
        wave = endless(VOICE, 0.1)
        line = HandSource(
            live=True, state="playing",
            generate=lambda at, count: wave(at, count) * (1.0 if loud else 0.001),
        )  # fmt: skip
        station.mixed.add_input("line", line, role="announcement", kind="line")
        assert station.chimes(station.hear(50)) == 0
        loud = True
        assert station.chimes(station.hear(CHIME)) == 1
        station.hear(5)
        assert strength(station.hear(30), VOICE) == pytest.approx(-20, abs=1)


async def test_a_file_begins_with_its_first_sample_when_the_chime_has_ended() -> None:
    with Station(bitrate=256_000) as station:
        source = HandSource(np.concatenate([tone(VOICE, 5)[:, 0], tone(1000, 50)[:, 0]]), state="playing")
        station.mixed.add_input("bulletin", source, role="announcement", kind="file")
        station.ticks(CHIME + 1)
        assert source.position == FRAME, "one block is looked at, and kept"
        before = len(station.ear.packets) * FRAME
        station.ticks(30)
        sound = station.ear.sound()[before:, 0]
        assert strength(sound[500 : 4 * FRAME], VOICE) == pytest.approx(-20, abs=1.5), "nothing of it is lost"
        assert strength(sound[8 * FRAME : 25 * FRAME], 1000) == pytest.approx(-20, abs=1)


async def test_in_an_emergency_nobody_waits() -> None:
    with Station() as station:
        lan = await station.speaker()
        station.hear(10, lan)
        station.studio.is_emergency = lambda name: name == "xa"
        station.hear(8, lan)
        speech = station.hear(30, lan)
        assert strength(speech, VOICE) == pytest.approx(-20, abs=1)
        assert strength(speech, FREQUENCIES[0]) < -50, "the chime that had begun is cut off"


async def test_a_meeting_has_one_chime_when_it_is_put_on_air() -> None:
    with Station(publishers="talk", meeting={"admit": False}) as station:
        room = Meetings(station.studio.channels, lambda: station.now).room("xa")
        assert room is not None
        chair = room.enter(Entry("chair", "chair", "c")).person
        microphone = await station.speaker()
        room.connect(chair, microphone.client.created.id)
        assert station.chimes(station.hear(30, microphone)) == 0
        room.obey(chair, Open())
        assert station.chimes(chime := station.hear(CHIME - 2, microphone)) == 1
        assert strength(chime, VOICE) < SILENCE
        station.hear(8, microphone)
        assert strength(station.hear(30, microphone), VOICE) == pytest.approx(-20, abs=1)
        room.obey(chair, End())
        room.obey(chair, Open())
        assert station.chimes(station.hear(30)) == 0, "not twice within chime_after"


async def test_a_channel_with_a_chime_rests_when_nobody_is_there() -> None:
    with Station() as station:
        assert station.studio.idle
        station.mixed.announce()
        assert not station.studio.idle
        station.hear(CHIME + 250)
        assert station.studio.idle


class Queued(Station):
    """Music of the list and a queue of hand sources, on a real mixed channel."""

    def __init__(self, opens: dict[str, HandSource], **mix: object) -> None:
        super().__init__(bitrate=256_000, **mix)
        self.automation = ChannelAutomation(
            AutomationConfig(), self.mixed, lambda source, **_: opens[source], now=self.now
        )

    def add(self, *names: str, chime: bool = True) -> None:
        self.automation.queue.add([QueueItem(name, name, "", 0.0, 0.0, "", 0.0, chime) for name in names])
        self.automation.queue_changed(self.now, self.now)

    def run(self, blocks: int) -> np.ndarray:
        def step() -> None:
            if self.number % 5 == 0:
                self.automation.step(self.now, self.now)

        before = len(self.ear.packets)
        self.ticks(blocks, step)
        return self.ear.sound(len(self.ear.packets) - before)


def file_of(frequency: float, samples: int) -> HandSource:
    return HandSource(tone(frequency, -(-samples // FRAME))[:samples, 0])


async def test_an_item_that_asks_for_it_has_the_chime_and_steps_back_for_nobody() -> None:
    with Queued({"news": file_of(VOICE, 120_000)}) as station:
        station.play_music()
        station.run(20)
        station.add("news")
        chime = station.run(CHIME)
        assert note(chime, 0) > -20
        assert strength(chime[10 * FRAME :], MUSIC) == pytest.approx(-35, abs=1.5)
        assert strength(chime, VOICE) < -45
        assert station.mixed.state().chime
        news = station.run(80)
        assert strength(news[5 * FRAME :], VOICE) == pytest.approx(-20, abs=1), "a whole first word"
        assert strength(news[5 * FRAME :], MUSIC) == pytest.approx(-35, abs=1.5)
        station.run(70)
        assert strength(station.run(30), MUSIC) == pytest.approx(-20, abs=1)


async def test_a_speaker_over_an_item_has_no_second_chime_and_brings_it_down() -> None:
    with Queued({"news": file_of(1000, 480_000)}) as station:
        station.add("news")
        station.run(CHIME + 20)
        lan = await station.speaker()
        station.ticks(10, lan)
        sound = station.hear(40, lan)
        assert station.chimes(station.ear.sound()) == 1
        assert strength(sound, VOICE) == pytest.approx(-20, abs=1)
        assert strength(sound, 1000) == pytest.approx(-35, abs=1.5)


async def test_a_real_file_waits_for_its_chime(tmp_path: Path) -> None:
    path = encode(tmp_path / "bulletin.wav", tone(VOICE, 50)[:, 0])
    with Station() as station:
        station.mixed.add_input("bulletin", str(path), role="announcement", policy=OPERATOR)
        until(lambda: station.mixed.state().inputs[0].buffer_ms > 300)
        assert station.chimes(station.hear(CHIME + 1)) == 1
        sound = station.hear(20)
        assert strength(sound[3 * FRAME :], VOICE) == pytest.approx(-20, abs=1)


def test_nothing_is_heard_before_the_chime_whenever_the_mixer_comes_to_its_turn() -> None:
    """Somebody opens an input, and the mixer's thread ticks in the middle of it."""
    with Station(chime_after="1s") as station:
        names = (f"voice {number}" for number in itertools.count())
        heard: list[float] = []

        def make() -> tuple[Callable[[], None], Callable[[], None]]:
            for name in list(station.mixed.inputs):
                station.mixed.remove_input(name, 0.0)
            station.ticks(CHIME)
            station.now += 10  # until the chime is due again
            voice = HandSource(live=True, state="playing", generate=endless(VOICE, 0.5))
            opened = station.mixed.add_input(
                next(names), voice, role="announcement", kind="publisher", muted=True
            )
            tick()
            heard.clear()
            return lambda: opened.mute(False), tick

        def tick() -> None:
            station.ticks(1)
            heard.append(strength(station.mixed.bus.samples.T, VOICE))

        for _ in at_every_turn(make):
            for _ in range(3):
                tick()
            assert max(heard) < -50
            assert station.mixed.state().chime

"""Meetings by ear: what a meeting decides is what is heard on its channel."""

from __future__ import annotations

import asyncio

import pytest

from relay.errors import ChannelBusy
from relay.live.meetings import Meetings, Room
from relay.meeting_ports import Admit, End, Entry, Mute, Open, Remove
from tests.support.mixing import Ear, Microphone, MixWorld, packets_of, strength, tone

CHAIR, LAN = 440.0, 1700.0
SILENCE = -70


class Hall(MixWorld):
    """A mixed channel with meetings, a chair who has opened one, and a speaker who waits."""

    def __init__(self, **mix: object) -> None:
        super().__init__(meeting={}, **mix)
        found = Meetings(self.studio.channels, lambda: self.now).room("xa")
        assert found is not None
        self.room: Room = found
        self.ear = Ear(self.hub.channels["xa"])

    async def microphone(self, person: str, frequency: float, seconds: float = 4) -> Microphone:
        client = await self.publisher(subject=person, replace=True)
        self.room.connect(person, client.created.id)
        return Microphone(client, packets_of(tone(frequency, round(seconds * 50))))

    async def begin(self) -> None:
        self.chair = self.room.enter(Entry("chair", "chair", "c")).person
        self.lan = self.room.enter(Entry("speaker", "lan", "s")).person
        self.microphones = [
            await self.microphone(self.chair, CHAIR),
            await self.microphone(self.lan, LAN),
        ]
        self.room.obey(self.chair, Open())

    def heard(self, blocks: int = 40) -> tuple[bool, bool]:
        """Whether the chair, and whether the speaker, is heard on the channel in what follows."""
        self.speak(blocks)
        sound = self.ear.sound(25)
        return strength(sound, CHAIR) > SILENCE, strength(sound, LAN) > SILENCE

    def speak(self, blocks: int) -> None:
        def each() -> None:
            for microphone in self.microphones:
                microphone()
            if self.number % 10 == 0:
                self.room.look()

        self.ticks(blocks, each)


async def test_a_microphone_sounds_from_its_admission_to_its_removal() -> None:
    with Hall() as hall:
        await hall.begin()
        assert hall.heard() == (True, False)
        whole = hall.ear.sound()
        assert strength(whole, LAN) < SILENCE  # never, not even for a moment
        hall.room.obey(hall.chair, Admit(hall.lan))
        assert hall.heard() == (True, True)
        hall.room.obey(hall.chair, Mute(hall.lan, True))
        assert hall.heard() == (True, False)
        hall.room.obey(hall.chair, Mute(hall.lan, False))
        assert hall.heard() == (True, True)
        hall.room.obey(hall.chair, Remove(hall.lan))
        hall.microphones = hall.microphones[:1]
        assert hall.heard() == (True, False)


async def test_who_mixes_cannot_open_what_the_meeting_keeps_closed() -> None:
    with Hall() as hall:
        await hall.begin()
        for each in hall.mixed.inputs.values():
            each.mute(False)  # as the API does
        assert hall.heard() == (True, False)


async def test_a_microphone_that_comes_back_is_heard_as_before() -> None:
    with Hall() as hall:
        await hall.begin()
        hall.room.obey(hall.chair, Admit(hall.lan))
        assert hall.heard() == (True, True)
        hall.microphones[1] = await hall.microphone(hall.lan, LAN)
        assert hall.heard() == (True, True)
        assert len(hall.mixed.inputs) == 2


async def test_the_end_puts_the_channel_off_air() -> None:
    with Hall() as hall:
        await hall.begin()
        hall.heard()
        hall.room.obey(hall.chair, End())
        hall.microphones = []
        hall.speak(25)
        assert not hall.mixed.inputs
        assert strength(hall.ear.sound(15), CHAIR) < SILENCE
        hall.speak(200)  # the mixer's own tail
        sent = len(hall.ear.packets)
        hall.speak(100)
        assert len(hall.ear.packets) == sent
        assert not hall.core.on_air("xa")


async def test_who_speaks_hears_all_but_himself() -> None:
    with Hall() as hall:
        await hall.begin()
        hall.room.obey(hall.chair, Admit(hall.lan))
        hall.speak(5)
        lan = hall.mixed.input_of(hall.microphones[1].client.created.id)
        assert lan is not None
        others = Ear(hall.mixed.mix_minus(lan.name))
        hall.speak(60)
        sound = others.sound(25)
        assert strength(sound, CHAIR) > -30
        assert strength(sound, LAN) < SILENCE


async def test_the_last_place_is_the_chairs() -> None:
    with Hall(inputs_max=2) as hall:
        lan, hoa = (hall.room.seat(Entry("speaker", name, name)) for name in ("lan", "hoa"))
        await hall.microphone(lan, LAN)
        with pytest.raises(ChannelBusy, match="chair"):
            await hall.microphone(hoa, LAN)
        await hall.microphone(lan, LAN)  # his connection broke, and the relay does not know yet
        await hall.microphone(hall.room.seat(Entry("chair", "chair", "c")), CHAIR)


async def test_those_who_come_at_once_leave_the_chair_his_place() -> None:
    with Hall(inputs_max=3) as hall:
        seats = [hall.room.seat(Entry("speaker", name, name)) for name in ("lan", "hoa", "van", "minh")]
        come = [hall.microphone(seat, LAN) for seat in seats]
        found = await asyncio.gather(*come, return_exceptions=True)
        assert [isinstance(each, ChannelBusy) for each in found] == [False, False, True, True]
        await hall.microphone(hall.room.seat(Entry("chair", "chair", "c")), CHAIR)


async def test_pages_learn_of_changes() -> None:
    with Hall() as hall:
        await hall.begin()
        seen = await hall.room.changed(-1)
        waiting = asyncio.create_task(hall.room.changed(seen))
        await asyncio.sleep(0)
        assert not waiting.done()
        hall.room.obey(hall.chair, Admit(hall.lan))
        assert await waiting > seen

"""The threads of mixing on real clocks: ticks come, idleness costs nothing, a packet's way is short."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import pytest

from loacodecs.opus import OpusEncoder, Pcm
from relay.live import encoding
from relay.live.encoding import WAITING, BusEncoder, Encoded, EncoderPool
from relay.live.settings import MixSettings
from relay.live.thread import MixThread
from tests.relay.live.test_mixed import Sine
from tests.support.interleaving import at_every_turn
from tests.support.mixing import Ear, MixWorld, strength, tone
from tests.support.waiting import until


def test_the_thread_ticks_while_somebody_is_there_and_rests_otherwise() -> None:
    with MixWorld() as world:
        later = 0.0
        world.studio.clock = lambda: time.monotonic() + later
        ear = Ear(world.hub.channels["xa"])
        thread = MixThread(world.studio)
        thread.start()
        try:
            world.mixed.add_input("music", Sine(440))
            until(lambda: len(ear.packets) >= 20)
            assert abs(strength(ear.sound(10), 440) + 20) < 1
            world.mixed.remove_input("music", 0.0)
            until(lambda: world.studio.idle, 15.0)
            resting, missed = world.studio.counts.ticks, world.studio.counts.skipped
            later = 60.0
            world.mixed.add_input("again", Sine(440))
            until(lambda: world.studio.counts.ticks > resting + 5)
            # A busy machine may miss a few; the minute of rest is 3,000.
            assert world.studio.counts.skipped - missed < 100, "a rest is no overrun"
        finally:
            thread.stop()
        assert not thread.alive


def test_encoders_on_threads_keep_the_order_of_their_packets() -> None:
    pool = EncoderPool(2)
    made: dict[int, list[int]] = {i: [] for i in range(5)}

    def note(i: int, encoded: Encoded) -> None:
        made[i].append(encoded.number)

    encoders = [BusEncoder(MixSettings(mode="mix"), partial(note, i), lane=i) for i in range(5)]
    pool.start()
    try:
        sound = tone(440, 1).T
        for number in range(8):
            for encoder in encoders:
                if encoder.offer(number, 0.0, sound, True):
                    pool.submit(encoder)
    finally:
        pool.close()
    assert made == {i: list(range(8)) for i in range(5)}


def test_an_encoder_that_cannot_keep_up_loses_the_oldest_and_says_so() -> None:
    made: list[int] = []
    encoder = BusEncoder(MixSettings(mode="mix"), lambda encoded: made.append(encoded.number))
    asked = [encoder.offer(number, 0.0, tone(440, 1).T, True) for number in range(30)]
    assert asked == [True] + [False] * 29, "what it is asked for does not grow, either"
    encoder.run()
    assert made == list(range(20, 30))
    assert encoder.dropped == 20
    assert encoder.offer(30, 0.0, tone(440, 1).T, True)


def test_a_mistake_in_the_thread_is_logged_and_the_mix_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    with MixWorld() as world:
        mistakes: list[Exception] = []

        def clock() -> float:
            if mistakes:
                raise mistakes.pop()
            return time.monotonic()

        world.studio.clock = clock
        ear = Ear(world.hub.channels["xa"])
        thread = MixThread(world.studio)
        thread.start()
        try:
            world.mixed.add_input("music", Sine(440))
            until(lambda: len(ear.packets) >= 5)
            before, faults = len(ear.packets), world.studio.counts.faults
            mistakes.append(ZeroDivisionError())
            until(lambda: len(ear.packets) >= before + 5)
            assert world.studio.counts.faults == faults + 1
        finally:
            thread.stop()
    assert "ZeroDivisionError" in caplog.text


def test_an_encoder_that_catches_up_while_a_block_is_offered_loses_nothing_it_had() -> None:
    made: list[int] = []

    def make() -> tuple[Callable[[], bool], Callable[[], None]]:
        made.clear()
        encoder = BusEncoder(MixSettings(mode="mix"), lambda encoded: made.append(encoded.number))
        for number in range(WAITING):
            encoder.offer(number, 0.0, tone(440, 1).T, True)
        return lambda: encoder.offer(WAITING, 0.0, tone(440, 1).T, True), encoder.run

    for _ in at_every_turn(make):
        assert made in ([], list(range(WAITING)), list(range(1, WAITING + 1)), list(range(WAITING + 1)))


def test_what_is_told_of_an_encoder_is_not_asked_of_it_while_it_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An encoder of libopus belongs to one thread at a time."""
    asked: list[str] = []

    class Watched(OpusEncoder):
        working = False

        def encode(self, pcm: Pcm) -> bytes:
            self.working = True
            told.append((encoder.bitrate, encoder.application, encoder.latency))
            self.working = False
            return super().encode(pcm)

        def __getattribute__(self, name: str) -> object:
            if name in ("bitrate", "application", "lookahead") and super().__getattribute__("working"):
                asked.append(name)
            return super().__getattribute__(name)

    monkeypatch.setattr(encoding, "OpusEncoder", Watched)
    told: list[tuple[int, str, int]] = []
    encoder = BusEncoder(MixSettings(mode="mix"), lambda _: None)
    encoder.offer(0, 0.0, tone(440, 1).T, True)
    encoder.run()
    assert told == [(encoder.bitrate, encoder.application, encoder.latency)]
    assert asked == []

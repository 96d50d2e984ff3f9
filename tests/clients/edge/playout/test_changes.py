"""Stalls, pauses, restarts, wraps, settings: what happens to a stream, and what is heard of it."""

from __future__ import annotations

import numpy as np
import pytest

from bench.link.delay import Delay
from bench.link.model import LinkConfig, PathConfig
from bench.link.presets import P2
from bench.link.stalls import Stalls
from loaedge.playout import PlayoutSettings
from tests.support.playout_world import (
    RATE,
    Clock,
    Encoding,
    Relay,
    Sent,
    World,
    clean,
    damaged,
    delay_of,
    encode,
    ideal,
    programme,
    station,
)

DELAY = 0.7


def delay_at(world: World, at: float, packets: tuple[Sent, ...], supposed: float = DELAY) -> float:
    """Seconds from capture to ear around local time `at`."""
    heard = world.between(at, at + 1.0)
    return delay_of(heard, clean(packets), round((supposed - at) * RATE), 9600) / RATE + at


def sounding(world: World, begin: float, end: float) -> float:
    """When sound is first heard from `begin` on."""
    sound = world.between(begin, end)
    return begin + int(np.argmax(np.abs(sound) > 0.01)) / RATE if np.abs(sound).max() > 0.01 else np.inf


@pytest.mark.parametrize("action", ["hold", "lose"])
@pytest.mark.parametrize("path", ["clean", "P2"])
def test_after_a_stall_sound_is_back_at_the_same_delay(action: str, path: str) -> None:
    stalls = Stalls(listed=((10.0, 3.0),), action=action)  # type: ignore[arg-type]
    delay = Delay(0.04) if path == "clean" else P2.down.delay
    link = LinkConfig(delay=delay, stalls=stalls)
    world = World()
    world.join("a", PathConfig(link, link))
    packets = station(25.0)
    world.broadcast(packets)
    world.run(25.0)
    assert np.abs(world.between(11.2, 12.9)).max() == 0.0
    assert sounding(world, 13.0, 20.0) <= 14.0
    for at in (13.8, 16.0, 20.0):
        assert delay_at(world, at, packets) == pytest.approx(DELAY, abs=0.002)
    assert world.playout.stats.concealed_samples <= 3.2 * RATE
    if action == "hold":
        assert world.playout.stats.late > 90


def test_after_a_stall_nothing_old_is_heard() -> None:
    link = LinkConfig(delay=Delay(0.04), stalls=Stalls(listed=((10.0, 3.0),), action="hold"))
    world = World()
    world.join("a", PathConfig(link, link))
    packets = station(20.0)
    world.broadcast(packets)
    world.run(20.0)
    heard, reference = world.between(13.1, 19.0), ideal(packets, DELAY, 20 * RATE)
    assert damaged(heard, reference[round(13.1 * RATE) : 19 * RATE]) <= 0.01


def speech_with_pauses(seconds: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """2 s of sound, 1.4 s of silence, and so on."""
    sound = programme(seconds).copy()
    for begin in range(2 * RATE, len(sound), round(3.4 * RATE)):
        sound[begin : begin + round(1.4 * RATE)] = 0
    return sound


def test_pauses_of_the_sender_are_no_losses() -> None:
    packets = tuple(encode(speech_with_pauses(30.0), Encoding(bitrate=24000, speech=True, dtx=True)))
    assert len(packets) < 1300
    world = World()
    world.join()
    world.broadcast(packets)
    world.run(30.0)
    stats = world.playout.stats
    assert (stats.concealed_samples, stats.lost, stats.jumps) == (0, 0, 0)
    assert stats.paused_samples > 2.5 * RATE
    assert damaged(world.sound, ideal(packets, DELAY, len(world.sound))) <= 0.005
    assert np.sqrt(np.mean(world.between(3.2, 4.0) ** 2)) < 0.001


def test_losses_beside_pauses_are_losses() -> None:
    packets = tuple(encode(speech_with_pauses(30.0), Encoding(bitrate=24000, speech=True, dtx=True)))
    world = World()
    relay = world.join()
    relay.answers = False
    relay.hold = lambda now: 8.4 <= now < 8.495  # in the sound from 6.8 to 8.8 s
    world.broadcast(packets)
    world.run(30.0)
    assert world.playout.stats.concealed_samples == 5 * 960


@pytest.mark.parametrize(
    "hours", [0.05, 1, 13, 30]
)  # timestamps are ambiguous after 12 h and wrap after 25 h
def test_a_programme_hours_later_is_no_loss(hours: float) -> None:
    first, later = station(5.0), hours * 3600
    second = tuple(Sent(len(first) + p.number, p.media + round(later * RATE), p.payload) for p in first)
    world = World()
    world.join()
    world.broadcast((*first, *second))
    world.run(10.0)
    world.skip(later - 1)
    world.run(later + 6)
    stats = world.playout.stats
    assert (stats.concealed_samples, stats.jumps, stats.lost, stats.restarts) == (0, 0, 0, 0)
    assert stats.paused_samples == round((later - 5) * RATE)
    heard = world.between(later + 0.7, later + 5.5)
    reference = ideal(first, 0.0, 5 * RATE)
    assert damaged(heard, reference[: len(heard)]) == 0.0


@pytest.mark.parametrize("captures", [True, False])
def test_a_relay_that_restarts_is_heard_on_at_the_same_delay(captures: bool) -> None:
    world = World()
    relay = world.join(captures=captures)
    relay.captures = captures
    packets = station(20.0)
    world.broadcast(packets)
    world.at(8.0, lambda _now: relay.restart())
    world.run(20.0)
    stats = world.playout.stats
    assert (stats.concealed_samples, stats.jumps, stats.restarts) == (0, 0, 1)
    assert damaged(world.sound, ideal(packets, DELAY, len(world.sound))) <= 0.001
    assert delay_at(world, 15.0, packets) == pytest.approx(DELAY, abs=0.0005)


def test_counters_wrap_unheard() -> None:
    world = World()
    relay = world.join()
    relay.sequence, relay.timestamp = 65_536 - 300, 2**32 - 400 * 960
    packets = station(12.0)
    world.broadcast(packets)
    world.run(12.0)
    stats = world.playout.stats
    assert (stats.concealed_samples, stats.jumps, stats.restarts, stats.late) == (0, 0, 0, 0)
    assert damaged(world.sound, ideal(packets, DELAY, len(world.sound))) == 0.0


@pytest.mark.parametrize(
    ("settings", "change"),
    [
        (PlayoutSettings(0.7, 0.107), 0.107),
        (PlayoutSettings(0.7, 0.003), 0.003),
        (PlayoutSettings(0.5, 0.0), -0.2),
        (PlayoutSettings(2.0, 1.0), 2.3),
    ],
)
def test_other_settings_are_one_jump(settings: PlayoutSettings, change: float) -> None:
    world = World()
    world.join()
    packets = station(20.0)
    world.broadcast(packets)
    world.at(8.0, lambda _now: setattr(world.playout, "settings", settings))
    world.run(20.0)
    assert world.playout.stats.jumps == 1
    assert world.playout.stats.concealed_samples == 0
    for at in (8.1 + max(0.0, change), 15.0):
        assert delay_at(world, at, packets, DELAY + change) == pytest.approx(DELAY + change, abs=0.0005)
    if change > 0.05:  # nothing is played twice: there is silence until the playhead is due
        assert np.abs(world.between(8.03, 8.0 + change + 0.019)).max() < 1e-4


@pytest.mark.parametrize("delay", [0.5, 0.6989, 0.7013, 0.9])
def test_a_jump_does_not_click(delay: float) -> None:
    """A low tone has small steps; where it is cut and joined again there would be a large one."""
    times = np.arange(12 * RATE) / RATE
    world = World()
    world.join()
    world.broadcast(tuple(encode((0.3 * np.sin(2 * np.pi * 200 * times)).astype(np.float32))))
    world.at(8.003, lambda _now: setattr(world.playout, "settings", PlayoutSettings(delay)))
    world.run(10.0)
    assert world.playout.stats.jumps == 1
    steps = np.abs(np.diff(world.sound))
    assert steps[round(7.9 * RATE) :].max() <= 1.3 * steps[2 * RATE : round(7.9 * RATE)].max()


def test_the_tie_may_come_later_than_the_sound() -> None:
    """Sound begins by arrivals; when the clock is known it moves to its place once, and stays."""
    world = World(clock=Clock(known=False))
    link = LinkConfig(delay=Delay(0.1))
    world.join("a", PathConfig(link, link))
    packets = station(20.0)
    world.broadcast(packets)
    world.at(5.0, lambda _now: setattr(world.clock, "known", True))
    world.run(9.0)
    assert delay_at(world, 3.0, packets) == pytest.approx(DELAY + 0.1, abs=0.001)
    assert not world.playout.stats.jumps > 1
    world.run(20.0)
    assert delay_at(world, 8.0, packets) == pytest.approx(DELAY, abs=0.0005)
    assert (world.playout.stats.jumps, world.playout.stats.concealed_samples) == (1, 0)


def test_a_jump_waits_for_a_quiet_moment() -> None:
    sound = programme(20.0).copy()
    sound[round(4.4 * RATE) : round(4.8 * RATE)] = 0
    packets = tuple(encode(sound))
    world = World(clock=Clock(known=False))
    link = LinkConfig(delay=Delay(0.1))
    world.join("a", PathConfig(link, link))
    world.broadcast(packets)
    world.at(4.7, lambda _now: setattr(world.clock, "known", True))  # the silence is heard from 5.2 s on
    world.run(8.0)
    assert world.playout.stats.jumps == 1
    # All of the sound is there, before the silence at the first delay and after it at the right one.
    reference = ideal(packets, DELAY + 0.1, 8 * RATE)
    begin, end = round(1.0 * RATE), round(5.18 * RATE)
    assert damaged(world.sound[begin:end], reference[begin:end]) == 0.0
    reference = ideal(packets, DELAY, 8 * RATE)
    begin = round(5.5 * RATE)
    assert damaged(world.sound[begin:], reference[begin : len(world.sound)]) <= 0.01


def test_a_way_that_becomes_longer_for_good_is_followed_without_a_tie() -> None:
    world = World(clock=Clock(known=False))
    relay = world.join()
    packets = station(30.0)
    world.broadcast(packets)

    def move(_now: float) -> None:
        link = LinkConfig(delay=Delay(1.5))
        relay.up, relay.down = PathConfig(link, link).links(1)(0, 8.0)

    world.at(8.0, move)
    world.run(30.0)
    heard, reference = world.between(18.0, 29.0), ideal(packets, DELAY + 1.5, 30 * RATE)
    assert damaged(heard, reference[18 * RATE : 29 * RATE]) == 0.0


def test_a_session_after_another_is_heard_at_the_same_delay() -> None:
    """The first relay dies; the receiver turns to another one, whose counters tell nothing."""
    world = World()
    world.join("a")
    packets = station(20.0)
    world.broadcast(packets, "a")

    def fail_over(_now: float) -> None:
        world.playout.close("a")
        world.join("b")
        world.broadcast(packets[500:], "b")

    world.at(8.0, lambda _now: setattr(world.relays["a"], "alive", False))
    world.at(9.5, fail_over)
    world.run(20.0)
    assert sounding(world, 9.5, 20.0) <= 10.75
    assert world.playout.stats.jumps == 0
    assert world.playout.stats.concealed_samples == pytest.approx(2.0 * RATE, abs=960)
    for at in (11.0, 18.0):
        assert delay_at(world, at, packets) == pytest.approx(DELAY, abs=0.0005)


def test_without_ever_a_tie_the_delay_is_constant() -> None:
    world = World(clock=Clock(known=False), seed=4)
    world.join("a", P2)
    packets = station(60.0)
    world.broadcast(packets)
    world.run(60.0)
    assert not world.playout.stats.tied
    delays = [delay_at(world, at, packets, DELAY + 0.06) for at in (20.0, 30.0, 40.0, 55.0)]
    assert max(delays) - min(delays) <= 0.004
    assert world.playout.stats.jumps == 0


def test_when_the_clock_is_lost_the_sound_goes_on_where_it_is() -> None:
    world = World()
    link = LinkConfig(delay=Delay(0.1))
    world.join("a", PathConfig(link, link))
    packets = station(20.0)
    world.broadcast(packets)
    world.at(8.0, lambda _now: setattr(world.clock, "known", False))
    world.run(20.0)
    assert (world.playout.stats.jumps, world.playout.stats.concealed_samples) == (0, 0)
    assert not world.playout.stats.tied
    assert delay_at(world, 15.0, packets) == pytest.approx(DELAY, abs=0.001)


@pytest.mark.parametrize("error", [-3600.0, 3600.0])
def test_capture_times_that_cannot_be_do_not_silence_the_horn(error: float) -> None:
    """A relay whose clock is far off, or that is fed by one: sound at the wrong time is better than none."""
    world = World()
    relay: Relay = world.join()
    relay.capture_error_s = error
    packets = station(20.0)
    world.broadcast(packets)
    world.run(20.0)
    assert not world.playout.stats.tied
    assert damaged(world.between(8.0, 19.0), ideal(packets, DELAY, 20 * RATE)[8 * RATE : 19 * RATE]) <= 0.01


@pytest.mark.parametrize("loss", [0.0, 2.0])
def test_what_was_sent_while_there_was_no_device_was_not_concealed(loss: float) -> None:
    link = LinkConfig(delay=Delay(0.04))
    world = World()
    world.join("a", PathConfig(link, link))
    packets = station(120.0)
    world.broadcast(packets[: round(10.0 / 0.02)])
    world.broadcast(packets[round(40.0 / 0.02) :])
    world.run(10.0 + loss)
    world.skip(100.0)  # the device is pulled, in the middle of a sound or after one
    world.run(110.0)
    assert delay_at(world, 102.0, packets) == pytest.approx(DELAY, abs=0.002)
    assert world.playout.stats.concealed_samples < RATE
    assert world.playout.stats.played_samples > 15 * RATE

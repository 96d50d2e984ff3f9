"""Two relays at once: what one loses the other brings, and nobody hears it."""

from __future__ import annotations

import numpy as np
import pytest

from bench.link.delay import Delay
from bench.link.loss import Loss
from bench.link.model import LinkConfig, PathConfig
from bench.link.presets import preset
from loacodecs.opus_repacketize import join
from tests.support.playout_world import RATE, Sent, World, clean, damaged, delay_of, ideal, station

SECONDS = 30.0
DELAY = 0.7


def both(*, seed: int = 1, near: PathConfig | None = None, far: PathConfig | None = None) -> World:
    """A receiver of two relays with random counters of their own."""
    world = World(seed=seed)
    world.join("a", near or delayed(0.03))
    world.join("b", far or delayed(0.08))
    return world


def delayed(seconds: float, loss: float = 0.0) -> PathConfig:
    link = LinkConfig(Loss(loss), Delay(seconds))
    return PathConfig(link, link)


def packed(packets: tuple[Sent, ...], count: int = 3) -> tuple[Sent, ...]:
    """The rendition of `count` frames a packet."""
    return tuple(
        Sent(index, group[0].media, join([packet.payload for packet in group]))
        for index, group in enumerate(
            packets[begin : begin + count] for begin in range(0, len(packets) - count + 1, count)
        )
    )


def undisturbed() -> World:
    world = both()
    world.broadcast(station(SECONDS))
    world.run(SECONDS)
    return world


@pytest.mark.parametrize("victim", ["a", "b"])
@pytest.mark.parametrize("how", ["dies", "closed"])
def test_losing_either_changes_no_sample(victim: str, how: str) -> None:
    world = both()

    def kill(_now: float) -> None:
        world.relays[victim].alive = False
        if how == "closed":
            world.playout.close(victim)

    world.at(12.345, kill)
    world.broadcast(station(SECONDS))
    world.run(SECONDS)
    assert np.array_equal(world.sound, undisturbed().sound)
    stats = world.playout.stats
    assert (stats.concealed_samples, stats.jumps, stats.late) == (0, 0, 0)
    assert damaged(world.sound, ideal(station(SECONDS), DELAY, len(world.sound))) == 0.0


def test_they_take_turns_in_dying() -> None:
    """Each comes back as a session of its own, with other random counters, before the other goes."""
    world = both()
    packets = station(SECONDS)
    names = {"a", "b"}
    for number, at in enumerate((6.0, 12.0, 18.0, 24.0)):
        victim, back = f"{'ab'[number % 2]}", f"{'ab'[number % 2]}"
        world.at(at, lambda _now, victim=victim: setattr(world.relays[victim], "alive", False))

        def rejoin(_now: float, back: str = back) -> None:
            world.join(back, delayed(0.05))

        world.at(at + 3.0, rejoin)
    for index, packet in enumerate(packets):
        for name in names:
            world.at(
                packet.media / RATE,
                lambda now, name=name, index=index: world.relays[name].send(packets, index, now),
            )
    world.run(SECONDS)
    assert np.array_equal(world.sound, undisturbed().sound)
    assert world.playout.stats.concealed_samples == 0


def test_two_bad_links_are_one_good_one() -> None:
    world = both(near=delayed(0.05, 0.05), far=delayed(0.05, 0.05))
    for relay in world.relays.values():
        relay.answers = False
    world.broadcast(station(SECONDS))
    world.run(SECONDS)
    stats = world.playout.stats
    assert stats.recovered_second > 80
    assert stats.concealed_samples <= 0.006 * SECONDS * RATE  # 0.05² and what chance adds
    assert stats.requests < 0.7 * stats.lost


def test_one_that_lags_and_loses_is_not_heard() -> None:
    world = both(near=delayed(0.03), far=preset("P3"))
    world.broadcast(station(SECONDS))
    world.run(SECONDS)
    assert np.array_equal(world.sound, undisturbed().sound)


def test_renditions_may_differ() -> None:
    packets = station(SECONDS)
    world = both()
    world.broadcast(packets, "a")
    world.broadcast(packed(packets), "b", offset_s=0.04)
    world.at(10.0, lambda _now: setattr(world.relays["a"], "alive", False))
    world.run(SECONDS - 0.5)
    stats = world.playout.stats
    assert np.array_equal(world.sound, undisturbed().sound[: len(world.sound)])
    assert (stats.concealed_samples, stats.jumps) == (0, 0)
    assert stats.duplicates > 400


def test_a_relay_that_dies_amid_what_the_other_has_lost_is_not_heard() -> None:
    """Packets of 60 ms that begin elsewhere: of the one that is lost the dead relay brought two frames of three."""
    world = both()
    packets = station(10.0)
    far = world.relays["b"]
    far.hold = lambda now: 5.95 <= now < 5.97
    world.at(5.99, lambda _now: setattr(world.relays["a"], "alive", False))
    world.broadcast(packed(packets), "a")
    world.broadcast(packed(packets[1:]), "b")
    world.run(9.0)
    stats = world.playout.stats
    assert stats.concealed_samples == 0
    assert stats.recovered_nack == 1
    assert damaged(world.sound, ideal(packets, DELAY, len(world.sound))) == 0.0


@pytest.mark.parametrize("disagreement", [-0.006, 0.004, 0.009])
def test_relays_may_disagree_by_milliseconds_about_capture_times(disagreement: float) -> None:
    world = both()
    world.relays["b"].capture_error_s = disagreement
    world.at(10.0, lambda _now: setattr(world.relays["a"], "alive", False))
    world.broadcast(station(SECONDS), "a")
    world.broadcast(station(SECONDS)[25:], "b")  # it speaks of other positions
    world.run(SECONDS)
    stats = world.playout.stats
    assert (stats.concealed_samples, stats.jumps) == (0, 0)
    # While both live, one of them counts.
    assert np.array_equal(world.between(0.0, 10.0), undisturbed().between(0.0, 10.0))
    heard = world.between(12.0, 14.0)
    delay = delay_of(heard, clean(station(SECONDS)), round((DELAY - 12.0) * RATE)) / RATE + 12.0
    assert delay == pytest.approx(DELAY, abs=0.002)


def test_sources_are_aligned_without_capture_times_and_clock() -> None:
    world = both()
    for relay in world.relays.values():
        relay.captures = False
    world.clock.known = False
    world.broadcast(station(SECONDS))
    world.at(12.0, lambda _now: setattr(world.relays["a"], "alive", False))
    world.run(SECONDS)
    assert world.playout.stats.concealed_samples == 0
    assert world.playout.stats.duplicates > 400
    assert world.playout.stats.jumps == 0
    # From then on the quickest arrivals are later, and the playhead follows that slowly.
    heard, reference = world.between(1.0, 20.0), ideal(station(SECONDS), DELAY + 0.03, 20 * RATE)
    assert damaged(heard, reference[RATE:]) <= 0.001


def test_a_relay_that_splices_otherwise_finds_its_place_again() -> None:
    """After a change of source two relays may count on by different numbers of frames."""
    packets = station(SECONDS)
    world = both()
    world.at(8.0, lambda _now: setattr(world.relays["b"], "media_offset", 3 * 960))
    world.at(20.0, lambda _now: setattr(world.relays["a"], "alive", False))
    world.broadcast(packets)
    world.run(SECONDS)
    assert np.array_equal(world.sound, undisturbed().sound)


def test_one_that_joins_while_the_other_is_silent_takes_the_same_places() -> None:
    packets = station(SECONDS)
    world = World()
    first = world.join("a", delayed(0.03))
    first.answers = False
    first.hold = lambda now: 9.0 <= now < 9.6

    def come(_now: float) -> None:
        world.join("b", delayed(0.08)).capture_error_s = 2 / RATE
        world.broadcast(packets[468:], "b")

    world.broadcast(packets, "a")
    world.at(9.35, come)
    world.at(15.0, lambda _now: setattr(first, "alive", False))
    world.run(SECONDS)
    stats = world.playout.stats
    assert stats.concealed_samples == 18 * 960  # what was sent before the second came
    assert stats.jumps == 0
    heard, reference = world.between(10.3, 29.0), ideal(packets, DELAY, round(29.0 * RATE))
    assert damaged(heard, reference[round(10.3 * RATE) :]) == 0.0


def test_one_that_lags_behind_a_dead_one_is_known_by_its_content() -> None:
    """Its clock is 4 ms off, so only what both have sent tells where it belongs."""
    packets = station(SECONDS)
    world = World()
    first = world.join("a", delayed(0.03))
    world.broadcast(packets, "a")

    def come(_now: float) -> None:
        world.join("b", delayed(0.55)).capture_error_s = 0.004
        world.broadcast(packets[490:], "b")

    world.at(9.75, come)
    world.at(10.0, lambda _now: setattr(first, "alive", False))
    world.run(SECONDS)
    stats = world.playout.stats
    assert (stats.concealed_samples, stats.jumps) == (0, 0)
    assert stats.duplicates >= 8
    heard, reference = world.between(5.0, 12.0), ideal(packets, DELAY, 12 * RATE)
    assert damaged(heard, reference[5 * RATE :]) == 0.0

"""Sound cards and clocks that run at their own pace, for hours."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from loaedge.playout import PlayoutSettings
from tests.support.playout_world import RATE, Clock, Sent, World, clean, damaged, delay_of, ideal, station

DELAY = 0.7


def repeated(seconds: float, loop_s: float = 20.0) -> tuple[Sent, ...]:
    """A programme of `loop_s` over and over, as the packets of one stream."""
    packets = station(loop_s)
    return tuple(
        Sent(turn * len(packets) + p.number, round(turn * loop_s * RATE) + p.media, p.payload)
        for turn in range(int(seconds / loop_s))
        for p in packets
    )


@pytest.mark.parametrize("device", [-100.0, 100.0])
def test_delay_is_held_whatever_the_clocks_do(device: float) -> None:
    """The station's sound card, the relay's clock and the receiver's sound card all differ."""
    world = World(clock=Clock(fast_ppm=-device), device_ppm=device, station_ppm=60.0)
    world.join()
    packets = station(120.0)
    world.broadcast(packets)
    world.run(119.0)
    errors = []
    for begin in np.arange(6.0, 116.0, 5.0):
        heard = world.between(begin, begin + 1.0)
        relay_begin = begin * (1 - device * 1e-6)
        supposed = round((DELAY - relay_begin) / (1 + 60e-6) * RATE)
        delay = delay_of(heard, clean(packets), supposed, 2400) - (DELAY - relay_begin) / (1 + 60e-6) * RATE
        errors.append(delay / RATE)
    assert max(map(abs, errors)) <= 0.002
    assert max(map(abs, errors[10:])) <= 0.0005
    assert (world.playout.stats.jumps, world.playout.stats.concealed_samples) == (0, 0)


def test_delay_does_not_grow() -> None:
    """A quarter of an hour at 300 ppm would be 0.27 s, were it not removed."""
    loop, turns = 20.0, 45
    world = World(clock=Clock(fast_ppm=160.0), device_ppm=-140.0)
    relay = world.join()
    packets = station(loop)

    def turn(number: int, _now: float) -> None:
        shifted = tuple(
            Sent(number * len(packets) + p.number, round(number * loop * RATE) + p.media, p.payload)
            for p in packets
        )
        for index, packet in enumerate(shifted):
            world.at(
                world.clock_local(world.captured(packet.media)), functools.partial(relay.send, shifted, index)
            )

    for number in range(turns):
        world.at(world.clock_local(number * loop) - 0.5, functools.partial(turn, number))
    reference = np.concatenate([clean(packets)] * 2)
    errors: list[float] = []
    for number in range(2, turns - 1, 4):
        begin = world.clock_local(number * loop) + 5.0
        world.run(begin + 1.5)
        heard = world.between(begin, begin + 1.0)
        into = (begin * (1 + 160e-6) - DELAY) % loop
        errors.append(delay_of(heard, reference, round(-into * RATE), 2400) / RATE + into)
    assert max(map(abs, errors)) <= 0.001
    stats = world.playout.stats
    assert (stats.jumps, stats.concealed_samples, stats.late) == (0, 0, 0)
    assert abs(stats.buffer_s - DELAY) <= 0.05


def test_two_receivers_are_in_step() -> None:
    """Sound cards 200 ppm apart, clocks apart, one late to join: the same sample at the same time."""
    packets = station(60.0)
    rooms = []
    for device, fast, late in ((100.0, 50.0, 0.0), (-100.0, -50.0, 7.0)):
        world = World(clock=Clock(fast_ppm=fast), device_ppm=device, settings=PlayoutSettings(0.7))
        if late:
            world.at(late, lambda _now, world=world: world.join("a"))
            for index, packet in enumerate(packets):
                if packet.media / RATE > late + 0.1:
                    world.at(
                        world.clock_local(packet.media / RATE),
                        lambda now, world=world, index=index: world.relays["a"].send(packets, index, now),
                    )
        else:
            world.join("a")
            world.broadcast(packets)
        world.run(59.0)
        delays = []
        for begin in (20.0, 40.0, 55.0):
            heard = world.between(begin, begin + 1.0)
            capture = begin * (1 + fast * 1e-6) - DELAY
            delays.append(delay_of(heard, clean(packets), round(-capture * RATE), 2400) / RATE + capture)
        rooms.append(delays)
    for one, other in zip(*rooms, strict=True):
        assert abs(one - other) <= 0.0005


def test_repeated_programmes_are_not_mistaken_for_a_second_source() -> None:
    world = World()
    world.join()
    packets = repeated(60.0)
    world.broadcast(packets)
    world.run(59.0)
    stats = world.playout.stats
    assert (stats.concealed_samples, stats.jumps, stats.restarts) == (0, 0, 0)
    assert damaged(world.sound, ideal(packets, DELAY, len(world.sound))) <= 0.001

"""What is heard over the rural mobile links of the requirements, by the sound itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.link.delay import Delay
from bench.link.loss import Loss
from bench.link.model import LinkConfig, PathConfig
from bench.link.presets import preset
from tests.support.playout_world import RATE, Encoding, World, clean, damaged, delay_of, ideal, station

SECONDS = 120.0
DELAY = 0.7


def played(path: PathConfig, encoding: Encoding = Encoding(), *, seed: int = 3, **kwargs: Any) -> World:  # noqa: B008
    world = World(seed=seed)
    world.join("a", path, **kwargs)
    world.broadcast(station(SECONDS, encoding))
    world.run(SECONDS + DELAY)
    return world


def concealed(world: World, encoding: Encoding = Encoding()) -> float:  # noqa: B008
    """Share of the sound that was concealed, as counted, after it was found not to lie."""
    packets = station(SECONDS, encoding)
    counted = world.playout.stats.concealed_samples / len(clean(packets))
    heard = damaged(world.sound, ideal(packets, DELAY, len(world.sound)))
    # A decoder needs a frame or two to be itself again after a loss, so the ear counts a little more.
    assert counted * 0.5 - 0.0005 <= heard <= counted * 1.6 + 0.001, (counted, heard)
    return counted


def worst_delay_error(world: World) -> float:
    """Largest deviation from capture time plus delay over windows of 2 s, in seconds."""
    reference = clean(station(SECONDS))
    errors = []
    for begin in np.arange(4.0, SECONDS - 3, 4.0):
        supposed = round((DELAY - begin) * RATE)
        delay = delay_of(world.between(begin, begin + 2), reference, supposed) / RATE + begin
        errors.append(abs(delay - DELAY))
    return max(errors)


@pytest.mark.parametrize(
    ("name", "limit", "repair"),
    [
        ("P1", 0.001, {}),
        ("P2", 0.005, {}),
        ("P2", 0.005, {"red_level": 1}),
        ("P3", 0.02, {"red_level": 1}),
        ("P3", 0.02, {"red_level": 2}),
    ],
)
def test_the_links_of_the_requirements(name: str, limit: float, repair: dict[str, Any]) -> None:
    world = played(preset(name), **repair)
    assert concealed(world) <= limit
    assert worst_delay_error(world) <= 0.002
    assert world.playout.stats.jumps == 0


@pytest.mark.parametrize(
    ("name", "repair", "at_least"),
    [("P1", {"nack": False}, 0.002), ("P2", {"nack": False}, 0.015), ("P3", {"nack": False}, 0.04)],
)
def test_without_repair_the_links_would_be_worse(name: str, repair: dict[str, Any], at_least: float) -> None:
    """Otherwise the test above would prove nothing."""
    world = played(preset(name), **repair)
    assert concealed(world) >= at_least
    assert worst_delay_error(world) <= 0.002


def lossy(share: float, round_trip: float, jitter: float = 0.0) -> PathConfig:
    down = LinkConfig(Loss(share), Delay(round_trip / 2, jitter, correlation=0.8 if jitter else 0.0))
    return PathConfig(LinkConfig(delay=Delay(round_trip / 2)), down)


def test_requests_bring_back_nearly_every_packet_when_there_is_time() -> None:
    world = played(lossy(0.05, 0.250))
    stats = world.playout.stats
    assert stats.lost > 200
    assert stats.recovered_nack >= 0.95 * stats.lost
    assert concealed(world) <= 0.005


def test_requests_stop_when_no_answer_can_come_in_time() -> None:
    world = played(lossy(0.05, 0.600))
    stats = world.playout.stats
    assert stats.lost > 200
    assert stats.requests < 0.15 * stats.lost


def test_requests_are_taken_up_again_when_the_path_becomes_shorter() -> None:
    world = World(seed=5)
    relay = world.join("a", lossy(0.05, 0.600))
    world.broadcast(station(SECONDS))
    world.run(60)
    better_up, better_down = lossy(0.05, 0.100).links(9)(0, 60.0)
    relay.up, relay.down = better_up, better_down
    world.run(90)
    before = world.playout.stats.lost, world.playout.stats.recovered_nack
    world.run(SECONDS)
    lost, mended = world.playout.stats.lost - before[0], world.playout.stats.recovered_nack - before[1]
    assert lost > 50
    assert mended >= 0.9 * lost


def test_redundancy_brings_back_single_losses_without_requests() -> None:
    world = played(lossy(0.05, 0.1), nack=False, red_level=1)
    stats = world.playout.stats
    assert stats.requests == 0
    assert stats.recovered_red >= 0.9 * stats.lost
    assert concealed(world) <= 0.006  # 0.05² and what chance adds


def test_what_redundancy_will_bring_is_not_asked_for() -> None:
    world = World(seed=3)
    world.join("a", lossy(0.05, 0.1), red_level=2)
    world.broadcast(station(SECONDS))
    world.run(SECONDS)  # what would follow the end is asked for
    stats = world.playout.stats
    assert stats.recovered_red > 200
    assert stats.requests < 0.01 * stats.lost


def test_in_band_fec_brings_back_single_frames_of_speech() -> None:
    speech = Encoding(bitrate=24000, speech=True, fec=True)
    world = played(lossy(0.05, 0.1), speech, nack=False)
    stats = world.playout.stats
    assert stats.recovered_fec >= 0.65 * stats.lost > 200  # the encoder does not copy every frame
    assert stats.concealed_samples <= 0.35 * stats.lost * 960
    bare = Encoding(bitrate=24000, speech=True)
    without = played(lossy(0.05, 0.1), bare, nack=False)
    assert without.playout.stats.recovered_fec == 0
    assert error_power(world, speech) < 0.6 * error_power(without, bare)


def error_power(world: World, encoding: Encoding) -> float:
    """Power of what differs from the undisturbed sound, by the power of that."""
    reference = ideal(station(SECONDS, encoding), DELAY, len(world.sound))
    return float(np.sum((world.sound - reference) ** 2) / np.sum(reference**2))


def test_a_long_loss_fades_to_silence_and_comes_back() -> None:
    world = World()
    relay = world.join()
    relay.hold = lambda now: 5.0 <= now < 7.0
    relay.answers = False
    world.broadcast(station(12.0))
    world.run(12.5)
    before, during, after = (
        np.sqrt(np.mean(world.between(*part) ** 2)) for part in ((5.0, 5.69), (6.2, 7.69), (7.75, 9.0))
    )
    assert during == 0.0
    assert after == pytest.approx(before, rel=0.2)
    assert np.sqrt(np.mean(world.between(5.885, 5.9) ** 2)) < 0.03 * before
    # No click where the sound fades: no step is larger than those of the sound itself.
    steps = np.abs(np.diff(world.sound))
    first = round(5.7 * RATE)
    assert steps[first : first + RATE].max() <= steps[: first - 960].max()
    assert world.playout.stats.concealed_samples == 100 * 960


def test_packing_and_frame_size_do_not_matter() -> None:
    for frame_ms in (2.5, 5, 10, 40, 60, 120):
        encoding = Encoding(frame_ms=frame_ms)
        world = World()
        world.join("a", preset("P1"))
        packets = station(10.0, encoding)
        world.broadcast(packets)
        world.run(10.5)
        reference = ideal(packets, DELAY, len(world.sound))
        # Of short frames some come too late to be asked for: the grace for overtaking is longer than they are.
        assert damaged(world.sound, reference) <= 0.01, frame_ms
        assert world.playout.stats.concealed_samples == 0, frame_ms

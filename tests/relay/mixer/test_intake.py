"""Feeds that lend: their samples are heard from where they lie, and nothing outside their store is ever looked at."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from relay.mixer.block import FRAME, SILENCE_DBFS
from relay.mixer.engine import MixEngine

TOLERANCE = 1e-6


class Lender:
    """Lends what is in `store`, place after place, or what `place` says."""

    def __init__(self, sides: int, seed: int = 1) -> None:
        self.store = np.random.default_rng(seed).uniform(-0.2, 0.2, (3, sides, FRAME)).astype(np.float32)
        self.place = 0

    def lend(self) -> int:
        return self.place


class Reader:
    def read(self, out: NDArray[np.float32]) -> bool:
        out[:] = 0.25
        return True


@pytest.mark.parametrize("sides", [1, 2])
def test_what_is_lent_is_heard_on_mono_and_stereo_inputs(sides: int) -> None:
    engine = MixEngine(4, 4)
    feed = Lender(sides)
    narrow, wide = engine.add_input(feed), engine.add_input(feed, channels=2)
    mono, stereo = engine.add_bus(), engine.add_bus(channels=2)
    mono.route(narrow, 0)
    stereo.route(wide, 0)
    engine.tick()
    for place in (2, 0, 1):
        feed.place = place
        engine.tick()
        lent = feed.store[place].astype(np.float64)
        assert np.abs(mono.samples - lent.mean(axis=0)).max() <= TOLERANCE
        assert np.abs(stereo.samples - lent).max() <= TOLERANCE
    peak = 20 * math.log10(np.abs(feed.store[1].mean(axis=0)).max())
    assert narrow.level().peak_dbfs >= peak - 0.01
    assert narrow.block_dbfs() == pytest.approx(10 * math.log10(np.mean(lent.mean(axis=0) ** 2)), abs=0.01)


@pytest.mark.parametrize("place", [-1, 3, -(2**40), 2**40])
def test_a_place_that_is_none_is_silence_and_counted(place: int) -> None:
    engine = MixEngine(1, 1)
    feed = Lender(1)
    source, bus = engine.add_input(feed), engine.add_bus()
    bus.route(source, 0)
    engine.tick()
    feed.place = place
    engine.tick()
    assert not bus.samples.any()
    assert (source.missing, source.came) == (1, False)
    assert source.block_dbfs() == SILENCE_DBFS


@pytest.mark.parametrize("sides", [1, 2])
def test_what_is_no_sound_is_silenced_and_the_lender_keeps_its_samples(sides: int) -> None:
    engine = MixEngine(1, 1)
    feed = Lender(sides)
    feed.store[0, :, :4] = np.array([math.nan, math.inf, -100.0, 1e-30], np.float32)
    before = feed.store.copy()
    source, bus = engine.add_input(feed), engine.add_bus()
    bus.route(source, 0)
    for _ in range(2):
        engine.tick()
    expected = before[0].mean(axis=0)
    expected[:4] = 0
    assert np.abs(bus.samples[0] - expected).max() <= TOLERANCE
    assert source.faults == 6
    assert np.array_equal(feed.store, before, equal_nan=True)


def test_an_input_can_be_given_another_feed() -> None:
    engine = MixEngine(2, 1)
    source, bus = engine.add_input(Reader()), engine.add_bus()
    bus.route(source, 0)
    engine.tick()
    lender = Lender(1)
    source.feed = lender
    engine.tick()
    assert np.abs(bus.samples[0] - lender.store[0, 0]).max() <= TOLERANCE
    source.feed = Reader()
    engine.tick()
    assert bus.samples[0] == pytest.approx(np.full(FRAME, 0.25), abs=1e-6)
    assert source.missing == 0


@pytest.mark.parametrize(
    "store",
    [
        np.zeros((2, 1, FRAME)),
        np.zeros((2, 3, FRAME), np.float32),
        np.zeros((2, FRAME), np.float32),
        np.zeros((2, 1, FRAME - 1), np.float32),
        np.zeros((2, 1, 2 * FRAME), np.float32)[:, :, ::2],
    ],
)
def test_a_store_that_cannot_be_mixed_from_is_refused_and_takes_no_row(store: NDArray[np.float32]) -> None:
    engine = MixEngine(1, 1)
    feed = Lender(1)
    feed.store = store
    with pytest.raises(ValueError, match="C-contiguous float32"):
        engine.add_input(feed)
    assert engine.inputs == ()
    engine.add_input(Reader())
    engine.tick()

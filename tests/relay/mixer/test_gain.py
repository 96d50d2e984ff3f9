"""Gain against a float64 reference."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from relay.mixer.block import FRAME
from relay.mixer.gain import Gain

TOLERANCE = 1e-6  # -120 dBFS
ROW = np.array([1], np.int64)
DB = st.one_of(st.just(-math.inf), st.floats(-80, 0))


def noise(rows: int = 3, seed: int = 1) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(-1, 1, (rows, FRAME)).astype(np.float32)


def amplitude(db: float) -> float:
    return 0.0 if db == -math.inf else 10 ** (db / 20)


def reference(first: float, changes: list[tuple[float, int]]) -> NDArray[np.float64]:
    """The gain of every sample; a change (target, ramp) comes before each block."""
    curve, gain = [], first
    for target, ramp in changes:
        start = gain
        for t in range(FRAME):
            gain = target if t + 1 >= ramp else start + (target - start) * (t + 1) / ramp
            curve.append(gain)
    return np.array(curve)


@given(st.lists(st.tuples(DB, st.integers(0, FRAME)), min_size=1, max_size=5))
@settings(deadline=None)
def test_each_sample_has_the_gain_of_its_place_on_the_ramp(changes: list[tuple[float, int]]) -> None:
    gain = Gain(3)
    samples = noise()
    expected = reference(1.0, [(amplitude(db), ramp) for db, ramp in changes])
    for number, (db, ramp) in enumerate(changes):
        gain.set(1, db, ramp)
        block = samples.copy()
        gain.process(block, ROW)
        curve = expected[number * FRAME : (number + 1) * FRAME]
        assert np.abs(block[1] - samples[1].astype(np.float64) * curve).max() <= TOLERANCE


def test_a_ramp_may_last_several_blocks_and_ends_on_its_target() -> None:
    gain = Gain(3)
    gain.set(1, -20.0, 2400)
    out = []
    for _ in range(3):
        block = np.ones((3, FRAME), np.float32)
        gain.process(block, ROW)
        out.append(block[1])
    curve = np.concatenate(out).astype(np.float64)
    expected = 1 - 0.9 * np.minimum(np.arange(1, 3 * FRAME + 1) / 2400, 1)
    assert np.abs(curve - expected).max() <= TOLERANCE
    assert curve[2398] > curve[2399] == pytest.approx(0.1, abs=1e-8)


def test_a_mute_takes_its_ramp_and_comes_back_at_the_gain_set_meanwhile() -> None:
    gain = Gain(3)
    gain.mute(1, True)
    block = np.ones((3, FRAME), np.float32)
    gain.process(block, ROW)
    assert np.abs(np.diff(block[1])).max() < 0.0025
    assert not block[1, 480:].any()
    gain.set(1, -6.0)
    block[:] = 1
    gain.process(block, ROW)
    assert not block[1].any()
    gain.mute(1, False)
    block[:] = 1
    gain.process(block, ROW)
    assert block[1, -1] == pytest.approx(amplitude(-6.0), abs=1e-7)


def test_other_rows_are_left_alone() -> None:
    gain = Gain(3)
    for row in range(3):
        gain.set(row, -10, 0)
    samples = noise()
    block = samples.copy()
    gain.process(block, ROW)
    assert np.array_equal(block[[0, 2]], samples[[0, 2]])
    assert not np.array_equal(block[1], samples[1])


def test_a_row_is_audible_until_it_has_reached_silence() -> None:
    gain = Gain(3)
    rows, found = np.arange(3, dtype=np.int64), np.zeros(3, np.int64)
    gain.mute(1, True)
    gain.set(2, -200, 0)
    assert found[: gain.ramp.audible(rows, found)].tolist() == [0, 1]
    gain.process(noise(), rows)
    assert found[: gain.ramp.audible(rows, found)].tolist() == [0]


def test_time_passes_for_rows_in_which_nothing_sounds() -> None:
    gain = Gain(3)
    gain.set(1, -math.inf, 2 * FRAME)
    gain.ramp.advance(ROW)
    block = np.ones((3, FRAME), np.float32)
    gain.process(block, ROW)
    assert block[1, 0] == pytest.approx(0.5, abs=1e-3)
    assert block[1, -1] == 0

"""Fades against a float64 reference."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.mixer.block import FRAME
from relay.mixer.fade import Fade

TOLERANCE = 1e-6
ROWS = np.arange(2, dtype=np.int64)


def run(fade: Fade, blocks: int) -> np.ndarray:
    out = []
    for _ in range(blocks):
        block = np.ones((2, FRAME), np.float32)
        fade.process(block, ROWS)
        out.append(block)
    return np.concatenate(out, axis=1).astype(np.float64)


@given(st.floats(-60, 0), st.integers(1, 5 * FRAME))
@settings(deadline=None)
def test_a_fade_goes_along_a_sine_to_its_target(db: float, samples: int) -> None:
    fade = Fade(2)
    fade.set(0, db, samples)
    curve = run(fade, 6)
    end = math.asin(10 ** (db / 20)) * 2 / math.pi
    place = 1 + (end - 1) * np.minimum(np.arange(1, 6 * FRAME + 1) / samples, 1)
    assert np.abs(curve[0] - np.sin(place * np.pi / 2)).max() <= TOLERANCE
    assert (curve[1] == 1).all()


@given(st.integers(1, 5 * FRAME))
@settings(deadline=None)
def test_a_cross_fade_keeps_the_power(samples: int) -> None:
    fade = Fade(2)
    fade.set(1, -math.inf, 0)
    fade.cross(0, 1, samples)
    curve = run(fade, 6)
    assert np.abs((curve**2).sum(axis=0) - 1).max() <= 2 * TOLERANCE
    assert curve[0, -1] == 0
    assert curve[1, -1] == 1


def test_a_fade_that_is_turned_around_starts_from_where_it_is() -> None:
    fade = Fade(2)
    fade.set(0, -math.inf, 2 * FRAME)
    before = run(fade, 1)[0]
    fade.set(0, 0.0, FRAME)
    after = run(fade, 1)[0]
    assert abs(after[0] - before[-1]) < 0.002
    assert after[-1] == 1


def test_time_passes_for_rows_in_which_nothing_sounds() -> None:
    fade = Fade(2)
    fade.set(0, -math.inf, 2 * FRAME)
    fade.ramp.advance(ROWS)
    assert run(fade, 1)[0, 0] == pytest.approx(math.sin(math.pi / 4), abs=1e-3)

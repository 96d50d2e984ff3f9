"""Levels against numpy in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.mixer.block import FRAME, SILENCE_DBFS
from relay.mixer.meter import Meter

ROWS = np.array([1], np.int64)


@given(st.floats(1e-6, 4), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_peak_and_power_of_a_block(size: float, seed: int) -> None:
    block = (np.random.default_rng(seed).uniform(-1, 1, (2, FRAME)) * size).astype(np.float32)
    meter = Meter(2)
    meter.process(block, ROWS)
    exact = block[1].astype(np.float64)
    assert meter.peak[1] == np.abs(block[1]).max()
    assert meter.power[1] == pytest.approx((exact**2).mean(), rel=1e-5)
    assert meter.block_dbfs(1) == pytest.approx(10 * np.log10((exact**2).mean()), abs=1e-3)
    assert meter.peak[0] == 0


def test_a_sine_of_full_scale() -> None:
    meter = Meter(2)
    sine = np.sin(2 * np.pi * 1000 * np.arange(FRAME) / 48_000).astype(np.float32)
    for _ in range(100):
        meter.process(np.stack([sine, sine]), ROWS)
    level = meter.level(1)
    assert level.peak_dbfs == pytest.approx(0, abs=0.01)
    assert level.rms_dbfs == pytest.approx(-3.01, abs=0.01)


def test_a_short_peak_is_seen_for_a_while_and_falls() -> None:
    meter = Meter(2)
    block = np.zeros((2, FRAME), np.float32)
    block[1, 17] = -0.5
    meter.process(block, ROWS)
    block[:] = 0
    for _ in range(5):
        meter.process(block, ROWS)
    assert meter.level(1).peak_dbfs == pytest.approx(-6.02 - 2, abs=0.01)
    assert meter.peak[1] == 0


def test_two_rows_show_the_higher_peak_and_the_mean_power() -> None:
    meter = Meter(2)
    block = np.stack([np.full(FRAME, 0.5, np.float32), np.zeros(FRAME, np.float32)])
    for _ in range(100):
        meter.process(block, np.arange(2, dtype=np.int64))
    assert meter.level(0, 2).peak_dbfs == pytest.approx(-6.02, abs=0.01)
    assert meter.level(0, 2).rms_dbfs == pytest.approx(-9.03, abs=0.01)
    assert meter.block_dbfs(0, 2) == pytest.approx(-9.03, abs=0.01)


def test_silence_is_a_finite_number() -> None:
    meter = Meter(2)
    assert meter.level(0, 2).peak_dbfs == meter.level(0, 2).rms_dbfs == meter.block_dbfs(1) == SILENCE_DBFS

"""Ducking against a float64 reference that knows dB and time only."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from loacodecs.errors import ConfigurationError
from relay.mixer.block import FRAME
from relay.mixer.ducking import Ducking, DuckSettings

TOLERANCE = 1e-6
RULE = np.array([0], np.int64)
ROWS = np.arange(3, dtype=np.int64)
KEY = 1
SETTINGS = st.builds(
    DuckSettings,
    depth_db=st.floats(-60, 0),
    threshold_dbfs=st.just(-40.0),
    attack_s=st.sampled_from([0.0, 0.003, 0.05]),
    hold_s=st.sampled_from([0.0, 0.004, 0.03]),
    release_s=st.sampled_from([0.0, 0.01, 0.2]),
)


def reference(peaks: NDArray[np.float64], chosen: DuckSettings) -> NDArray[np.float64]:
    """Gain of each sample for the key's magnitude at that sample."""
    threshold = 10 ** (chosen.threshold_dbfs / 20)
    down = chosen.depth_db / (chosen.attack_s * 48_000) if chosen.attack_s else chosen.depth_db
    up = -chosen.depth_db / (chosen.release_s * 48_000) if chosen.release_s else -chosen.depth_db
    gain_db, left = 0.0, 0
    curve = []
    for peak in peaks:
        ducked = peak > threshold or left > 0
        left = round(chosen.hold_s * 48_000) if peak > threshold else max(left - 1, 0)
        gain_db = max(gain_db + down, chosen.depth_db) if ducked else min(gain_db + up, 0.0)
        curve.append(10 ** (gain_db / 20))
    return np.array(curve)


def run(ducking: Ducking, signal: NDArray[np.float32]) -> NDArray[np.float64]:
    out = []
    for start in range(0, len(signal), FRAME):
        block = np.ones((3, FRAME), np.float32)
        block[KEY] = signal[start : start + FRAME]
        ducking.process(block, ROWS, RULE)
        out.append(np.ones(FRAME) if ducking.even[0] else ducking.curves[0].astype(np.float64))
    return np.concatenate(out)


@given(SETTINGS, st.lists(st.tuples(st.integers(0, 1500), st.booleans()), min_size=1, max_size=6))
@settings(deadline=None, max_examples=40)
def test_every_sample_has_its_gain(chosen: DuckSettings, parts: list[tuple[int, bool]]) -> None:
    signal = np.zeros(8 * FRAME, np.float32)
    at = 0
    for length, loud in parts:
        signal[at : at + length] = 0.3 if loud else 0.005
        at += length
    signal[1::2] *= -1
    ducking = Ducking(1, 3)
    ducking.set(0, chosen)
    ducking.key(0, KEY, True)
    expected = reference(np.abs(signal).astype(np.float64), chosen)
    assert np.abs(run(ducking, signal) - expected).max() <= TOLERANCE


def test_the_programme_goes_down_with_the_first_sample_and_is_down_after_the_attack() -> None:
    ducking = Ducking(1, 3)
    ducking.set(0, DuckSettings(depth_db=-15, attack_s=0.05, hold_s=0.5, release_s=0.8))
    ducking.key(0, KEY, True)
    signal = np.zeros(100 * FRAME, np.float32)
    signal[1000:20_000] = 0.5
    curve = 20 * np.log10(run(ducking, signal))
    assert curve[999] == 0
    assert curve[1000] < 0
    assert curve[1000 + 1200 - 1] == pytest.approx(-7.5, abs=0.01)
    assert curve[1000 + 2400] == pytest.approx(-15, abs=1e-4)
    assert curve[19_999 + 24_000] == pytest.approx(-15, abs=1e-4)
    assert curve[19_999 + 24_000 + 19_200] == pytest.approx(-7.5, abs=0.01)
    assert curve[19_999 + 24_000 + 38_401] == 0


def test_only_keys_count_and_only_when_they_sound() -> None:
    ducking = Ducking(1, 3)
    ducking.key(0, KEY, True)
    block = np.zeros((3, FRAME), np.float32)
    block[0] = block[2] = 1
    ducking.process(block, ROWS, RULE)
    assert ducking.even[0]
    block[KEY] = 1
    ducking.process(block, np.array([0, 2], np.int64), RULE)
    assert ducking.even[0]
    ducking.process(block, ROWS, RULE)
    assert not ducking.even[0]


def test_held_down_by_hand_and_let_go() -> None:
    ducking = Ducking(1, 3)
    ducking.set(0, DuckSettings(depth_db=-20, attack_s=0.01, hold_s=0, release_s=0.01))
    ducking.hold(0, True)
    silence = np.zeros(2 * FRAME, np.float32)
    assert run(ducking, silence)[-1] == pytest.approx(0.1, abs=1e-6)
    ducking.hold(0, False)
    assert run(ducking, silence)[-1] == 1
    assert ducking.even[0]


def test_another_depth_is_approached_and_not_jumped_to() -> None:
    ducking = Ducking(1, 3)
    ducking.key(0, KEY, True)
    ducking.set(0, DuckSettings(depth_db=-30, attack_s=0.0))
    loud = np.full(FRAME, 0.5, np.float32)
    assert run(ducking, loud)[-1] == pytest.approx(10 ** (-30 / 20), abs=1e-6)
    ducking.set(0, DuckSettings(depth_db=-6, release_s=0.1))
    steps = np.abs(np.diff(20 * np.log10(run(ducking, np.tile(loud, 30)))))
    assert steps.max() < 0.01


@pytest.mark.parametrize(
    "wrong", [{"depth_db": 3.0}, {"depth_db": math.nan}, {"attack_s": -1.0}, {"hold_s": math.inf}]
)
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError):
        DuckSettings(**wrong)

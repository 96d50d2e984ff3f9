"""Everything in a row, and nothing late for it."""

from __future__ import annotations

import numpy as np
import pytest

from loaedge.outputs.chain import Chain
from loaedge.outputs.chime import Chime
from loaedge.outputs.output import Pcm
from loaedge.outputs.volume import Volume


def ramp(frames: int, heard_at: float) -> Pcm:
    """Tells its own time, seconds since 100; 0.1 of full scale each."""
    return ((heard_at - 100 + np.arange(frames) / 48000) / 10).astype(np.float32).reshape(-1, 1)


def test_the_limiters_delay_is_made_good() -> None:
    chain = Chain(ramp, Volume())
    chain.render(960, 101.0)
    heard = chain.render(960, 101.02)
    assert heard[:, 0] * 10 == pytest.approx(1.02 + np.arange(960) / 48000, abs=1e-4)


def test_the_chime_is_in_time_too() -> None:
    chime = Chime()
    chain = Chain(lambda frames, heard_at: np.zeros((frames, 1), np.float32), Volume(), chime=chime)
    chime.start(100.5)
    heard = np.concatenate([chain.render(960, 100 + n * 0.02) for n in range(50)])[:, 0]
    begin = np.flatnonzero(heard)[0]
    assert begin == pytest.approx(24_000, abs=2)


def test_loudness_is_limited_after_the_volume() -> None:
    chain = Chain(lambda frames, heard_at: np.full((frames, 1), 0.5, np.float32), Volume(12))
    heard = np.concatenate([chain.render(960, n * 0.02) for n in range(10)])
    assert np.abs(heard).max() == pytest.approx(10 ** (-1 / 20), abs=0.01)


def test_the_level_is_that_of_the_loudspeaker() -> None:
    chain = Chain(lambda frames, heard_at: np.full((frames, 1), 0.5, np.float32), Volume(-20))
    chain.render(960, 0.0)
    chain.take_level()
    for n in range(10):
        chain.render(960, n * 0.02)
    level = chain.take_level()
    assert level.rms == pytest.approx(-26.02, abs=0.01)
    assert level.samples == 9600
    assert chain.take_level().samples == 0

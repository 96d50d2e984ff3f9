"""Volume changes without clicks and arrives where it should."""

from __future__ import annotations

import numpy as np
import pytest

from loaedge.outputs.volume import LOUDEST_DB, Volume

ONES = np.ones((960, 2), np.float32)


def gains(volume: Volume, blocks: int, size: int = 960) -> np.ndarray:
    return np.concatenate([volume.process(np.ones((size, 1), np.float32)) for _ in range(blocks)])[:, 0]


def test_at_its_volume_the_gain_is_exact() -> None:
    assert np.array_equal(Volume().process(ONES), ONES)
    assert Volume(-6.0206).process(ONES) == pytest.approx(0.5, abs=1e-5)
    assert not Volume(-96).process(ONES).any()
    assert not Volume(0, muted=True).process(ONES).any()


@pytest.mark.parametrize("size", [1, 480, 960, 7000])
def test_a_change_is_soft_and_takes_its_time_whatever_the_blocks(size: int) -> None:
    volume = Volume(ramp_s=0.05)
    volume.db = -20
    heard = gains(volume, 4800 // size + 1, size)[:4800]
    assert heard[0] == pytest.approx(1, abs=1e-3)
    assert heard[2399:] == pytest.approx(0.1, abs=1e-6)
    assert (np.diff(heard) <= 1e-7).all()
    # Half a cosine over 2,400 samples is nowhere steeper than this.
    assert np.abs(np.diff(heard)).max() < 0.9 * np.pi / 2 / 2400 * 1.01


def test_a_change_amid_a_ramp_begins_where_it_is() -> None:
    volume = Volume()
    volume.muted = True
    first = gains(volume, 2)
    volume.muted = False
    second = gains(volume, 8)
    assert 0 < first[-1] < 1
    assert second[0] == pytest.approx(first[-1], abs=1e-3)
    assert second[-1] == 1


def test_mute_keeps_the_volume() -> None:
    volume = Volume(-20, muted=True)
    assert gains(volume, 10)[-1] == 0
    volume.muted = False
    assert gains(volume, 10)[-1] == pytest.approx(0.1)


def test_values_are_bounded_and_not_a_number_is_refused() -> None:
    volume = Volume(1000)
    assert volume.db == LOUDEST_DB
    with pytest.raises(ValueError, match="number of decibels"):
        volume.db = float("nan")
    with pytest.raises(ValueError, match="number of decibels"):
        Volume(float("nan"))


def test_the_input_is_left_as_it_is() -> None:
    before = ONES.copy()
    volume = Volume(-3)
    volume.db = -30
    volume.process(ONES)
    assert np.array_equal(ONES, before)

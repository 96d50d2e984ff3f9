"""No sample above the ceiling, whatever comes; nothing changed below it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from loaedge.outputs.limiter import LOOK_AHEAD, Limiter
from tests.support.tones import tone

CEILING = np.float32(10 ** (-1 / 20))


def limited(sound: np.ndarray, size: int = 960) -> np.ndarray:
    """The limiter's output without its delay."""
    channels = sound.shape[1]
    limiter = Limiter(channels=channels)
    padded = np.concatenate((sound, np.zeros((LOOK_AHEAD + size, channels), np.float32)))
    blocks = [limiter.process(padded[at : at + size]) for at in range(0, len(padded) - size + 1, size)]
    return np.concatenate(blocks)[LOOK_AHEAD:][: len(sound)]


def test_below_the_ceiling_every_bit_stays() -> None:
    sound = tone(440, 1.0, amplitude=0.89).reshape(-1, 1)
    assert np.array_equal(limited(sound), sound[: len(limited(sound))])


@given(
    arrays(
        np.float32,
        st.tuples(st.integers(1, 3000), st.just(1)),
        elements=st.floats(-4, 4, width=32),
    ),
    st.sampled_from([1, 100, 960, 1920]),
)
@settings(max_examples=60, deadline=None)
def test_no_sample_exceeds_the_ceiling(sound: np.ndarray, size: int) -> None:
    assert np.abs(limited(sound, size)).max(initial=0) <= CEILING


def test_loud_bursts_amid_noise_in_stereo() -> None:
    random = np.random.default_rng(9)
    sound = random.standard_normal((48_000, 2)).astype(np.float32)
    sound[random.integers(0, 48_000, 40)] *= 9
    assert np.abs(limited(sound)).max() <= CEILING


def test_a_peak_is_turned_down_and_not_cut_off() -> None:
    sound = np.full((48_000, 1), 0.3, np.float32)
    sound[24_000] = 3.0
    heard = limited(sound)
    assert heard[24_000, 0] == pytest.approx(CEILING, abs=0.02)
    # 10.5 dB over the look-ahead, evenly in decibels: at first 0.0047 of the gain a sample.
    gain = heard / sound[: len(heard)]
    assert gain[24_000] == pytest.approx(gain[23_999], rel=1e-3), (
        "turned down like its neighbours, not clipped"
    )
    assert np.abs(np.diff(gain[:, 0])).max() < 0.005
    assert np.array_equal(heard[:23_000], sound[:23_000])
    assert np.array_equal(heard[40_000:46_000], sound[40_000:46_000])


def test_a_loud_tone_keeps_its_shape() -> None:
    heard = limited(tone(440, 1.0, amplitude=2.0).reshape(-1, 1))[24_000:, 0].astype(np.float64)
    spectrum = np.abs(np.fft.rfft(heard[:21_600] * np.hanning(21_600)))
    spectrum[195:202] = 0
    assert spectrum.max() < 0.01 * 21_600 / 4


def test_what_is_no_number_is_silence_and_is_forgotten() -> None:
    sound = tone(440, 1.0).reshape(-1, 1)
    broken = sound.copy()
    broken[10_000:10_003, 0] = (np.nan, np.inf, -np.inf)
    heard = limited(broken)
    assert np.array_equal(heard[:10_000], sound[:10_000])
    assert not heard[10_000:10_003].any()
    assert np.array_equal(heard[10_003:46_000], sound[10_003:46_000])


def test_an_absurd_value_does_not_silence_what_follows() -> None:
    sound = tone(440, 2.0).reshape(-1, 1)
    broken = sound.copy()
    broken[10_000] = 1e30
    heard = limited(broken)
    assert np.abs(heard).max() <= CEILING
    assert np.array_equal(heard[60_000:90_000], sound[60_000:90_000])


def test_the_reduction_is_told() -> None:
    limiter = Limiter()
    limiter.process(np.full((960, 1), 2.0, np.float32))
    limiter.process(np.full((960, 1), 2.0, np.float32))
    assert limiter.reduction_db == pytest.approx(7.02, abs=0.1)
    for _ in range(20):
        limiter.process(np.zeros((960, 1), np.float32))
    assert limiter.reduction_db == 0


def test_channels_may_change() -> None:
    limiter = Limiter()
    limiter.process(np.full((960, 1), 0.5, np.float32))
    stereo = limiter.process(np.full((960, 2), 0.25, np.float32))
    assert stereo[:LOOK_AHEAD] == pytest.approx(0.5)
    assert stereo[LOOK_AHEAD:] == pytest.approx(0.25)


def test_a_ceiling_must_be_one() -> None:
    with pytest.raises(ValueError, match="out of range"):
        Limiter(1.0)
    with pytest.raises(ValueError, match="out of range"):
        Limiter(float("nan"))

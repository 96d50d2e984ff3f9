"""Skew as it was made."""

from __future__ import annotations

import numpy as np
import pytest

from bench.edge.skew import delay_samples, skew_of


def delayed(signal: np.ndarray, samples: float) -> np.ndarray:
    """The signal later by a fraction of samples, by its spectrum."""
    spectrum = np.fft.rfft(signal)
    turn = np.exp(-2j * np.pi * np.fft.rfftfreq(signal.size) * samples)
    return np.fft.irfft(spectrum * turn, signal.size)


NOISE = np.random.default_rng(3).standard_normal(96_000) * 0.1


@pytest.mark.parametrize("late", [0, 17, -240, 4000, 0.5, -3.25])
def test_a_delay_is_found_to_a_fiftieth_of_a_sample(late: float) -> None:
    skew = skew_of(NOISE, delayed(NOISE, late))
    assert skew.ms.size == 4
    assert np.abs(skew.ms * 48 - late).max() < 0.02


def test_noise_of_their_own_does_not_move_the_peak() -> None:
    own = np.random.default_rng(4).standard_normal((2, NOISE.size)) * 0.03
    skew = skew_of(NOISE + own[0], delayed(NOISE, 24) + own[1])
    assert np.abs(skew.ms - 0.5).max() < 0.01


def test_different_programmes_are_unclear() -> None:
    other = np.random.default_rng(5).standard_normal(NOISE.size) * 0.1
    skew = skew_of(NOISE, other)
    assert skew.ms.size == 0
    assert skew.unclear == 4
    assert delay_samples(NOISE[:24000], other[:24000], 4800) is None


def test_silence_is_not_measured() -> None:
    silent = NOISE.copy()
    silent[24_000:48_000] = 0
    skew = skew_of(NOISE, silent)
    assert skew.ms.size == 3
    assert skew.unclear == 0


def test_the_summary_is_of_the_size_of_the_skew() -> None:
    early, late = delayed(NOISE, -48), delayed(NOISE, 96)
    skew = skew_of(np.concatenate((NOISE, NOISE)), np.concatenate((early, late)))
    summary = skew.summary()
    assert summary["max"] == pytest.approx(2, abs=0.01)
    assert summary["mean"] == pytest.approx(0.5, abs=0.02)
    assert skew.summary(settle_s=2.0)["p50"] == pytest.approx(2, abs=0.01)
    assert skew.summary(settle_s=60) == {"windows": 0}

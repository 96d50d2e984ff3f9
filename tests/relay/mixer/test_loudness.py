"""The signals of EBU Tech 3341 and 3342 that can be made by rule, and independent float64 sums."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from relay.mixer.block import SAMPLE_RATE
from relay.mixer.k_weighting import K_WEIGHTING, SILENCE_LUFS
from relay.mixer.loudness import LoudnessMeter
from tests.relay.mixer.signals import metered, speech, tone

LOUD = pytest.approx(-23.0, abs=0.1)


def test_steady_tones():
    """Cases 1 and 2: momentary, short-term and integrated agree."""
    for level in (-23.0, -33.0):
        meter = metered(tone((20, level)))
        for value in (meter.momentary(0), meter.short_term(0), meter.integrated(0)):
            assert value == pytest.approx(level, abs=0.1)
        assert meter.loudness_range(0) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize(
    "parts",
    [
        ((10, -36), (60, -23), (10, -36)),
        ((10, -72), (10, -36), (60, -23), (10, -36), (10, -72)),
        ((20, -26), (20.1, -20), (20, -26)),
    ],
)
def test_gates(parts):
    """Cases 3 to 5: what is 10 LU below the rest, or below -70 LUFS, does not count; what is 6 LU below does."""
    assert metered(tone(*parts)).integrated(0) == LOUD


def test_absolute_gate():
    assert metered(tone((3, -69.5))).integrated(0) == pytest.approx(-69.5, abs=0.1)
    assert metered(tone((3, -70.5))).integrated(0) == SILENCE_LUFS


def test_channels_add_up():
    """Case 6 as far as two channels go: its left and right alone, and a mono bus counts once."""
    assert metered(tone((5, -28))).integrated(0) == pytest.approx(-28, abs=0.1)
    one_side = tone((5, -28)) * np.array([[1.0], [0.0]])
    assert metered(one_side).integrated(0) == pytest.approx(-31, abs=0.1)
    assert metered(tone((5, -28), channels=1)).integrated(0) == pytest.approx(-31, abs=0.1)


def test_short_term_is_constant():
    """Case 9."""
    seen = []
    metered(tone(*((1.34, -20), (1.66, -30)) * 5), lambda meter: seen.append(meter.short_term(0)))
    assert min(seen[150:]) == LOUD
    assert max(seen[150:]) == LOUD


def test_highest_short_term():
    """Cases 10 and 11: wherever the tone begins, its 3 s are found whole."""
    for at in range(20):
        alone = metered(tone((0.15 * at, None), (3, -23), (1, None)))
        assert alone.short_term_max(0) == LOUD
    seen: list[float] = []
    parts = [((0.15 * at, None), (3, -38 + at), (3 - 0.15 * at, None)) for at in range(20)]
    metered(tone(*(p for part in parts for p in part)), lambda meter: seen.append(meter.short_term(0)))
    for at in range(20):
        assert max(seen[300 * at : 300 * at + 300]) == pytest.approx(-38 + at, abs=0.1)


def test_momentary_is_constant():
    """Case 12."""
    seen = []
    metered(tone(*((0.18, -20), (0.22, -30)) * 25), lambda meter: seen.append(meter.momentary(0)))
    assert min(seen[50:]) == LOUD
    assert max(seen[50:]) == LOUD


def test_highest_momentary():
    """Cases 13 and 14."""
    for at in range(20):
        alone = metered(tone((0.02 * at, None), (0.4, -23), (1, None)))
        assert alone.momentary_max(0) == LOUD
    seen: list[float] = []
    parts = [((0.02 * at, None), (0.4, -38 + at), (0.4 - 0.02 * at, None)) for at in range(20)]
    metered(tone(*(p for part in parts for p in part)), lambda meter: seen.append(meter.momentary(0)))
    for at in range(20):
        assert max(seen[40 * at : 40 * at + 40]) == pytest.approx(-38 + at, abs=0.1)


def faded(sound):
    """Without the clicks at the ends, which would have peaks of their own."""
    return sound * np.minimum(1, np.minimum(np.arange(len(sound)), np.arange(len(sound))[::-1]) / 960)


@pytest.mark.parametrize(
    ("period", "amplitude", "degrees", "dbtp"),
    [(4, 0.5, 0, -6), (4, 0.5, 45, -6), (6, 0.5, 60, -6), (8, 0.5, 67.5, -6), (4, 1.41, 45, 3)],
)
def test_true_peak_of_sines(period, amplitude, degrees, dbtp):
    """Cases 15 to 19."""
    phase = 2 * np.pi * np.arange(9600) / period + np.radians(degrees)
    peak = metered(np.tile(faded(amplitude * np.sin(phase)), (2, 1))).true_peak(0)
    assert dbtp - 0.4 <= peak <= dbtp + 0.2


@pytest.mark.parametrize("offset", range(4))
def test_true_peak_between_samples(offset):
    """Cases 20 to 23: one period of fs/4 among fs/6 at half its height, of which every fourth sample is taken."""
    fine = 0.5 * np.sin(2 * np.pi * np.arange(4 * 9600) / 24)
    fine = faded(fine)
    fine[24 * 800 : 24 * 800 + 16] = np.sin(2 * np.pi * np.arange(16) / 16)
    peak = metered(np.tile(fine[offset::4], (2, 1))).true_peak(0)
    assert -0.4 <= peak <= 0.2


@pytest.mark.parametrize(
    ("levels", "lu"),
    [((-20, -30), 10), ((-20, -15), 5), ((-40, -20), 20), ((-50, -35, -20, -35, -50), 15)],
)
def test_loudness_range(levels, lu):
    """Tech 3342 cases 1 to 4."""
    meter = metered(tone(*((20, level) for level in levels)))
    assert meter.loudness_range(0) == pytest.approx(lu, abs=0.1)


def oracle(sound):
    """Integrated loudness and its range by the letter, in float64."""
    weighted = signal.sosfilt(np.array(K_WEIGHTING), sound, axis=1)
    sums = np.cumsum(np.pad((weighted**2).sum(axis=0), (1, 0)))

    def windows(seconds):
        length = round(seconds * SAMPLE_RATE)
        starts = np.arange(0, sound.shape[1] - length + 1, SAMPLE_RATE // 10)
        return (sums[starts + length] - sums[starts]) / length

    def gated(powers, relative):
        powers = powers[-0.691 + 10 * np.log10(powers + 1e-30) > -70]
        return powers[powers > powers.mean() * 10 ** (relative / 10)]

    integrated = -0.691 + 10 * np.log10(gated(windows(0.4), -10).mean())
    short = np.sort(10 * np.log10(gated(windows(3), -20)))
    low, high = (short[round((len(short) - 1) * part)] for part in (0.1, 0.95))
    return integrated, high - low


def test_programme_against_the_letter():
    sound = np.concatenate((0.3 * speech(30, 1), 0.05 * speech(20, 2), np.zeros((1, 96_000))), axis=1)
    for channels in (sound, np.concatenate((sound, 0.5 * sound[:, ::-1]))):
        integrated, spread = oracle(channels.astype(np.float32).astype(np.float64))
        meter = metered(channels)
        assert meter.integrated(0) == pytest.approx(integrated, abs=0.02)
        assert meter.loudness_range(0) == pytest.approx(spread, abs=0.15)


def test_many_sounds_do_not_touch_one_another():
    meter = LoudnessMeter(5)
    for first, channels in ((0, 1), (1, 2), (3, 2)):
        meter.reset(first, channels)
    sound = tone((5, -23), channels=5) * np.array([[1], [0.5], [0.5], [0.1], [0.1]])
    for start in range(0, sound.shape[1], 960):
        meter.process(sound[:, start : start + 960].astype(np.float32), np.array([0, 1, 3]))
    levels = [meter.integrated(first) for first in (0, 1, 3)]
    assert levels == pytest.approx([-26, -29, -43], abs=0.1)
    meter.reset(1, 2)
    assert meter.integrated(1) == meter.true_peak(1) == SILENCE_LUFS
    assert meter.integrated(3) == pytest.approx(-43, abs=0.1)


def test_no_number_is_silence():
    bad = tone((2, -20), channels=1)
    bad[0, 5000] = np.nan
    bad[0, 9000] = np.inf
    meter = metered(np.concatenate((bad, tone((3, -20), channels=1)), axis=1))
    assert meter.short_term(0) == pytest.approx(-23, abs=0.1)
    assert np.isfinite([meter.integrated(0), meter.true_peak(0), meter.loudness_range(0)]).all()
    assert metered(np.zeros((1, 9600))).momentary(0) == SILENCE_LUFS

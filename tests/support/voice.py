"""A voice made of nothing but numbers: the same wherever tests run, with the peaks of a real one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import signal

RATE = 48_000
_VOWELS = ((700, 1220, 2600), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410))
"""Formants in Hz of five vowels."""


def voice(seconds: float, seed: int = 1) -> NDArray[np.float64]:
    """Words of vowels on gliding tones, as Vietnamese has them, between hisses; (samples,), its peak is 1."""
    dice = np.random.default_rng(seed)
    pieces: list[NDArray[np.float64]] = []
    while sum(map(len, pieces)) < seconds * RATE:
        for _ in range(dice.integers(2, 6)):
            pieces += [_hiss(dice), _vowel(dice)]
        pieces.append(np.zeros(int(dice.uniform(0.1, 0.3) * RATE)))
    sound = np.concatenate(pieces)[: int(seconds * RATE)]
    return sound / np.abs(sound).max()


def _vowel(dice: np.random.Generator) -> NDArray[np.float64]:
    count = int(dice.uniform(0.12, 0.3) * RATE)
    hertz = dice.uniform(100, 230) * np.geomspace(1, dice.uniform(0.75, 1.4), count)
    turns = np.cumsum(hertz) / RATE
    pulses = np.diff(np.floor(turns), prepend=0.0)
    sound = signal.lfilter([1], [1, -0.97], pulses) + 0.003 * dice.standard_normal(count)
    for formant, wide in zip(_VOWELS[dice.integers(len(_VOWELS))], (70, 100, 150), strict=True):
        radius = np.exp(-np.pi * wide / RATE)
        sound = signal.lfilter([1], [1, -2 * radius * np.cos(2 * np.pi * formant / RATE), radius**2], sound)
    sound = np.diff(sound, prepend=0.0)
    return np.asarray(sound / np.abs(sound).max() * np.hanning(count) ** 0.25 * dice.uniform(0.6, 1))


def _hiss(dice: np.random.Generator) -> NDArray[np.float64]:
    count = int(dice.uniform(0.04, 0.1) * RATE)
    band = signal.butter(2, (3000, 9000), "bandpass", fs=RATE, output="sos")
    sound = signal.sosfilt(band, dice.standard_normal(count)) * np.hanning(count)
    return np.asarray(sound * dice.uniform(0.1, 0.35) / np.abs(sound).max())

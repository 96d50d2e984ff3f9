"""Sounds for the tests of what makes them as loud as they should be."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from relay.mixer.block import FRAME, SAMPLE_RATE, Block, Rows
from relay.mixer.loudness import LoudnessMeter

Sound = NDArray[np.float64]


class Processes(Protocol):
    def process(self, block: Block, firsts: Rows) -> None: ...


def run(operator: Processes, sound: Sound, each=lambda: None, rows=(0,)) -> Sound:
    """(channels, samples) through an operator that works on `rows`, block by block; whole blocks only."""
    out = []
    for start in range(0, sound.shape[1] // FRAME * FRAME, FRAME):
        block = sound[:, start : start + FRAME].astype(np.float32)
        operator.process(block, np.array(rows))
        out.append(block)
        each()
    return np.concatenate(out, axis=1).astype(np.float64)


def tone(*parts: tuple[float, float | None], hz: float = 1000.0, channels: int = 2) -> Sound:
    """A sine of (seconds, peak dBFS | None for silence), one after another, filled up to whole blocks."""
    level = np.concatenate(
        [np.full(round(s * SAMPLE_RATE), 0.0 if db is None else 10 ** (db / 20)) for s, db in parts]
    )
    level = np.pad(level, (0, -len(level) % FRAME))
    sine = np.sin(2 * np.pi * hz * np.arange(len(level)) / SAMPLE_RATE)
    return np.tile(level * sine, (channels, 1))


def speech(seconds: float, seed: int) -> Sound:
    """Noise with the spectrum, the syllables, the words and the pauses of speech, mono."""
    rng = np.random.default_rng(seed)
    count = int(seconds * SAMPLE_RATE)
    shape = signal.butter(2, (150, 3500), "bandpass", fs=SAMPLE_RATE, output="sos")
    tilt = signal.butter(1, 500, "lowpass", fs=SAMPLE_RATE, output="sos")
    carrier = signal.sosfilt(tilt, signal.sosfilt(shape, rng.standard_normal(count)))
    envelope = np.zeros(count + SAMPLE_RATE)
    at = 0
    while at < count:
        for _ in range(rng.integers(3, 14)):
            length = int(rng.uniform(0.08, 0.3) * SAMPLE_RATE)
            if at < count:
                envelope[at : at + length] = 10 ** (rng.normal(0, 4) / 20) * np.hanning(length) ** 0.5
            at += length
        at += int(rng.uniform(0.15, 0.9) * SAMPLE_RATE)
    return (carrier * envelope[:count])[np.newaxis]


def metered(sound: Sound, each=lambda meter: None) -> LoudnessMeter:
    """The meter at the end of a sound."""
    meter = LoudnessMeter(2)
    meter.reset(0, len(sound))
    run(meter, sound, lambda: each(meter))
    return meter


def at_loudness(sound: Sound, lufs: float) -> Sound:
    """The same sound as loud as that."""
    return sound * 10 ** ((lufs - metered(sound).integrated(0)) / 20)

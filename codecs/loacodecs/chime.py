"""The two notes that say: listen, something comes. Relay and receiver play the same.

PCM is float32, full scale ±1, 48 kHz.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .libopus import SAMPLE_RATE

FREQUENCIES: Final = (659.26, 523.25)
"""High note, low note, in Hz."""
PEAK_DBFS: Final = -9.0
NOTE_S: Final = 0.55
"""How long each note is heard alone."""

_PARTIALS: Final = ((1.0, 1.0), (2.0, 0.35), (3.0, 0.12))
"""(multiple of the frequency, amplitude): a struck bar rather than a test tone."""
_ATTACK_S: Final = 0.012
_FADE_S: Final = 0.06
_DECAY_S: Final = 0.45


def two_notes(
    frequencies: tuple[float, float] = FREQUENCIES, peak_dbfs: float = PEAK_DBFS, note_s: float = NOTE_S
) -> NDArray[np.float32]:
    """Ding-dong: (samples,). The second note begins while the first dies away; both begin and end softly."""
    step = round(note_s * SAMPLE_RATE)
    sound = np.zeros(3 * step)
    for number, frequency in enumerate(frequencies):
        sound[number * step : (number + 2) * step] += _note(frequency, 2 * step)
    sound *= 10 ** (peak_dbfs / 20) / np.abs(sound).max()
    return sound.astype(np.float32)


def rise(samples: int, seconds: float) -> NDArray[np.float64]:
    """From 0 to 1 along half a cosine of that length, then 1: (samples,)."""
    place = np.minimum(np.arange(samples) / (seconds * SAMPLE_RATE), 1.0)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * place))


def _note(frequency: float, samples: int) -> NDArray[np.float64]:
    times = np.arange(samples) / SAMPLE_RATE
    tone = sum(part * np.sin(2 * math.pi * multiple * frequency * times) for multiple, part in _PARTIALS)
    softly = rise(samples, _ATTACK_S) * rise(samples, _FADE_S)[::-1]
    return np.asarray(tone * np.exp(-times / _DECAY_S) * softly)

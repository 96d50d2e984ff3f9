"""How far apart two recordings of the same programme are, over time.

Generalised cross-correlation with phase transform (Knapp and Carter, 1976): every frequency counts the same, so the
peak is narrow whatever the programme's spectrum is; a parabola through its top gives fractions of a sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

WINDOW_S: Final = 0.5
MOST_S: Final = 0.1
"""Skew beyond this is not looked for."""
CLEAR: Final = 8.0
"""How many times the correlation's peak must stand above its own RMS to be believed."""
SILENCE_RMS: Final = 1e-4
_FINER: Final = 4
"""The correlation is drawn so many times finer than the samples: a parabola does not fit a peak of three points."""


@dataclass(frozen=True, slots=True)
class Skew:
    """Skew by window, milliseconds; positive when the second is later. `unclear` windows had no peak to speak of."""

    ms: NDArray[np.float64]
    unclear: int

    def summary(self, settle_s: float = 0.0) -> dict[str, float]:
        """Absolute skew after `settle_s`: p50, p95 and max, milliseconds; and the mean with its sign."""
        values = self.ms[round(settle_s / WINDOW_S) :]
        if not values.size:
            return {"windows": 0}
        apart = np.abs(values)
        p50, p95 = np.percentile(apart, (50, 95))
        return {
            "windows": int(values.size),
            "p50": round(float(p50), 3),
            "p95": round(float(p95), 3),
            "max": round(float(apart.max()), 3),
            "mean": round(float(values.mean()), 3),
        }


def skew_of(first: NDArray[np.floating], second: NDArray[np.floating], rate: int = 48000) -> Skew:
    """Compare mono recordings of one clock, equally long, window by window; windows silent in either are left out."""
    size = round(WINDOW_S * rate)
    found: list[float] = []
    unclear = 0
    for start in range(0, min(first.size, second.size) - size + 1, size):
        one, other = first[start : start + size], second[start : start + size]
        if min(_rms(one), _rms(other)) < SILENCE_RMS:
            continue
        delay = delay_samples(one, other, round(MOST_S * rate))
        if delay is None:
            unclear += 1
        else:
            found.append(1000 * delay / rate)
    return Skew(np.array(found), unclear)


def delay_samples(one: NDArray[np.floating], other: NDArray[np.floating], most: int) -> float | None:
    """By how many samples `other` is later than `one`, within ±`most`; None when there is no clear peak."""
    size = one.size + other.size
    cross = np.fft.rfft(other, size) * np.conj(np.fft.rfft(one, size))
    whole = np.fft.irfft(cross / np.maximum(np.abs(cross), 1e-12), size * _FINER)
    reach = most * _FINER
    near = np.concatenate((whole[-reach:], whole[: reach + 1]))
    peak = int(np.argmax(near))
    if near[peak] < CLEAR * _rms(whole):
        return None
    return (peak - reach + _vertex(near, peak)) / _FINER


def _vertex(values: NDArray[np.floating], peak: int) -> float:
    """Where the parabola through the peak and its neighbours has its top, relative to the peak."""
    if not 0 < peak < values.size - 1:
        return 0.0
    left, middle, right = (float(value) for value in values[peak - 1 : peak + 2])
    bend = left - 2 * middle + right
    return 0.5 * (left - right) / bend if bend else 0.0


def _rms(values: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))

"""Measure what a decoded signal really contains."""

from __future__ import annotations

import math
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def dominant_frequency(pcm: NDArray[np.floating], rate: int = 48000) -> float:
    """The strongest frequency of mono samples, Hz: the windowed spectrum's peak, refined by a parabola."""
    samples = np.asarray(pcm, np.float64).reshape(-1)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size)))
    spectrum[0] = 0.0
    peak = int(np.argmax(spectrum))
    offset = 0.0
    if 0 < peak < spectrum.size - 1:
        left, middle, right = np.log(spectrum[peak - 1 : peak + 2] + 1e-20)
        curvature = left - 2 * middle + right
        offset = 0.5 * (left - right) / curvature if curvature else 0.0
    return float((peak + offset) * rate / samples.size)


def level_dbfs(pcm: NDArray[np.floating]) -> float:
    """RMS level, dBFS (a full-scale sine is -3.0); -inf for digital silence."""
    samples = np.asarray(pcm, np.float64).reshape(-1)
    mean_square = float(np.mean(samples**2)) if samples.size else 0.0
    return 10 * math.log10(mean_square) if mean_square else -math.inf


def tone(
    frequency: float, seconds: float, *, amplitude: float = 0.25, rate: int = 48000
) -> NDArray[np.float32]:
    """A sine of `seconds`, mono float32."""
    times = np.arange(round(seconds * rate)) / rate
    return (amplitude * np.sin(2 * np.pi * frequency * times)).astype(np.float32)


def write_wav(path: Path, channels: list[NDArray[np.float32]], rate: int) -> Path:
    """Write 16-bit PCM, one array of samples per channel; gives the path."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.stack(channels, 1) * 32767).astype("<i2").tobytes())
    return path

"""From float PCM to the samples a device takes."""

from __future__ import annotations

from typing import Final

import numpy as np

from .output import DeviceSettings, Pcm

BYTES: Final = {"float32": 4, "s16": 2}
"""Octets of a sample by its format."""


def frame_bytes(settings: DeviceSettings) -> int:
    """Octets of a frame, all channels."""
    return BYTES[settings.sample_format] * settings.channels


def to_channels(pcm: Pcm, channels: int) -> Pcm:
    """Mono is put on every channel, several channels are averaged to mono; (frames, `channels`)."""
    have = pcm.shape[1]
    if have == channels:
        return pcm
    if channels == 1:
        return np.asarray(pcm.mean(axis=1, keepdims=True), np.float32)
    return np.repeat(pcm[:, :1], channels, axis=1) if have == 1 else pcm[:, :channels]


def encode(pcm: Pcm, frames: int, settings: DeviceSettings) -> bytes:
    """Interleaved samples in the machine's byte order; beyond full scale they are clipped, NaN is silence.

    Raises ValueError when `pcm` is not `frames` long: a shorter block would shift everything after it.
    """
    if pcm.ndim != 2 or pcm.shape[0] != frames:
        raise ValueError(f"{frames} frames were asked for, an array of shape {pcm.shape} came")
    shaped = to_channels(pcm, settings.channels)
    # Two quick looks find out whether anything must be mended: no comparison holds for NaN.
    if frames and not (shaped.min() >= -1.0 and shaped.max() <= 1.0):
        shaped = np.clip(np.nan_to_num(shaped, nan=0.0, posinf=0.0, neginf=0.0), -1.0, 1.0)
    if settings.sample_format == "s16":
        return np.rint(shaped * 32767).astype("=i2").tobytes()
    return shaped.astype("=f4", copy=False).tobytes()

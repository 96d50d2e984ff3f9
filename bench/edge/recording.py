"""What an edge receiver played into its WAV file, on the machine's monotonic clock."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.edge.programme import Mono
from bench.errors import BenchError
from loacodecs.opus import SAMPLE_RATE
from loaedge.wav import WavWriter

T = TypeVar("T", float, NDArray[np.float64])

_HEARD_AT: Final = re.compile(rb"heard_at=([0-9.]+)")


@dataclass(frozen=True, slots=True)
class Recording:
    """Mono sound; its first sample was heard at `began` (monotonic seconds), `rate` samples a second."""

    sound: Mono
    began: float
    rate: float

    def index(self, moment: T) -> T:
        """The place, with its fraction, of what was heard at a moment or at several."""
        return (moment - self.began) * self.rate

    @property
    def ended(self) -> float:
        """When the last sample was heard."""
        return self.began + len(self.sound) / self.rate


def write(path: Path, recording: Recording) -> None:
    """A file that `read` takes, of 48,000 samples a second by its header. Raises BenchError."""
    try:
        with path.open("wb") as file:
            wav = WavWriter(file, 1, comment=f"heard_at={recording.began:.6f}")
            wav.write(np.rint(np.clip(recording.sound, -1, 1) * 32767).astype("<i2").tobytes())
            wav.close()
    except OSError as error:
        raise BenchError(f"{path}: {error.strerror}") from error


def read(path: Path, ppm: float = 0.0) -> Recording:
    """The recording in a file that a `wav:` output has written with a clock `ppm` fast.

    The sizes in the header are not asked: a receiver that was killed has written more than they say. Raises
    BenchError when the file is none of that kind.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BenchError(f"{path}: {error.strerror}; the receiver has played nothing") from error
    found, body = _HEARD_AT.search(data, 0, 4096), data.find(b"data", 12)
    if found is None or body < 0 or data[:4] != b"RIFF":
        raise BenchError(f"{path} is no recording that says when it was heard")
    channels = struct.unpack_from("<H", data, data.find(b"fmt ") + 10)[0]
    pcm = np.frombuffer(
        data, "<i2", offset=body + 8, count=(len(data) - body - 8) // (2 * channels) * channels
    )
    mono = pcm.reshape(-1, channels)[:, 0].astype(np.float32) / np.float32(32768)
    return Recording(mono, float(found[1]), SAMPLE_RATE * (1 + ppm * 1e-6))

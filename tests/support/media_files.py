"""Files with a tone in them, in every format that a station may have, made by the FFmpeg of the system."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.support.tones import tone, write_wav
from tests.support.waiting import until

FORMATS = {
    "mp3": ["-c:a", "libmp3lame"],
    "m4a": ["-c:a", "aac"],
    "aac": ["-c:a", "aac"],
    "flac": ["-c:a", "flac"],
    "wav": ["-c:a", "pcm_s16le"],
    "ogg": ["-c:a", "libvorbis"],
    "opus": ["-c:a", "libopus"],
    "ts": ["-c:a", "aac"],
}
"""By suffix: how FFmpeg is told of it."""


def ffmpeg(*arguments: str | Path) -> None:
    """Run `ffmpeg` to its end."""
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True, timeout=60)


def encode(
    path: Path,
    sound: NDArray[np.float32],
    *,
    rate: int = 48000,
    channels: int = 1,
    tags: dict[str, str] | None = None,
) -> Path:
    """Write mono `sound` into a file of the suffix's format, the same in each of its channels; gives the path."""
    plain = write_wav(path.with_name(f"{path.name}.plain.wav"), [sound] * channels, rate)
    words = [word for key, value in (tags or {}).items() for word in ("-metadata", f"{key}={value}")]
    ffmpeg("-i", plain, *FORMATS[path.suffix[1:]], *words, path)
    plain.unlink()
    return path


def tone_file(
    path: Path, seconds: float = 2.0, hertz: float = 440.0, *, rate: int = 48000, channels: int = 1
) -> Path:
    """A file of a tone of -12 dBFS."""
    return encode(path, tone(hertz, seconds, rate=rate), rate=rate, channels=channels)


def write_end(pipe: Path) -> int:
    """A descriptor of a named pipe, once somebody has opened it for reading: whoever does later waits for ever."""
    ends: list[int] = []

    def found() -> bool:
        with contextlib.suppress(OSError):
            ends.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
        return bool(ends)

    until(found)
    return ends[0]

"""WAV files that stay playable whenever the process ends, kill -9 included."""

from __future__ import annotations

import struct
from typing import BinaryIO, Final

from loacodecs.opus import SAMPLE_RATE

FLUSH_SAMPLES: Final = SAMPLE_RATE
"""Frames after which the header is rewritten: about once a second."""
_LIMIT: Final = 0xFFFFFFFF


class WavWriter:
    """16-bit PCM at 48 kHz (RIFF WAVE); every method raises OSError as files do."""

    def __init__(self, file: BinaryIO, channels: int = 1, *, comment: str = "") -> None:
        """Write to the empty `file`; a `comment` is kept as ICMT in a LIST INFO chunk before the sound."""
        self._channels = channels
        self._info = _info(comment)
        self._bytes = 0
        self._unflushed = 0
        self._file = file
        self._write_header()

    def write(self, data: bytes) -> None:
        """Add interleaved little-endian 16-bit samples, whole frames."""
        self._file.write(data)
        self._bytes += len(data)
        self._unflushed += len(data) // (2 * self._channels)
        if self._unflushed >= FLUSH_SAMPLES:
            self._write_header()

    def close(self) -> None:
        """Finish the file; closing again does nothing."""
        if not self._file.closed:
            with self._file:
                self._write_header()

    def _write_header(self) -> None:
        """Say how much is there; beyond 4 GiB (12 h mono) the sizes stay at their limit and players read on."""
        front = 36 + len(self._info)
        size = min(self._bytes, _LIMIT - front)
        header = struct.pack(
            "<4sI4s4sIHHIIHH",
            *(b"RIFF", size + front, b"WAVE", b"fmt ", 16),
            *(1, self._channels, SAMPLE_RATE, SAMPLE_RATE * 2 * self._channels, 2 * self._channels, 16),
        )
        # The data first: the header must never promise what is not on its way to the disk.
        self._file.flush()
        self._file.seek(0)
        self._file.write(header + self._info + struct.pack("<4sI", b"data", size))
        self._file.flush()
        self._file.seek(0, 2)
        self._unflushed = 0


def _info(comment: str) -> bytes:
    if not comment:
        return b""
    text = comment.encode("utf-8") + b"\0"
    text += b"\0" * (len(text) % 2)
    return struct.pack("<4sI4s4sI", b"LIST", len(text) + 12, b"INFO", b"ICMT", len(text)) + text

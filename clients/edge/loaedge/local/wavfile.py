"""The header of a WAV file (RIFF WAVE), its extensible form (WAVE_FORMAT_EXTENSIBLE) included, and its samples.

Python's own `wave` knows that form from 3.12 on only; editors and sox write it for anything but 8 and 16 bits.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import numpy as np

from loacodecs.errors import MalformedError
from loacodecs.opus import Pcm

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_SUBFORMAT_TAIL: Final = bytes.fromhex("000000001000800000aa00389b71")
"""What follows the format's number in the GUID of an extensible header."""
_UNKNOWN: Final = 0xFFFFFFFF
_CHUNKS_MAX: Final = 64
_FMT_BYTES_MAX: Final = 1024


class UnsupportedWavError(MalformedError):
    """A WAV file in order, of a kind that is not played."""


@dataclass(frozen=True, slots=True)
class WavHeader:
    """`width` is bytes a sample, `data_bytes` what the file promises (None when it was written into a pipe).

    The sound begins where the file stands now.
    """

    channels: int
    rate: int
    width: int
    floating: bool
    data_bytes: int | None

    @property
    def frame_bytes(self) -> int:
        """Of one sample of every channel."""
        return self.width * self.channels

    def samples(self, data: bytes) -> Pcm:
        """Whole frames as (samples, channels), full scale ±1; eight bits are unsigned, what is no number is 0."""
        if self.floating:
            floats = np.frombuffer(data, f"<f{self.width}").astype(np.float32)
            values = np.clip(np.nan_to_num(floats), -8.0, 8.0)  # louder than that is no sound
        elif self.width == 1:
            values = (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / np.float32(128)
        elif self.width == 3:
            octets = np.frombuffer(data, np.uint8).reshape(-1, 3)
            wide = np.zeros((len(octets), 4), np.uint8)
            wide[:, 1:] = octets
            values = wide.view("<i4")[:, 0].astype(np.float32) / np.float32(2**31)
        else:
            scale = np.float32(2 ** (8 * self.width - 1))
            values = np.frombuffer(data, f"<i{self.width}").astype(np.float32) / scale
        return values.reshape(-1, self.channels)


def read_header(file: BinaryIO) -> WavHeader:
    """The header, up to the sound. Raises MalformedError, UnsupportedWavError, OSError."""
    riff, _, wave = _unpack(file, "<4sI4s")
    if riff != b"RIFF" or wave != b"WAVE":
        raise MalformedError("this is no WAV file")
    form: tuple[int, int, int, int] | None = None
    for _ in range(_CHUNKS_MAX):
        name, size = _unpack(file, "<4sI")
        if name == b"data":
            if form is None:
                raise MalformedError("the sound comes before its format")
            return _header(*form, size)
        if name == b"fmt ":
            form = _form(file.read(min(size, _FMT_BYTES_MAX)))
            file.seek(max(0, size - _FMT_BYTES_MAX) + size % 2, 1)
        else:
            file.seek(size + size % 2, 1)
    raise MalformedError("no sound within the first chunks")


def _form(data: bytes) -> tuple[int, int, int, int]:
    """Format, channels, rate, bits."""
    if len(data) < 16:
        raise MalformedError("the format is cut short")
    form, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", data)
    if form == _EXTENSIBLE:
        if len(data) < 40 or data[26:40] != _SUBFORMAT_TAIL:
            raise UnsupportedWavError("its extensible format is none we know")
        (form,) = struct.unpack_from("<H", data, 24)
    return form, channels, rate, bits


def _header(form: int, channels: int, rate: int, bits: int, data_bytes: int) -> WavHeader:
    width = (bits + 7) // 8
    if form not in (_PCM, _FLOAT) or width not in ((4, 8) if form == _FLOAT else (1, 2, 3, 4)):
        raise UnsupportedWavError(f"format {form} of {bits} bits")
    return WavHeader(channels, rate, width, form == _FLOAT, None if data_bytes == _UNKNOWN else data_bytes)


def _unpack(file: BinaryIO, form: str) -> tuple[Any, ...]:
    data = file.read(struct.calcsize(form))
    if len(data) < struct.calcsize(form):
        raise MalformedError("the header is cut short")
    return struct.unpack(form, data)

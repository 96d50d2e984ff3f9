"""Local sound files, decoded piece by piece: Ogg Opus and WAV.

A file from a flash card may be cut short or damaged anywhere. What can be heard is heard, what is wrong has a
name (`Fault`), and nothing but a ProgrammeError leaves this module.
"""

from __future__ import annotations

import contextlib
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, Literal, Protocol

import numpy as np
import soxr

from loacodecs.errors import CodecError, LoaError, MalformedError
from loacodecs.ogg import OggOpusReader
from loacodecs.opus import SAMPLE_RATE, OpusDecoder, Pcm, packet_samples

from ..disk import reason
from .wavfile import UnsupportedWavError, read_header

Fault = Literal["missing", "unreadable", "truncated", "corrupt", "unsupported", "empty"]

SUFFIXES: Final = frozenset({".opus", ".ogg", ".oga", ".wav"})
_BLOCK: Final = SAMPLE_RATE // 10
_MAX_BAD_IN_A_ROW: Final = 50
"""So many packets in a row that no decoder takes are not sound any more (1 s of 20 ms packets)."""
_RATES: Final = range(8_000, 192_001)
_WAVE_ERRORS: Final = (EOFError, struct.error, ValueError, RuntimeError, OverflowError)


class ProgrammeError(LoaError):
    """A file cannot be played, or not to its end; `fault` is the reason in one word, for telemetry."""

    def __init__(self, path: Path, fault: Fault, detail: str = "") -> None:
        super().__init__(f"{path.name}: {fault}{f': {detail}' if detail else ''}")
        self.path = path
        self.fault: Fault = fault


class AudioFile(Protocol):
    """An open file: iterate `blocks` once, then `close`."""

    channels: int

    def blocks(self) -> Iterator[Pcm]:
        """PCM (samples, channels) at 48 kHz, at most 0.2 s each. Raises ProgrammeError, perhaps at the end only."""

    def close(self) -> None:
        """Closing again does nothing."""


def open_audio(path: Path) -> AudioFile:
    """The file by its suffix, its headers read. Raises ProgrammeError."""
    kind = path.suffix.lower()
    if kind not in SUFFIXES:
        raise ProgrammeError(path, "unsupported", "play .opus, .ogg or .wav files")
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise ProgrammeError(path, "missing") from None
    except OSError as error:
        raise ProgrammeError(path, "unreadable", reason(error)) from error
    try:
        return WavFile(path, file) if kind == ".wav" else OpusFile(path, file)
    except ProgrammeError:
        file.close()
        raise


class OpusFile:
    """Ogg Opus (RFC 7845): pre-skip, output gain and the trimmed end are obeyed."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file
        with _reading(path):
            self._reader = OggOpusReader(file)
        self.channels = self._reader.header.channels

    def blocks(self) -> Iterator[Pcm]:
        with _reading(self._path):
            yield from self._decode()
        if self._reader.damaged or not self._reader.complete:
            raise ProgrammeError(self._path, "corrupt" if self._reader.complete else "truncated")

    def close(self) -> None:
        self._file.close()

    def _decode(self) -> Iterator[Pcm]:
        header, position, skip, bad = None, 0, 0, 0
        for granule, packet in self._reader:
            if header is not self._reader.header:  # the first stream, or the next one of a chain
                header = self._reader.header
                decoder = OpusDecoder(self.channels)
                gain = np.float32(10 ** (header.output_gain / 20))
                skip, position = header.pre_skip, granule - packet_samples(packet)
            try:
                pcm = decoder.decode(packet)
                bad = 0
            except MalformedError:
                bad += 1
                if bad > _MAX_BAD_IN_A_ROW:
                    raise
                pcm = decoder.conceal(packet_samples(packet))
            pcm = pcm[: max(0, granule - position)]
            position = granule
            dropped = min(skip, len(pcm))
            skip -= dropped
            if len(pcm) > dropped:
                yield pcm[dropped:] * gain


class WavFile:
    """Integers of 8, 16, 24 or 32 bits or floats (RIFF WAVE), resampled to 48 kHz."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file
        with _reading(path):
            self._header = header = read_header(file)
        self.channels = header.channels
        if header.rate not in _RATES or not 1 <= header.channels <= 8:
            raise ProgrammeError(path, "unsupported", f"{header.channels} channels at {header.rate} Hz")

    def blocks(self) -> Iterator[Pcm]:
        header = self._header
        left = sys.maxsize if header.data_bytes is None else header.data_bytes
        resampler = (
            soxr.ResampleStream(header.rate, SAMPLE_RATE, self.channels, dtype="float32")
            if header.rate != SAMPLE_RATE
            else None
        )
        while True:
            with _reading(self._path):
                data = self._file.read(min(left, header.rate // 10 * header.frame_bytes))
            left -= len(data)
            pcm = header.samples(data[: len(data) - len(data) % header.frame_bytes])
            ended = not len(pcm)
            if resampler is not None:
                pcm = resampler.resample_chunk(pcm, last=ended).reshape(-1, self.channels)
            if len(pcm):
                yield pcm
            if ended:
                break
        if header.data_bytes is not None and left >= header.frame_bytes:
            raise ProgrammeError(self._path, "truncated")

    def close(self) -> None:
        self._file.close()


def to_channels(pcm: Pcm, channels: int) -> Pcm:
    """`pcm` with as many channels as the output has: the mean of all, or the first repeated."""
    if pcm.shape[1] == channels:
        return pcm
    mono: Pcm = pcm.mean(axis=1, dtype=np.float32, keepdims=True)
    return mono if channels == 1 else np.repeat(mono, channels, axis=1)


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Whatever a file can do to its reader, as a ProgrammeError."""
    try:
        yield
    except ProgrammeError:
        raise
    except (CodecError, UnsupportedWavError) as error:
        raise ProgrammeError(path, "unsupported", str(error)) from error
    except OSError as error:
        raise ProgrammeError(path, "unreadable", reason(error)) from error
    except (MalformedError, *_WAVE_ERRORS) as error:
        raise ProgrammeError(path, "corrupt", str(error)) from error

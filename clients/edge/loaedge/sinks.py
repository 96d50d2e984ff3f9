"""Where `loa listen` puts the sound: a WAV file, an Ogg Opus file, or nowhere.

Files stay playable whenever the process ends, kill -9 included: WAV rewrites its header about once a second,
Ogg hands over whole pages.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, Protocol

import numpy as np

from loacodecs.errors import LoaError
from loacodecs.ogg import OggOpusWriter
from loacodecs.opus import toc

from .decoding import Piece
from .wav import WavWriter

_SUFFIXES: Final = {".wav": "wav", ".ogg": "ogg", ".opus": "ogg"}


class SinkError(LoaError):
    """The file cannot be created or written."""


class Sink(Protocol):
    """Takes the programme piece by piece."""

    def write(self, piece: Piece) -> None:
        """Add a piece. Raises SinkError."""

    def close(self) -> None:
        """Finish the file; closing again does nothing. Raises SinkError."""


class WavSink:
    """16-bit mono PCM at 48 kHz (RIFF WAVE)."""

    def __init__(self, path: Path) -> None:
        """Create the file. Raises SinkError."""
        self._path = path
        file = _create(path)
        with _writing(path):
            self._wav = WavWriter(file)

    def write(self, piece: Piece) -> None:
        pcm = np.clip(piece.pcm.mean(axis=1), -1.0, 1.0)
        with _writing(self._path):
            self._wav.write(np.rint(pcm * 32767).astype("<i2").tobytes())

    def close(self) -> None:
        with _writing(self._path):
            self._wav.close()


class OggSink:
    """Ogg Opus with the packets as they came; gaps are empty packets, which players conceal (RFC 7845)."""

    def __init__(self, path: Path, *, serial: int, title: str) -> None:
        """Create the file. Raises SinkError."""
        self._path = path
        self._file = _create(path)
        self._serial = serial
        self._title = title
        self._writer: OggOpusWriter | None = None
        self._owed = 0

    def write(self, piece: Piece) -> None:
        if piece.packet is None:
            self._owed += piece.pcm.shape[0]
            return
        with _writing(self._path):
            writer = self._opened(piece.packet)
            if self._owed:
                self._owed -= writer.write_gap(self._owed)
            writer.write_packet(piece.packet)

    def close(self) -> None:
        if self._file.closed:
            return
        with _writing(self._path), self._file:
            if self._writer is not None:
                self._writer.write_gap(self._owed)
                self._writer.close()

    def _opened(self, packet: bytes) -> OggOpusWriter:
        """The header tells the number of channels, so it is written when the first packet is there."""
        if self._writer is None:
            channels = 2 if toc(packet).stereo else 1
            self._owed = 0
            self._writer = OggOpusWriter(
                self._hand_over,
                channels,
                # Joined in the middle: a decoder needs 80 ms to converge (RFC 7845 §4.6).
                3840,
                serial=self._serial,
                tags={"TITLE": self._title},
            )
        return self._writer

    def _hand_over(self, page: bytes) -> None:
        self._file.write(page)
        self._file.flush()


class NoSink:
    """Only measures."""

    def write(self, piece: Piece) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing to close."""


def open_sink(path: Path | None, *, serial: int, title: str) -> Sink:
    """The sink for a file by its suffix (.wav, .ogg, .opus). Raises SinkError."""
    if path is None:
        return NoSink()
    kind = _SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise SinkError(f"{path}: write to a .wav or an .ogg file")
    return WavSink(path) if kind == "wav" else OggSink(path, serial=serial, title=title)


def _create(path: Path) -> BinaryIO:
    try:
        return path.open("wb")
    except OSError as error:
        raise SinkError(f"cannot create {path}: {_reason(error)}") from error


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn what the system says into a SinkError."""
    try:
        yield
    except OSError as error:
        raise SinkError(f"cannot write {path}: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()

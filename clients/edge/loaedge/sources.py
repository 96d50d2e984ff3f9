"""What `loa publish` can send (whatever FFmpeg reads, a test tone), and the pace it is sent at.

A source gives mono float32 samples at 48 kHz when asked. It may block, so the caller reads it in a thread.
Adding a kind of source is one entry in `KINDS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, Protocol

import av
import numpy as np
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from loacodecs.errors import ConfigurationError, LoaError

SAMPLE_RATE: Final = 48000

Samples = NDArray[np.float32]


class SourceError(LoaError):
    """The source cannot be opened or read; the sentence names it and the reason."""


class Source(Protocol):
    """Something that sounds; one thread at a time may use it."""

    @property
    def title(self) -> str:
        """What to call it on a status line."""

    def read(self, samples: int) -> Samples:
        """The next `samples` samples, mono float32, full scale ±1; fewer at the end, none after it.

        May block. Raises SourceError.
        """

    def close(self) -> None:
        """Let go of files and devices."""


class ToneSource:
    """An endless sine, -12 dBFS peak, phase-continuous over blocks."""

    AMPLITUDE: Final = 0.25

    def __init__(self, frequency: float) -> None:
        self.title = f"tone {frequency:g} Hz"
        self._step = 2 * math.pi * frequency / SAMPLE_RATE
        self._phase = 0.0

    def read(self, samples: int) -> Samples:
        phases = self._phase + self._step * np.arange(samples)
        self._phase = math.fmod(self._phase + self._step * samples, 2 * math.pi)
        sine: Samples = (self.AMPLITUDE * np.sin(phases)).astype(np.float32)
        return sine

    def close(self) -> None:
        """Nothing to let go."""


class FileSource:
    """The first audio stream of whatever FFmpeg can read, once or over and over without a gap between."""

    def __init__(self, path: str, *, loop: bool, title: str | None = None) -> None:
        """Open `path`, a file's path or an address FFmpeg knows. Raises SourceError."""
        self.title = title or Path(path).name or path
        self._path = path
        self._loop = loop
        self._container = _open(path)
        self._decoded: Iterator[Samples] = _decode(self._container, path)
        self._rest = np.empty(0, np.float32)
        self._sounded = False

    def read(self, samples: int) -> Samples:
        parts = [self._rest]
        have = self._rest.size
        while have < samples:
            block = self._next_block()
            if block is None:
                break
            parts.append(block)
            have += block.size
        joined = np.concatenate(parts)
        self._rest = joined[samples:]
        return joined[:samples]

    def close(self) -> None:
        self._container.close()

    def _next_block(self) -> Samples | None:
        while True:
            block = next(self._decoded, None)
            if block is not None:
                self._sounded = self._sounded or block.size > 0
                return block
            if not self._sounded:
                raise SourceError(f"{self.title} has not a single sample of sound in it")
            if not self._loop:
                return None
            self._container.close()
            self._container = _open(self._path)
            self._decoded = _decode(self._container, self._path)
            self._sounded = False


def _open(path: str) -> av.container.InputContainer:
    try:
        # A dead network source must give up: its thread could not be stopped otherwise.
        container = av.open(path, mode="r", timeout=10.0 if "://" in path else None)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise SourceError(f"cannot open {path}: {_reason(error)}") from error
    if not container.streams.audio:
        container.close()
        raise SourceError(f"{path} has no sound in it")
    return container


def _decode(container: av.container.InputContainer, path: str) -> Iterator[Samples]:
    """Mono float32 blocks at 48 kHz; damaged packets are left out. Raises SourceError."""
    stream = container.streams.audio[0]
    resampler: AudioResampler | None = None
    shape: tuple[str, str, int] | None = None
    for frame in _frames(container, stream, path):
        now = (frame.format.name, frame.layout.name, frame.sample_rate)
        if now != shape:  # chained streams may change in the middle
            yield from _resampled(resampler, None)
            resampler, shape = _resampler(), now
        yield from _resampled(resampler, frame)
    yield from _resampled(resampler, None)


def _frames(
    container: av.container.InputContainer, stream: av.audio.stream.AudioStream, path: str
) -> Iterator[av.AudioFrame]:
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError as error:
            raise SourceError(f"cannot read on in {path}: {_reason(error)}") from error
        if packet is None:
            return
        try:
            frames = packet.decode()
        except av.error.FFmpegError:  # one damaged packet: the sound goes on behind it
            continue
        for frame in frames:
            if isinstance(frame, av.AudioFrame):
                yield frame


def _resampler() -> AudioResampler:
    # Float output is not kept within full scale by itself: both sides of a stereo file would add up to +3 dB.
    return AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE, options={"rematrix_maxval": "1.0"})


def _resampled(resampler: AudioResampler | None, frame: av.AudioFrame | None) -> Iterator[Samples]:
    if resampler is None:
        return
    for out in resampler.resample(frame):
        if out is not None:  # a flush of a resampler with nothing to do
            yield np.clip(out.to_ndarray().reshape(-1), -1.0, 1.0).astype(np.float32, copy=False)


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].lower() + text[1:]


def _tone(argument: str, loop: bool) -> Source:
    try:
        frequency = float(argument or 440)
    except ValueError:
        frequency = math.nan
    if not 20 <= frequency <= 20000:
        raise ConfigurationError(f"tone:{argument} is not a tone; write tone:440, between 20 and 20000 Hz")
    return ToneSource(frequency)


KINDS: Final[Mapping[str, Callable[[str, bool], Source]]] = {"tone": _tone}
"""Kinds of source by the word before the colon; each takes what is behind the colon, and whether to loop."""


def open_source(text: str, *, loop: bool = False) -> Source:
    """Open `kind` or `kind:argument` of `KINDS`, or else a path or address that FFmpeg reads.

    A file that is called like a kind is reached as ./tone. Raises SourceError, ConfigurationError.
    """
    kind, _, argument = text.partition(":")
    if kind in KINDS:
        return KINDS[kind](argument, loop)
    return FileSource(text, loop=loop)


class SampleClock:
    """Ties samples to a monotonic clock, so that nothing drifts: sample n is captured at start + n / rate.

    A block is due when its last sample has been captured. A sender that comes late catches up by up to
    `max_lag_s`; beyond that the clock skips, because a burst of old packets only fills the receivers' buffers.
    The skipped time shows as a gap in the timestamps.
    """

    def __init__(self, start: float, *, rate: int = SAMPLE_RATE, max_lag_s: float = 0.1) -> None:
        self.position = 0
        """Samples since the start, skipped ones included."""
        self.skipped = 0
        """Samples skipped."""
        self._start = start
        self._rate = rate
        self._max_lag = max_lag_s

    def time_of(self, sample: int) -> float:
        """When `sample` is captured (monotonic seconds)."""
        return self._start + sample / self._rate

    def sample_at(self, now: float) -> int:
        """The sample that is captured at `now`."""
        return round((now - self._start) * self._rate)

    def due(self, block: int) -> float:
        """When the next `block` samples are complete and to be sent (monotonic seconds)."""
        return self.time_of(self.position + block)

    def advance(self, block: int) -> None:
        """Count `block` samples as sent."""
        self.position += block

    def catch_up(self, now: float, block: int) -> int:
        """Skip whole blocks when too late at `now`; gives the samples skipped."""
        late = now - self.due(block)
        if late <= self._max_lag:
            return 0
        skip = math.floor(late * self._rate / block) * block
        self.position += skip
        self.skipped += skip
        return skip

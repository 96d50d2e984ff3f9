"""Decoding: from a container of FFmpeg to blocks of samples at 48 kHz, whatever rate, layout or damage comes along."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.container import InputContainer
from numpy.typing import NDArray

from loacodecs.errors import reason

from .errors import SourceError

SAMPLE_RATE: Final = 48000
Block = NDArray[np.float32]
"""Samples of shape (channels, samples), full scale ±1."""

LOUDEST: Final = 4.0
"""Samples are kept within this (+12 dBFS): lossy codecs do go beyond full scale, faulty files much further."""
FAULTS_IN_A_ROW: Final = 200
"""After so many damaged packets without sound between them a source is no sound."""
_RATES: Final = range(4000, 768_001)
_MOST_CHANNELS: Final = 64


@dataclass(slots=True)
class DecodeStats:
    """What was met while decoding."""

    damaged: int = 0
    """Packets or frames left out because they could not be decoded."""
    changes: int = 0
    """Changes of sample rate, format or channels in mid-stream."""
    cleaned: int = 0
    """Samples that were no number or beyond LOUDEST."""


def seek(container: InputContainer, seconds: float) -> bool:
    """Go to a place at or before `seconds` into the file; False where that cannot be done."""
    try:
        container.seek(round(seconds * 1_000_000))
    except (av.error.FFmpegError, OSError):
        return False
    return True


def decode(
    container: InputContainer, name: str, channels: int, stats: DecodeStats, *, start_s: float = 0.0
) -> Iterator[Block]:
    """Blocks (channels, n) of the first audio stream, to its last sample; damaged packets are left out and counted.

    One channel is the mean of left and right, two of a mono source are the same. What ends before `start_s` is left
    out, to a packet's length; `seek` first. Raises SourceError; `passing` when it was the connection that failed.
    """
    ends = _Ends(container)
    position = round(start_s * SAMPLE_RATE)
    for block in _converted(container, name, channels, stats, start_s, ends):
        length = ends.length
        if length is None:
            yield block
        elif position < length:
            yield block[:, : length - position]
        position += block.shape[1]


def _converted(
    container: InputContainer, name: str, channels: int, stats: DecodeStats, start_s: float, ends: _Ends
) -> Iterator[Block]:
    converter: _Converter | None = None
    shape: tuple[str, str, int] | None = None
    for frame in _frames(container, name, stats, ends):
        if frame.sample_rate not in _RATES or not 0 < frame.layout.nb_channels <= _MOST_CHANNELS:
            stats.damaged += 1
            continue
        if start_s and frame.time is not None and frame.time + frame.samples / frame.sample_rate <= start_s:
            continue
        now = (frame.format.name, frame.layout.name, frame.sample_rate)
        if converter is None or now != shape:
            if converter is not None:  # chained streams change in the middle
                stats.changes += 1
                yield from converter.convert(None)
            converter, shape = _Converter(frame, channels, stats), now
        yield from converter.convert(frame)
    if converter is not None:
        yield from converter.convert(None)


def _frames(container: InputContainer, name: str, stats: DecodeStats, ends: _Ends) -> Iterator[av.AudioFrame]:
    stream = container.streams.audio[0]
    packets = container.demux(stream)
    faults = 0
    while True:
        try:
            packet = next(packets, None)
        except av.error.InvalidDataError as error:
            faults += 1
            stats.damaged += 1
            if faults > FAULTS_IN_A_ROW:
                raise SourceError(f"{name} is damaged: {reason(error)}") from error
            packets = container.demux(stream)
            continue
        except av.error.PatchWelcomeError as error:
            raise SourceError(
                f"{name} changes its sample rate, channels or codec in the middle, which can be followed in local "
                "files only: keep one format throughout, or store it on the relay",
                passing=True,
            ) from error
        except (av.error.FFmpegError, OSError) as error:
            raise SourceError(f"cannot read on in {name}: {reason(error)}", passing=True) from error
        if packet is None:
            return
        ends.note(packet)
        try:
            frames = packet.decode()
        except av.error.FFmpegError as error:  # one damaged packet: the sound goes on behind it
            faults += 1
            stats.damaged += 1
            if faults > FAULTS_IN_A_ROW:
                raise SourceError(f"{name} is damaged: {reason(error)}") from error
            continue
        for frame in frames:
            if isinstance(frame, av.AudioFrame) and frame.samples:
                faults = 0
                yield frame


class _Converter:
    """To 48 kHz float, for as long as the format of the frames stays."""

    def __init__(self, first: av.AudioFrame, channels: int, stats: DecodeStats) -> None:
        self._channels = channels
        self._stats = stats
        self._mono = first.layout.nb_channels == 1
        # FFmpeg takes 3 dB off a mono signal that becomes stereo; mono stays mono here, and is doubled below.
        layout = "mono" if self._mono or channels == 1 else "stereo"
        # Float output is not kept within full scale by itself: both sides of a stereo file would add up to +3 dB.
        self._resampler = AudioResampler(
            format="fltp", layout=layout, rate=SAMPLE_RATE, options={"rematrix_maxval": "1.0"}
        )

    def convert(self, frame: av.AudioFrame | None) -> Iterator[Block]:
        if frame is not None:
            frame.pts = None  # a gap in the timestamps is the consumer's to notice, not ours to fill
        for out in self._resampler.resample(frame):
            if out is None:  # a flush of a resampler with nothing to do
                continue
            block = self._clean(out.to_ndarray().astype(np.float32, copy=False))
            yield np.repeat(block, 2, axis=0) if block.shape[0] < self._channels else block

    def _clean(self, block: Block) -> Block:
        faulty = ~(np.abs(block) <= LOUDEST)
        if faulty.any():
            self._stats.cleaned += int(np.count_nonzero(faulty))
            block = np.clip(np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0), -LOUDEST, LOUDEST)
        return block


_TICK: Final = SAMPLE_RATE // 600
"""An MP4 file's length is told in the ticks of the film it may be part of: 1/600 s and less."""


class _Ends:
    """Where an MP4 file ends: its last packet is filled up, and nothing in it tells how far.

    `length` is in samples at 48 kHz, None for other formats, which cut their last packet themselves. The file's own
    word for it is rounded to a tick; a last packet that is shorter than the one before it says it exactly.
    """

    def __init__(self, container: InputContainer) -> None:
        stream = container.streams.audio[0]
        known = "mp4" in container.format.name and stream.duration and stream.time_base
        self.length = round(stream.duration * stream.time_base * SAMPLE_RATE) if known else None  # type: ignore[operator]
        self._before = 0

    def note(self, packet: av.Packet[av.AudioStream]) -> None:
        """A packet is decoded next."""
        duration, before = packet.duration or 0, self._before
        self._before = duration or before
        if self.length is None or not 0 < duration < before or packet.pts is None or packet.time_base is None:
            return
        end = round((packet.pts + duration) * packet.time_base * SAMPLE_RATE)
        if abs(end - self.length) <= _TICK:
            self.length = end

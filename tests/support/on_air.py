"""A programme as the outputs of a channel get it: numbered packets of a tone with the times at which they came."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import av
import numpy as np
from numpy.typing import NDArray

from loacodecs.opus import OpusEncoder
from relay.net.fanout import Packet
from tests.support.tones import tone


@cache
def second_of(frequency: float, frame_ms: int = 20, channels: int = 1) -> tuple[bytes, ...]:
    """Opus packets of one second of a tone, which can be repeated for ever."""
    encoder = OpusEncoder(channels=channels, frame_ms=frame_ms, bitrate=48_000)
    samples = np.repeat(tone(frequency, 2.0)[:, None], channels, 1)
    count = 48_000 // encoder.frame_samples
    packets = [
        encoder.encode(part) for part in np.split(samples[: 2 * count * encoder.frame_samples], 2 * count)
    ]
    return tuple(packets[count:])


class Programme:
    """Packets of `frame_ms` from `began` (monotonic) on; `take` gives those of the next seconds."""

    def __init__(
        self, frequency: float = 1000.0, frame_ms: int = 20, began: float = 100.0, channels: int = 1
    ) -> None:
        self.now = began
        self.sequence = 0
        self.timestamp = 0xFFFF_0000  # wraps soon
        self._payloads = second_of(frequency, frame_ms, channels)
        self._frame = frame_ms / 1000

    def take(self, seconds: float) -> Iterator[tuple[Packet, float]]:
        for _ in range(round(seconds / self._frame)):
            payload = self._payloads[self.sequence % len(self._payloads)]
            yield Packet(self.sequence, self.timestamp, payload), self.now
            self.sequence += 1
            self._pass(self._frame)

    def lose(self, seconds: float) -> None:
        """Packets that never come."""
        for _ in self.take(seconds):
            pass

    def pause(self, seconds: float) -> None:
        """Nothing is on air; the numbers go on without a gap, as the channel's timeline has it."""
        self._pass(seconds)

    def _pass(self, seconds: float) -> None:
        self.now += seconds
        self.timestamp = (self.timestamp + round(seconds * 48_000)) & 0xFFFF_FFFF


def hear(
    source: object, *, options: dict[str, str] | None = None, seconds: float = 1e9
) -> NDArray[np.float32]:
    """What FFmpeg plays of a file, address or file object: the left samples at 48 kHz, `seconds` at most."""
    parts: list[NDArray[np.float32]] = []
    heard = 0
    with av.open(source, options=options or {}) as container:
        resampler = av.AudioResampler("fltp", rate=48_000)
        for frame in container.decode(audio=0):
            for converted in resampler.resample(frame):
                parts.append(converted.to_ndarray()[0])
                heard += parts[-1].size
            if heard >= seconds * 48_000:
                break
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)

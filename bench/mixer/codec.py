"""The engine between real Opus decoders and encoders."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.mixer.console import full
from loacodecs.opus import OpusDecoder, OpusEncoder
from relay.mixer.block import FRAME

COMPLEXITY = 5
BITRATE = 32_000


class DecodedFeed:
    """A feed with a decoder; `decode` prepares what the next `read` gives."""

    def __init__(self, packets: list[bytes]) -> None:
        self._packets = packets
        self._decoder = OpusDecoder(1)
        self._at = 0
        self._pcm = np.zeros((FRAME, 1), np.float32)

    def decode(self) -> None:
        """Decode the next packet."""
        self._at = (self._at + 1) % len(self._packets)
        self._pcm = self._decoder.decode(self._packets[self._at])

    def read(self, out: NDArray[np.float32]) -> bool:
        """What was decoded, on both sides."""
        out[:] = self._pcm[:, 0]
        return True


class CodecConsole:
    """`inputs` decoders, an engine with all operators, `buses` encoders; `mark` is told of every stage."""

    def __init__(self, inputs: int, buses: int) -> None:
        packets = _packets(min(inputs, 16))
        self.feeds = [DecodedFeed(packets[number % len(packets)]) for number in range(inputs)]
        self.engine, self._buses = full(self.feeds, buses)
        self._encoders = [
            OpusEncoder(1, "audio", bitrate=BITRATE, complexity=COMPLEXITY) for _ in self._buses
        ]

    def decode(self) -> None:
        """A packet for every input."""
        for feed in self.feeds:
            feed.decode()

    def encode(self) -> None:
        """A packet of every bus."""
        for bus, encoder in zip(self._buses, self._encoders, strict=True):
            encoder.encode(bus.samples.T)

    def tick(self) -> None:
        """All of it."""
        self.decode()
        self.engine.tick()
        self.encode()


def _packets(streams: int) -> list[list[bytes]]:
    """Packets of a second or so of something like speech: noise in syllables under a low-pass."""
    random = np.random.default_rng(3)
    found = []
    for stream in range(streams):
        encoder = OpusEncoder(1, "audio", bitrate=BITRATE, complexity=COMPLEXITY)
        noise = np.convolve(random.normal(0, 1, 48 * FRAME), np.hanning(24) / 12, "same")
        time = np.arange(len(noise)) / 48_000
        sound = 0.1 * noise * (0.55 + 0.45 * np.sin(2 * np.pi * (3 + stream / 8) * time))
        pcm = sound.astype(np.float32).reshape(-1, FRAME, 1)
        found.append([encoder.encode(np.ascontiguousarray(block)) for block in pcm])
    return found

"""A source and its encoder: one Opus packet after the other, whatever becomes of the sessions."""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np

from loacodecs.errors import ConfigurationError
from loacodecs.opus import OpusEncoder, is_dtx

from .level import LevelMeter, audio_level
from .sources import SAMPLE_RATE, Samples, Source

MAX_PACKET_BYTES: Final = 1200
"""What fits any path's datagram, with RTP, SRTP, UDP and IP around it."""
_BATCH_S: Final = 0.4


@dataclass(frozen=True)
class Encoding:
    """How Opus encodes: bits per second, milliseconds per packet, in-band FEC, DTX, complexity 0…10."""

    bitrate: int = 32000
    frame_ms: int = 20
    fec: bool = False
    dtx: bool = False
    complexity: int = 5

    def encoder(self) -> OpusEncoder:
        """The encoder. Raises ConfigurationError for packets too large to send, CodecError."""
        size = self.bitrate * self.frame_ms // 8000
        if size > MAX_PACKET_BYTES:
            raise ConfigurationError(
                f"{self.frame_ms} ms at {self.bitrate // 1000} kb/s make packets of {size} bytes, more than "
                f"{MAX_PACKET_BYTES}: choose a shorter --frame or a lower --bitrate"
            )
        return OpusEncoder(
            application="voip" if self.fec else "audio",
            bitrate=self.bitrate,
            complexity=self.complexity,
            frame_ms=self.frame_ms,
            fec=self.fec,
            dtx=self.dtx,
            expected_loss=10 if self.fec else 0,
        )


@dataclass(frozen=True, slots=True)
class Frame:
    """One packet; `level` as RFC 6464 has it, `needed` False when DTX lets it be left out."""

    payload: bytes
    level: int
    needed: bool


class Programme:
    """Encodes a source once, from its beginning to its end or until `duration_s` of it have been given."""

    def __init__(self, source: Source, encoding: Encoding, *, duration_s: float | None = None) -> None:
        """Raises ConfigurationError, CodecError."""
        self.meter = LevelMeter()
        self.encoder = encoding.encoder()
        self.frame_samples = self.encoder.frame_samples
        self.samples = 0
        """Samples given so far."""
        self.title = source.title
        self._left = None if duration_s is None else max(1, round(duration_s * SAMPLE_RATE))
        self._reader = BlockReader(source, self.frame_samples)
        self._flushed = False
        self._in_dtx = False

    async def next(self) -> Frame | None:
        """The next packet, None at the end. Raises SourceError."""
        if self._left is not None and self.samples >= self._left:
            return None
        block = await self._reader.next()
        if block is None:
            if self._flushed or not self.samples:
                return None
            self._flushed = True  # the encoder still holds the last few milliseconds
            block = np.zeros(self.frame_samples, np.float32)
        self.samples += block.size
        self.meter.add(block)
        if block.size < self.frame_samples:
            block = np.concatenate([block, np.zeros(self.frame_samples - block.size, np.float32)])
        payload = self.encoder.encode(block)
        dtx = is_dtx(payload)
        needed = not (dtx and self._in_dtx)
        self._in_dtx = dtx
        return Frame(payload, audio_level(block), needed)

    def close(self) -> None:
        """Let go of the source."""
        self._reader.close()


class BlockReader:
    """Reads a source ahead in a thread of its own, so that a slow disk does not hold up the event loop.

    Gives blocks of `block` samples; two batches of 0.4 s at most are in memory.
    """

    def __init__(self, source: Source, block: int) -> None:
        self._source = source
        self._block = block
        self._count = max(1, round(_BATCH_S * SAMPLE_RATE / block))
        self._ready: deque[Samples] = deque()
        self._ended = False
        # One thread for all calls: a source need not be safe for several.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="loa-source")
        self._coming: asyncio.Future[list[Samples]] | None = None

    async def next(self) -> Samples | None:
        """The next block, None at the end; the last one may be shorter. Raises what the source raises."""
        while not self._ready:
            if self._ended:
                return None
            await self._fetch()
        if self._coming is None and not self._ended:
            self._coming = self._start()
        return self._ready.popleft()

    def close(self) -> None:
        """Close the source, which ends a read that waits, and the thread with it."""
        if self._coming is not None:
            self._coming.add_done_callback(lambda future: future.cancelled() or future.exception())
            self._coming = None
        self._source.close()
        self._thread.shutdown(wait=False)

    async def _fetch(self) -> None:
        coming = self._coming or self._start()
        self._coming = coming
        blocks = await asyncio.shield(coming)  # a caller that stops waiting must not lose the batch
        self._coming = None
        self._ready.extend(block for block in blocks if block.size)
        self._ended = not blocks or blocks[-1].size < self._block

    def _start(self) -> asyncio.Future[list[Samples]]:
        return asyncio.get_running_loop().run_in_executor(self._thread, self._read_batch)

    def _read_batch(self) -> list[Samples]:
        blocks: list[Samples] = []
        for _ in range(self._count):
            blocks.append(self._source.read(self._block))
            if blocks[-1].size < self._block:
                break
        return blocks

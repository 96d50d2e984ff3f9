"""From the blocks of a bus to Opus packets, by threads of their own: libopus holds no GIL.

The mixer's thread offers a block each tick and goes on; a worker encodes what has come, in order. An encoder that
cannot keep up loses its oldest blocks, which are counted, and never delays the mix.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from loacodecs.errors import LoaError
from loacodecs.opus import OpusEncoder, is_dtx
from relay.live.settings import MixSettings

log = logging.getLogger("loa.live")

FRAME: Final = 960
WAITING: Final = 10
"""Blocks that may wait to be encoded: 200 ms."""
EXPECTED_LOSS: Final = 10
"""Percent of loss that in-band FEC is made for."""


class Block(NamedTuple):
    """A block of a bus: place in its packet, number of its tick, capture time (unix seconds), whether it is the first
    after a pause, and its sound (channels, 960)."""

    place: int
    number: int
    captured: float
    marker: bool
    samples: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Encoded:
    """One packet: number of its first tick, when its first sample was captured (unix seconds), first after a pause?"""

    number: int
    captured: float
    payload: bytes
    marker: bool


class Encoding(Protocol):
    """Who runs encoders."""

    def submit(self, encoder: BusEncoder) -> None:
        """Have `encoder.run()` called soon; calls for one encoder never overlap."""
        ...


class BusEncoder:
    """The encoder of one bus; `send` gets each packet, in the worker's thread. Raises CodecError without libopus."""

    def __init__(self, settings: MixSettings, send: Callable[[Encoded], None], lane: int = 0) -> None:
        """Encoders of the same `lane` are served by the same worker."""
        self.lane = lane
        self.packets = 0
        self.dropped = 0
        """Blocks that were not encoded because too many waited."""
        self.frame_ms = settings.frame_ms
        self._blocks = settings.frame_ms // 20
        self._encoder = OpusEncoder(
            settings.channels,
            settings.application,
            settings.bitrate,
            settings.complexity,
            settings.frame_ms,
            fec=settings.fec,
            dtx=settings.dtx,
            expected_loss=EXPECTED_LOSS if settings.fec else 0,
        )
        # Asked once: an encoder belongs to one thread at a time, and its worker's is the one.
        self.latency = self._encoder.lookahead
        """Samples by which the sound comes later out of a decoder."""
        self.bitrate = self._encoder.bitrate
        """Bits per second."""
        self.application: str = self._encoder.application
        """What the encoder is tuned for."""
        self._dtx = settings.dtx
        self._send = send
        self._waiting: deque[Block] = deque(maxlen=WAITING)
        self._asked = False
        """Whether a worker has been asked to run this and has not begun."""
        self._place = 0
        self._paused = True
        self._pcm = np.zeros((self._blocks * FRAME, settings.channels), np.float32)
        self._first: Block | None = None
        self._expected = -1
        self._marker = False
        """Whether silence has been left out since the last packet."""

    # The mixer's thread

    def offer(self, number: int, captured: float, samples: NDArray[np.float32], sounding: bool) -> bool:
        """Take a block of tick `number`; whether `run` is to be called: once for all that waits.

        A bus at rest ends with a whole packet.
        """
        if not sounding and self._place == 0:
            self._paused = True
            return False
        self.dropped += len(self._waiting) == WAITING  # the oldest goes
        self._waiting.append(Block(self._place, number, captured, self._paused, samples.copy()))
        self._paused = False
        self._place = (self._place + 1) % self._blocks
        if self._place or self._asked:
            return False
        self._asked = True
        return True

    def restart(self) -> None:
        """Ticks were passed over: the next block begins a packet."""
        self._place = 0

    # A worker

    def run(self) -> None:
        """Encode what waits."""
        self._asked = False  # before the look at what waits, not after it
        while self._waiting:
            block = self._waiting.popleft()
            if block.place == 0:
                self._first, self._expected = block, block.number
            if self._first is None or block.number != self._expected:
                self._first = None
                continue
            self._pcm[block.place * FRAME : (block.place + 1) * FRAME] = block.samples.T
            self._expected += 1
            if block.place == self._blocks - 1:
                self._encode(self._first)
                self._first = None

    def _encode(self, first: Block) -> None:
        try:
            payload = self._encoder.encode(self._pcm)
        except LoaError as error:
            log.error("a block could not be encoded: %s", error)
            return
        if self._dtx and is_dtx(payload):
            self._marker = True
            return
        self.packets += 1
        self._send(Encoded(first.number, first.captured, payload, first.marker or self._marker))
        self._marker = False


class EncoderPool:
    """Worker threads `loa-encode-N`; an encoder is always served by the same one, so that its packets stay in order."""

    def __init__(self, workers: int) -> None:
        self._queues: list[SimpleQueue[BusEncoder | None]] = [SimpleQueue() for _ in range(workers)]
        self._threads = [
            threading.Thread(target=_work, args=(queue,), name=f"loa-encode-{number}", daemon=True)
            for number, queue in enumerate(self._queues)
        ]

    def start(self) -> None:
        """Start the workers."""
        for thread in self._threads:
            thread.start()

    def submit(self, encoder: BusEncoder) -> None:
        """Have it run by its worker."""
        self._queues[encoder.lane % len(self._queues)].put(encoder)

    def close(self) -> None:
        """End the workers when they have done what there is."""
        for queue in self._queues:
            queue.put(None)
        for thread in self._threads:
            if thread.is_alive():
                thread.join()


class Inline:
    """Encodes in the caller's thread."""

    def submit(self, encoder: BusEncoder) -> None:
        """Run it now."""
        encoder.run()


def _work(queue: SimpleQueue[BusEncoder | None]) -> None:
    while (encoder := queue.get()) is not None:
        try:
            encoder.run()
        except Exception:
            log.exception("an encoder failed")

"""From packets in order to sound in which every gap keeps its time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loacodecs.errors import MalformedError
from loacodecs.opus import SAMPLE_RATE, OpusDecoder, packet_samples
from loacodecs.rtp import timestamp_delta

from .incoming import Arrival

CONCEAL_LOST = SAMPLE_RATE // 5
"""Samples libopus is asked to invent for a loss; by then it has faded out, and silence follows."""
CONCEAL_PAUSED = SAMPLE_RATE
"""Samples of comfort noise for a pause of a sender that does not send silence (DTX)."""
STALL_S = 1.0
"""After so long without a packet the gap is filled as time goes, not when the next packet comes."""
_STEP = 120
_DEFAULT_FRAME = 960


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the programme: sound, and the packet it was decoded from or None where none came.

    `pcm` is float32 (samples, channels).
    """

    pcm: NDArray[np.float32]
    packet: bytes | None


class Timeline:
    """Decodes arrivals; lost packets are concealed, pauses kept, by the RTP timestamps.

    A timestamp may leap only as far as the time that really went by, so a peer cannot make us write for hours.
    """

    def __init__(self, channels: int = 1) -> None:
        self.concealed = 0
        """Samples invented because packets were lost or unreadable."""
        self.paused = 0
        """Samples filled in where the sender sent nothing."""
        self.leaps = 0
        """Times the timestamps made no sense and were followed without filling."""
        self._decoder = OpusDecoder(channels)
        self._channels = channels
        self._sequence = 0
        self._expected: int | None = None
        self._arrived = 0.0
        self._ahead = 0
        self._frame = _DEFAULT_FRAME
        self._unreadable = False

    def feed(self, arrival: Arrival) -> Iterator[Piece]:
        """The sound of one more packet, before it what is missing, in pieces of at most 1 s."""
        payload = arrival.packet.payload
        try:
            duration = packet_samples(payload)
        except MalformedError:
            return  # its sequence number will be missing, as if it had been lost
        if self._expected is not None:
            yield from self._fill(arrival)
        self._sequence, self._arrived, self._ahead = arrival.sequence, arrival.at, 0
        self._expected = (arrival.packet.timestamp + duration) & 0xFFFFFFFF
        self._frame = duration
        try:
            pcm = self._decoder.decode(payload)
            self._unreadable = False
        except MalformedError:
            # Its place stays empty and counts as lost when the next packet tells how long it was.
            self._expected, self._unreadable = arrival.packet.timestamp, True
            return
        yield Piece(pcm, payload)

    def stall(self, now: float, *, patience_s: float = STALL_S) -> Iterator[Piece]:
        """Silence for the time gone by without packets, beyond `patience_s`; to be called now and then."""
        if self._expected is None:
            return
        missing = int((now - self._arrived - patience_s) * SAMPLE_RATE) - self._frame - self._ahead
        missing -= missing % _STEP
        if missing > 0:
            self._ahead += missing
            self.paused += missing
            yield from self._silence(missing)

    def _fill(self, arrival: Arrival) -> Iterator[Piece]:
        assert self._expected is not None
        gap = timestamp_delta(arrival.packet.timestamp, self._expected)
        gone_by = max(0.0, arrival.at - self._arrived)
        if not 0 <= gap <= (gone_by + 1.0) * SAMPLE_RATE:
            self.leaps += 1
            return
        gap -= self._ahead
        if gap <= 0:
            return
        lost = arrival.sequence - self._sequence > 1 or self._unreadable
        if lost:
            self.concealed += gap
        else:
            self.paused += gap
        yield from self._invent(gap, CONCEAL_LOST if lost else CONCEAL_PAUSED, arrival.packet.payload)

    def _invent(self, gap: int, limit: int, following: bytes) -> Iterator[Piece]:
        """`gap` samples: concealment up to `limit`, then silence, the last frame from FEC if there is any."""
        left = min(gap, limit) // _STEP * _STEP if not self._ahead else 0
        silent = gap - left
        while left:
            size = min(self._frame, left)
            next_to_packet = left == size and not silent
            yield Piece(
                self._recover(following, size) if next_to_packet else self._decoder.conceal(size), None
            )
            left -= size
        yield from self._silence(silent)

    def _recover(self, following: bytes, samples: int) -> NDArray[np.float32]:
        try:
            return self._decoder.decode_fec(following, samples)
        except MalformedError:
            return self._decoder.conceal(samples)

    def _silence(self, samples: int) -> Iterator[Piece]:
        while samples > 0:
            size = min(samples, SAMPLE_RATE)
            yield Piece(np.zeros((size, self._channels), np.float32), None)
            samples -= size

"""Where in a file or stream a packet belongs, so that a minute on air is a minute in it.

RFC 7845 §4.1 forbids granule positions that jump: what is missing is made up for by packets. So a place is found as
the number of samples to put in before a packet, from its RTP timestamp. Timestamps are believed only within
`TOLERANCE_S` of the time that passed here, so that no source can make an hour of a second, or nothing of an hour.
"""

from __future__ import annotations

from loacodecs.ogg import OggOpusWriter
from loacodecs.rtp import timestamp_delta

RATE = 48_000

TOLERANCE_S = 4.0
"""Bursts of a source, and what its sample clock may gain or lose within `TRUST_S` (1,000 ppm)."""

TRUST_S = 3_600.0
"""After so long the sample clock's deviation is taken for granted, and measured anew."""

CONCEALED_S = 0.5
"""So much of a gap is left to the decoder, which conceals a loss and makes comfort noise of an encoder's pause (at most
400 ms long); beyond, its guesses would be noise, and silence is written."""

_FRAME = 960
_SILENT_FRAME = b"\xff\xfe"  # a CELT frame of digital silence
_SILENCE = (
    *((frames, bytes((0xFB, frames)) + frames * _SILENT_FRAME) for frames in (6, 3)),
    (1, b"\xf8" + _SILENT_FRAME),
)
"""Packets of 120, 60 and 20 ms: full band, mono, code 3 with equal frames (RFC 6716 §3.2.5)."""


class Placement:
    """Finds the gap before each packet; `wrote` tells it what has been written.

    The first packet comes at once, whatever was written before it.
    """

    def __init__(self) -> None:
        self.position = 0
        """Samples written."""
        self.excess = 0
        """Packets refused because more sound came than time passed."""
        self._timestamp: int | None = None  # of the sample at `position`
        self._began = 0.0
        self._base = 0

    def place(self, timestamp: int, duration: int, arrival: float) -> int | None:
        """Samples missing before a packet of `duration` samples that came at `arrival`; None: leave it out."""
        if self._timestamp is None:
            self._timestamp, self._began, self._base = timestamp, arrival, self.position
        ahead = timestamp_delta(timestamp, self._timestamp)
        expected = self._base + (arrival - self._began) * RATE
        margin = TOLERANCE_S * RATE
        if self.position + duration > expected + margin:
            self.excess += 1
            return None
        if self.position + ahead > expected + margin or ahead < -margin:
            ahead = 0
            self._timestamp = timestamp
        if self.position + ahead < expected - margin:
            ahead = round(expected) - self.position
            self._timestamp = (timestamp - ahead) & 0xFFFF_FFFF
        if arrival - self._began > TRUST_S:
            self._began, self._base = arrival, self.position + max(0, ahead)
        return max(0, ahead)

    def wrote(self, samples: int) -> None:
        """`samples` more have been written."""
        self.position += samples
        if self._timestamp is not None:
            self._timestamp = (self._timestamp + samples) & 0xFFFF_FFFF


def write_missing(writer: OggOpusWriter, samples: int) -> int:
    """Stand in for `samples` that never came; gives those covered, less than 20 ms too few."""
    covered = writer.write_gap(min(samples, round(CONCEALED_S * RATE)))
    return covered + write_silence(writer, samples - covered) if samples > covered else covered


def write_silence(writer: OggOpusWriter, samples: int) -> int:
    """Write `samples` of silence, rounded down to 20 ms; gives those written."""
    covered = 0
    for frames, packet in _SILENCE:
        while samples - covered >= frames * _FRAME:
            writer.write_packet(packet)
            covered += frames * _FRAME
    return covered

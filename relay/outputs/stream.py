"""One channel as endless Ogg Opus, paged once for everybody who hears it by HTTP.

As with Icecast, a client gets the two header pages and then the pages of the moment: their granule positions and
numbers go on from when the stream began, which players of live streams expect (RFC 7845 §4.5). While the channel is off
air the stream goes on with silence: a player that meets an end, or nothing, gives up. A new title begins a chained
stream, since titles of Ogg are in its headers; the last packets before it come again as its pre-skip, which a player
decodes and does not play, so that not a sample is missing to who hears both.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from loacodecs.errors import MalformedError
from loacodecs.ogg import OggOpusWriter
from loacodecs.opus_packet import packet_samples
from relay.outputs.lane import Arrived, Lane
from relay.outputs.ordering import Ordering
from relay.outputs.placing import RATE, Placement, write_missing, write_silence

PAGE_SAMPLES: Final = 9_600
"""200 ms: short enough to be live, long enough that headers are 1.5 kb/s."""
BURST_S: Final = 1.5
"""What a client gets at once, so that it plays at once and has something in hand."""
PATIENCE_S: Final = 0.3
"""So long a missing packet is waited for."""
OFF_AIR_S: Final = 0.6
"""Silence is sent when nothing came for so long; an encoder's own pauses are shorter."""
BEHIND_S: Final = 0.2
"""And so much less of it than time has passed, so that the packets that come again find their place."""
TITLE_S: Final = 1.0
"""Between looks at the title; a new one is told when it is still there at the second."""
PRE_SKIP: Final = 3_840
"""80 ms, in which a decoder that begins within a stream finds its feet (RFC 7845 §4.6)."""
HEADERS: Final = 8_000
"""Octets of both headers. FFmpeg looks at a stream when it has 2 KiB, VLC and MPlayer read 8 KiB at a time: of silence
that would be half a minute. So the headers and the burst fill the first 8 KiB, and the first sound is in them."""
_WITHOUT_TAGS: Final = 124
"""Octets of both headers without tags and padding, with as many lacing values as HEADERS needs."""
QUEUE_PACKETS: Final = 1_024


class OggStream:
    """Driven by `turn`. `title` is what to tell players now; `serial` gives 32 random bits."""

    def __init__(self, channel: str, title: Callable[[], str], serial: Callable[[], int], now: float) -> None:
        self.lane = Lane(QUEUE_PACKETS)
        self.title = title()
        self._channel = channel
        self._ask_title = title
        self._coming_title = self.title
        self._title_due = now
        self._serial = serial
        self._ordering = Ordering(PATIENCE_S)
        self._placement = Placement()
        self._filled = now
        """Until when (monotonic) there is something to hear."""
        self._pages: deque[bytes] = deque(maxlen=round(BURST_S * RATE / PAGE_SAMPLES))
        self._last: deque[tuple[bytes, int]] = deque()
        """The latest packets and their samples, as many as fill PRE_SKIP; none after silence."""
        self._fresh = bytearray()
        self._header = b""
        self._begin()

    def prime(self, recent: Iterable[Arrived], now: float) -> None:
        """Begin with packets that were on air before the first client came; off air with as much silence, since players
        wait until they know what they get."""
        for packet, arrival in recent:
            self._ordering.push(packet, arrival)
            self._filled = min(self._filled, arrival)
        self._write(float("inf"))
        if self._placement.position == 0:
            self._silence(round(BURST_S * RATE))
        self._writer.flush()
        self._fresh.clear()
        self._filled = min(self._filled, now)

    def welcome(self) -> bytes:
        """Headers and the last pages."""
        return self._header + b"".join(self._pages)

    def turn(self, now: float) -> bytes:
        """The pages since the last call."""
        if now >= self._title_due:
            self._title_due = now + TITLE_S
            self._look_at_title()
        for packet, arrival in self.lane.take():
            self._ordering.push(packet, arrival)
        self._write(now)
        if now - self._filled > OFF_AIR_S:
            self._filled += self._silence(round((now - self._filled - BEHIND_S) * RATE)) / RATE
        fresh = bytes(self._fresh)
        self._fresh.clear()
        return fresh

    def farewell(self) -> bytes:
        """The end of the stream, for a client that is to hear no more; it goes on for the others."""
        return self._writer.ending()

    def close(self) -> bytes:
        """The last page; nothing may be asked for after that."""
        self._writer.close()
        del self._writer, self._append  # they know the stream: a circle that is old is never collected
        return bytes(self._fresh)

    def _look_at_title(self) -> None:
        title = self._ask_title()
        if title == self._coming_title and title != self.title:
            self.title = title
            self._writer.close()
            self._pages.clear()
            self._begin(sum(samples for _, samples in self._last) or PRE_SKIP)
            self._fresh += self._header
            for packet, _ in self._last:
                self._writer.write_packet(packet)
            if not self._last:
                write_silence(self._writer, PRE_SKIP)
        self._coming_title = title

    def _begin(self, pre_skip: int = PRE_SKIP) -> None:
        pages: list[bytes] = []
        self._append: Callable[[bytes], None] = pages.append
        tags = {"TITLE": self.title, "CHANNEL": self._channel}
        told = sum(4 + len(f"{key}={text}".encode()) for key, text in tags.items())
        self._writer = OggOpusWriter(
            lambda page: self._append(page), 2, pre_skip, serial=self._serial(), tags=tags,
            page_samples=PAGE_SAMPLES, tags_padding=max(0, HEADERS - _WITHOUT_TAGS - told),
        )  # fmt: skip
        self._header = b"".join(pages)
        self._append = self._on_page

    def _on_page(self, page: bytes) -> None:
        self._pages.append(page)
        self._fresh += page

    def _write(self, now: float) -> None:
        for packet, arrival in self._ordering.pop(now):
            try:
                duration = packet_samples(packet.payload)
            except MalformedError:
                continue
            missing = self._placement.place(packet.timestamp, duration, arrival)
            if missing is None:
                continue
            if missing:
                self._placement.wrote(write_missing(self._writer, missing))
            self._writer.write_packet(packet.payload)
            self._placement.wrote(duration)
            self._last.append((packet.payload, duration))
            while sum(samples for _, samples in self._last) - self._last[0][1] >= PRE_SKIP:
                self._last.popleft()
            self._filled = max(self._filled, arrival + duration / RATE)

    def _silence(self, samples: int) -> int:
        """Write so much silence, rounded down; gives what was written."""
        written = write_silence(self._writer, samples)
        self._placement.wrote(written)
        if written:
            self._last.clear()
        return written

"""Ogg Opus, written packet by packet and read back from files that may have lost their end (RFC 7845).

The packets are stored as they came, never re-encoded. Granule positions count samples at 48 kHz, the pre-skip
included. Where the file goes and where its serial number comes from is the caller's affair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import TracebackType

from .errors import CodecError, MalformedError
from .ogg_header import HEAD_MAGIC, OpusHead, OpusTags
from .ogg_page import (
    BEGINS_STREAM,
    CONTINUED,
    ENDS_STREAM,
    MAX_SEGMENTS,
    NO_GRANULE,
    ByteStream,
    Page,
    PageReader,
    lacing,
)
from .opus_packet import packet_samples

__all__ = ["OggOpusReader", "OggOpusWriter", "OpusHead", "OpusTags"]

_MAX_AUDIO_PACKET = 61_440  # 48 frames of 1,275 bytes and their lengths (RFC 7845 §6)
_MAX_TAGS_PACKET = 16 << 20  # a picture of the cover may be among the tags
_MAX_BEFORE_HEADER = 1 << 16  # bytes that are no Ogg, before giving up


class OggOpusWriter:
    """Writes one Ogg Opus stream; each call of `write` gets whole pages, so a cut file loses its end only.

    `serial` is any 32-bit number, different for streams in one file. `page_samples` is how much sound a page
    gathers, and so what a power cut takes: 1 s unless told. `tags_padding` octets make the comment header longer.
    Also a context manager.
    Raises CodecError for impossible channels or pre-skip, ValueError for impossible tags or after `close`,
    and whatever `write` raises.
    """

    def __init__(
        self,
        write: Callable[[bytes], object],
        channels: int = 1,
        pre_skip: int = 312,
        *,
        serial: int,
        tags: Mapping[str, str] | None = None,
        page_samples: int = 48000,
        tags_padding: int = 0,
    ) -> None:
        if channels not in (1, 2) or not 0 <= pre_skip <= 0xFFFF:
            raise CodecError(f"Ogg Opus cannot hold {channels} channels with a pre-skip of {pre_skip}")
        self._write = write
        self._serial = serial & 0xFFFFFFFF
        self._page_samples = page_samples
        self._page_number = 0
        self._segments = bytearray()
        self._body = bytearray()
        self._page_began = 0
        self._granule = 0
        self._last_toc = 0xF8 | (channels == 2) << 2  # until told better: CELT, full band, 20 ms
        self._closed = False
        self._write_header(OpusHead(channels, pre_skip).to_bytes(), BEGINS_STREAM)
        comments = tuple((tags or {}).items())
        self._write_header(OpusTags(comments=comments, padding=tags_padding).to_bytes(), 0)

    @property
    def granule(self) -> int:
        """Samples written so far, the pre-skip included."""
        return self._granule

    def write_packet(self, packet: bytes, samples: int | None = None) -> None:
        """Add a packet that lasts `samples`, as its first byte says unless told.

        Fewer are for the last packet only and trim the end of the sound (RFC 7845 §4.4).
        Raises MalformedError for what is no Opus packet.
        """
        if self._closed:
            raise ValueError("the Ogg stream is closed")
        duration = packet_samples(packet)
        if samples is not None and not 0 <= samples <= duration:
            raise ValueError(f"a packet of {duration} samples cannot count as {samples}")
        segments = lacing(len(packet))
        if len(packet) > _MAX_AUDIO_PACKET:
            raise MalformedError(f"an Opus packet has at most {_MAX_AUDIO_PACKET} bytes, not {len(packet)}")
        # A page goes out when the next packet comes, so that the last page has a packet to end the stream.
        if self._segments and (
            len(self._segments) + len(segments) > MAX_SEGMENTS
            or self._granule - self._page_began >= self._page_samples
        ):
            self._flush_page(0)
        self._segments += segments
        self._body += packet
        self._granule += duration if samples is None else samples
        self._last_toc = packet[0]

    def write_gap(self, samples: int) -> int:
        """Stand empty packets in for sound that never came, so that time goes on (RFC 7845 §4.1).

        A decoder conceals them. Returns the samples covered: `samples` rounded down to 2.5 ms.
        """
        covered = 0
        # First frames like those before the gap, then full-band CELT frames of 20, 10, 5 and 2.5 ms.
        for head in (self._last_toc & 0xFC, 0xFC, 0xF4, 0xEC, 0xE4):
            empty = bytes((head & 0xF8 | self._last_toc & 0x04,))
            duration = packet_samples(empty)
            while samples - covered >= duration:
                self.write_packet(empty)
                covered += duration
        return covered

    def flush(self) -> None:
        """Hand over what has been gathered, as a page of its own."""
        if self._segments:
            self._flush_page(0)

    def ending(self) -> bytes:
        """The page that would end the stream here, for a reader who gets no more of it; the stream itself goes on."""
        parts = bytes(self._segments), bytes(self._body)
        return Page(ENDS_STREAM, self._granule, self._serial, self._page_number, *parts).to_bytes()

    def close(self) -> None:
        """Write the last page; the file itself stays open. Closing again does nothing."""
        if not self._closed:
            self._flush_page(ENDS_STREAM)
            self._closed = True

    def __enter__(self) -> OggOpusWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write_header(self, packet: bytes, flags: int) -> None:
        """A header packet on pages of its own, as many as it needs, with granule position 0."""
        segments = lacing(len(packet))
        for first in range(0, len(segments), MAX_SEGMENTS):
            part = segments[first : first + MAX_SEGMENTS]
            body = packet[first * 255 : first * 255 + sum(part)]
            granule = NO_GRANULE if part[-1] == 255 else 0
            self._write_page(flags | (CONTINUED if first else 0), granule, part, body)

    def _flush_page(self, flags: int) -> None:
        self._write_page(flags, self._granule, bytes(self._segments), bytes(self._body))
        self._segments.clear()
        self._body.clear()
        self._page_began = self._granule

    def _write_page(self, flags: int, granule: int, segments: bytes, body: bytes) -> None:
        page = Page(flags, granule, self._serial, self._page_number, segments, body)
        self._page_number = (self._page_number + 1) & 0xFFFFFFFF
        self._write(page.to_bytes())


class OggOpusReader:
    """Reads the first Opus stream of an Ogg file, and the streams chained to it.

    `header` and `tags` are there at once; iteration gives `(granule, packet)`, where granule is the position
    at the packet's end: less than its duration says where the last packet is trimmed, and not counted from zero
    where the stream was cut out of a longer one. At the start of a chained stream `header` and `tags` change and
    granules begin anew. A damaged or missing page costs its packets, `damaged` counts how often that happened;
    a file without its end just ends, and `complete` stays False.
    Raises MalformedError when there is no Opus stream and CodecError for surround sound, also while iterating
    when a chained stream is such, and whatever the stream raises.
    """

    def __init__(self, stream: ByteStream) -> None:
        self.header = OpusHead()
        self.tags = OpusTags()
        self.damaged = 0
        self.complete = False
        self._pages = PageReader(stream)
        self._begin(self._find_header())
        self._first: list[tuple[int, bytes]] | None = []
        while self._awaiting_tags and self._first is not None:
            self._first = self._advance()
        if self._first is None:
            raise MalformedError("the Ogg Opus stream ends within its headers")

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        batch, self._first = self._first, []
        while batch is not None:
            yield from batch
            batch = self._advance()

    def _find_header(self) -> Page:
        while (page := self._pages.read(within=_MAX_BEFORE_HEADER)) is not None:
            if not page.flags & BEGINS_STREAM:
                break  # the beginnings of all streams of a file come first (RFC 3533 §4)
            if page.body.startswith(HEAD_MAGIC):
                return page
        raise MalformedError("this is no Ogg Opus stream")

    def _begin(self, page: Page) -> None:
        self.header = OpusHead.parse(page.body)
        self._serial = page.serial
        self._next_number = page.number + 1 & 0xFFFFFFFF
        self._granule: int | None = None  # where the sound read so far ends, when that is certain
        self._partial = bytearray()
        self._partial_open = False
        self._awaiting_tags = True
        self.complete = False

    def _advance(self) -> list[tuple[int, bytes]] | None:
        """Take one page; its packets of sound with their granules, or None at the end of the file."""
        page = self._pages.read()
        if page is None:
            return None
        if page.flags & BEGINS_STREAM and page.body.startswith(HEAD_MAGIC) and not self._awaiting_tags:
            self._begin(page)
            return []
        if page.serial != self._serial:
            return []
        packets = self._assemble(page)
        if self._awaiting_tags and packets:
            self.tags = OpusTags.parse(packets.pop(0))
            self._awaiting_tags = False
        self.complete = bool(page.flags & ENDS_STREAM)
        return self._with_granules(page, packets)

    def _assemble(self, page: Page) -> list[bytes]:
        """The packets that end on this page, some begun on pages before it."""
        if page.number != self._next_number:
            self._lose()
        self._next_number = page.number + 1 & 0xFFFFFFFF
        continued = bool(page.flags & CONTINUED)
        if self._partial_open and not continued:
            self._lose()
        packets: list[bytes] = []
        for piece, ends in page.pieces():
            usable = self._partial_open or not continued
            continued = False
            if not usable:  # the end of a packet whose beginning is lost
                continue
            self._partial += piece
            self._partial_open = not ends
            if len(self._partial) > (_MAX_TAGS_PACKET if self._awaiting_tags else _MAX_AUDIO_PACKET):
                self._lose()
            elif ends:
                packets.append(bytes(self._partial))
                self._partial.clear()
        return packets

    def _lose(self) -> None:
        if self._awaiting_tags:
            raise MalformedError("the Ogg Opus stream is damaged within its headers")
        self.damaged += 1
        self._granule = None
        self._partial.clear()
        self._partial_open = False

    def _with_granules(self, page: Page, packets: list[bytes]) -> list[tuple[int, bytes]]:
        """Each packet with the position of its end, counted back from the page's (RFC 7845 §4)."""
        sounds: list[tuple[int, bytes]] = []
        total = 0
        for packet in packets:
            try:
                total += packet_samples(packet)
            except MalformedError:
                self.damaged += 1
                continue
            sounds.append((total, packet))
        if not sounds:
            return []
        start = self._granule
        if page.granule < 0:
            start, last = start or 0, (start or 0) + total
        elif not page.flags & ENDS_STREAM:
            start, last = page.granule - total, page.granule
        else:  # the last page may trim its end, so its packets are counted from where they begin
            start, last = max(0, page.granule - total) if start is None else start, page.granule
        self._granule = last
        return [(min(start + end, last), packet) for end, packet in sounds]

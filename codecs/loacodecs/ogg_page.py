"""Ogg pages: the frame around packets, with its checksum (RFC 3533 §6).

A page is written with one call, so that a file that ends anywhere is whole up to its last page; `PageReader`
finds the next sound page after damage.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Protocol

CONTINUED = 0x01
BEGINS_STREAM = 0x02
ENDS_STREAM = 0x04

MAX_SEGMENTS = 255
NO_GRANULE = -1
"""The granule position of a page on which no packet ends."""

_HEADER = Struct("<4sBBqIIIB")
_CAPTURE = b"OggS"
_CHECKSUM_AT = 22
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def checksum(data: bytes | bytearray) -> int:
    """The CRC of Ogg: polynomial 0x04C11DB7, most significant bit first, from zero, not inverted.

    It is zlib's CRC seen in a mirror: the same polynomial over bytes whose bits are reversed, at C's speed.
    """
    mirrored = zlib.crc32(data.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(_REVERSED), "big")


@dataclass(frozen=True, slots=True)
class Page:
    """One page: `segments` are the lacing values, `body` the bytes they share out among packets."""

    flags: int
    granule: int
    serial: int
    number: int
    segments: bytes
    body: bytes

    def to_bytes(self) -> bytes:
        """The page with its checksum."""
        head = _HEADER.pack(
            _CAPTURE, 0, self.flags, self.granule, self.serial, self.number, 0, len(self.segments)
        )
        page = bytearray(head + self.segments + self.body)
        page[_CHECKSUM_AT : _CHECKSUM_AT + 4] = checksum(page).to_bytes(4, "little")
        return bytes(page)

    def pieces(self) -> Iterator[tuple[bytes, bool]]:
        """The parts of packets on this page, each with whether it ends its packet."""
        start = end = 0
        open_piece = False
        for size in self.segments:
            end += size
            open_piece = size == 255
            if not open_piece:
                yield self.body[start:end], True
                start = end
        if open_piece:
            yield self.body[start:end], False


class ByteStream(Protocol):
    """What is read from: a binary file, a pipe, or anything else with such a `read`."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""


def lacing(size: int) -> bytes:
    """The segment sizes of a packet of `size` bytes; the last is below 255 and ends it."""
    return b"\xff" * (size // 255) + bytes((size % 255,))


class PageReader:
    """Takes pages off a stream, however it begins or breaks; the rest after the last whole page is dropped.

    `skipped` counts the bytes that belonged to no sound page. Only as much is read as the next page needs, so
    that a live stream is heard without delay.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._buffer = bytearray()
        self.skipped = 0

    def read(self, within: int | None = None) -> Page | None:
        """The next page with a right checksum, or None at the end or when `within` bytes have been skipped.

        Raises what the stream raises.
        """
        while (within is None or self.skipped <= within) and self._fill(_HEADER.size):
            if not self._buffer.startswith(_CAPTURE):
                self._drop_to_capture(0)
                continue
            _, version, flags, granule, serial, number, check, count = _HEADER.unpack_from(self._buffer)
            body = _HEADER.size + count
            segments, size = b"", body
            if version == 0 and self._fill(body):
                segments = bytes(self._buffer[_HEADER.size : body])
                size += sum(segments)
            if version != 0 or not self._fill(size):
                # Either no page at all, or the last one cut short; a sound one may still lie within.
                self._drop_to_capture(1)
                continue
            page = self._buffer[:size]
            page[_CHECKSUM_AT : _CHECKSUM_AT + 4] = bytes(4)
            if checksum(page) != check:
                self._drop_to_capture(1)
                continue
            del self._buffer[:size]
            return Page(flags, granule, serial, number, segments, bytes(page[body:]))
        self.skipped += len(self._buffer)
        self._buffer.clear()
        return None

    def _fill(self, size: int) -> bool:
        while len(self._buffer) < size:
            data = self._stream.read(size - len(self._buffer))
            if not data:
                return False
            self._buffer += data
        return True

    def _drop_to_capture(self, start: int) -> None:
        position = self._buffer.find(_CAPTURE, start)
        if position < 0:  # the pattern may have begun in the last three bytes
            position = max(start, len(self._buffer) - len(_CAPTURE) + 1)
        self.skipped += position
        del self._buffer[:position]

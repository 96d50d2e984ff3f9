"""Chained Ogg (RFC 3533): where in a file the next link begins that FFmpeg cannot go on to by itself.

FFmpeg goes on to a link of the same codec, rate and channels, and ends with an error at any other; only a FLAC link
of another rate it takes, and damages.
"""

from __future__ import annotations

import io
from typing import IO, Final

_HEAD: Final = 27
_BEGINS: Final = 2
"""The flag of a page with which a stream begins."""
_LOOK: Final = 1 << 16
_SHAPES: Final = ((b"\x01vorbis", ((0, 16),)), (b"OpusHead", ((0, 10),)), (b"\x7fFLAC", ((0, 5), (27, 30))))
"""The bytes of an identification header that say codec, rate and channels."""


def next_link(file: IO[bytes], start: int) -> int | None:
    """Where the first link begins that is another codec, rate or number of channels than that at byte `start`.

    None when there is none. Walks from page to page; raises OSError.
    """
    shape, shapes, first = b"", b"", start
    at = _page(file, start)
    while at is not None:
        file.seek(at)
        head = file.read(_HEAD)
        if len(head) < _HEAD:
            return None
        lengths = file.read(head[26])
        if head[5] & _BEGINS:  # the streams of a link all begin before the first of them goes on
            first = first if shapes else at
            shapes += _shape(file.read(64))
        elif shapes:
            if shape and shapes != shape:
                return first
            shape, shapes = shapes, b""
        at = _page(file, at + _HEAD + len(lengths) + sum(lengths))
    return None


def _page(file: IO[bytes], at: int) -> int | None:
    """Where the next page at or after `at` begins: at once, unless the file is damaged."""
    while True:
        file.seek(at)
        data = file.read(4)
        if data == b"OggS":
            return at
        data += file.read(_LOOK)
        found = data.find(b"OggS")
        if found >= 0:
            return at + found
        if len(data) < 4 + _LOOK:
            return None
        at += len(data) - 3


def _shape(header: bytes) -> bytes:
    for magic, places in _SHAPES:
        if header.startswith(magic):
            return b"".join(header[first:last] for first, last in places)
    return header[:8]


class FromLink(io.RawIOBase):
    """A file from one of its links on, as if it began there; `file` stays the caller's."""

    def __init__(self, file: IO[bytes], start: int) -> None:
        super().__init__()
        self._file = file
        self._start = start
        self._file.seek(start)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def tell(self) -> int:
        return self._file.tell() - self._start

    def seek(self, offset: int, whence: int = 0) -> int:
        self._file.seek(offset + (self._start if whence == 0 else 0), whence)
        return self.tell()

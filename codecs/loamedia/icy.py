"""Titles inside a SHOUTcast or Icecast stream ("ICY"): after every so many bytes of sound a block of text.

Sans-I/O. The block is one byte, sixteenths of its length, then `StreamTitle='…';StreamUrl='…';` filled up with zeros.
"""

from __future__ import annotations

import re
from typing import Final

_TITLE: Final = re.compile(r"StreamTitle='(.*?)';(?:Stream|$|\0)", re.DOTALL)
LONGEST_TITLE: Final = 300


class IcySplitter:
    """Takes the blocks out of the bytes of a stream, however these were cut up.

    interval  bytes of sound between two blocks, from the header `icy-metaint`
    title     the last one heard of, "" before the first
    """

    def __init__(self, interval: int) -> None:
        """Raises ValueError for an interval that is none."""
        if interval <= 0:
            raise ValueError(f"an interval of {interval} bytes between titles")
        self.title = ""
        self._interval = interval
        self._sound_left = interval
        self._text: bytearray | None = None
        self._text_left = 0

    def feed(self, data: bytes) -> bytes:
        """The sound among the next bytes of the stream; perhaps none."""
        sound = bytearray()
        at = 0
        while at < len(data):
            if self._sound_left:
                part = data[at : at + self._sound_left]
                sound += part
                self._sound_left -= len(part)
                at += len(part)
            elif self._text is None:
                self._text, self._text_left = bytearray(), data[at] * 16
                at += 1
                self._settle()
            else:
                part = data[at : at + self._text_left]
                self._text += part
                self._text_left -= len(part)
                at += len(part)
                self._settle()
        return bytes(sound)

    def _settle(self) -> None:
        if self._text is None or self._text_left:
            return
        if self._text:
            found = _TITLE.search(decoded(bytes(self._text)).rstrip("\0"))
            if found:
                self.title = plain(found[1])
        self._text, self._sound_left = None, self._interval


def decoded(text: bytes) -> str:
    """Text of a station: UTF-8 as it should be, Latin-1 as old servers have it."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("latin-1")


def plain(text: str) -> str:
    """A title in one line of at most LONGEST_TITLE printable characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:LONGEST_TITLE]

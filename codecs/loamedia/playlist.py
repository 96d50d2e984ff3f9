"""Playlists (HLS, and the lists of web radios): as text in memory, and the parts they name, for FFmpeg to open."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from .errors import SourceError
from .icy import decoded
from .spec import shown
from .web import Transfer, WebFile

PLAYLIST_LIMIT: Final = 1 << 20
_TYPES: Final = frozenset(
    {"application/vnd.apple.mpegurl", "application/x-mpegurl", "audio/mpegurl", "audio/x-mpegurl"}
)


def is_playlist(file: WebFile) -> bool:
    """Whether a list is behind an address, by its media type or its name."""
    path = urlsplit(file.name).path.lower()
    return file.content_type in _TYPES or path.endswith((".m3u8", ".m3u", ".pls"))


class Text(io.BytesIO):
    """A playlist in memory, under the address it came from."""

    def __init__(self, file: WebFile) -> None:
        """Reads `file` and closes it. Raises SourceError."""
        text = bytearray()
        while data := file.read(65536):
            text += data
            if len(text) > PLAYLIST_LIMIT:
                raise SourceError(f"the playlist {shown(file.name)} is longer than {PLAYLIST_LIMIT} bytes")
        file.close()
        self.name = file.name
        super().__init__(bytes(text))


def station(text: Text) -> str:
    """The first address in a list as web radios give it (M3U, PLS). Raises SourceError."""
    for line in decoded(text.getvalue()).splitlines():
        address = line.partition("=")[2] if re.match(r"file\d+=", line, re.IGNORECASE) else line
        if address.strip().lower().startswith(("http://", "https://")):
            return address.strip()
    raise SourceError(f"the playlist {shown(text.name)} names no stream")


def opener(transfer: Transfer) -> Callable[[str, int, dict[str, str]], Any]:
    """What FFmpeg calls for a playlist (HLS) and its parts: web addresses only. The callback raises SourceError."""
    told = False

    def open_part(address: str, flags: int, options: dict[str, str]) -> Any:
        nonlocal told
        if told:  # FFmpeg asks again after an error; an exception more would be lost with a noise
            return io.BytesIO()
        try:
            if flags & 2 or urlsplit(address).scheme not in ("http", "https"):
                raise SourceError(f"a playlist may name web addresses only, not {shown(address)}")
            return _opened(address, options, transfer)
        except SourceError:
            told = True
            raise

    return open_part


def _opened(address: str, options: dict[str, str], transfer: Transfer) -> Any:
    start, end = options.get("offset", ""), options.get("end_offset", "")
    first = int(start) if start.isdecimal() else 0
    last = int(end) if end.isdecimal() and int(end) else None
    file = WebFile(address, transfer, start=first, end=last)
    if not is_playlist(file):
        return transfer.parts.opened(address, first, file)
    text = Text(file)
    if transfer.parts.listed(address, text.getvalue()):
        # FFmpeg would wait, in silence, until the new parts have reached the number of the last old one.
        raise SourceError(f"{shown(address)} began anew", passing=True)
    return text

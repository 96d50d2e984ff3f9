"""The parts of a live playlist (HLS) that were played: one that was opened anew must not repeat them.

A playlist stays where it is when its encoder has died. FFmpeg gives up after a while, and whoever opens the playlist
again would begin at its third last part each time, so that the last seconds came again twice a minute. An encoder
that was started again numbers its parts from nought, perhaps under the names that the old ones had.
"""

from __future__ import annotations

import io
import re
from collections import deque
from typing import Any, Final, Protocol

_REMEMBERED: Final = 64
_HEAD: Final = 16384
"""Bytes by which a part is known, besides its address: an encoder that began anew gives old names to new parts."""
_LATE: Final = 2
"""By so many parts a playlist may be behind the one before it: caches answer with an old copy."""
_LISTS: Final = 64
"""So many playlists are watched; FFmpeg opens all that a master playlist names."""

_Part = tuple[str, int, int]


class _Source(Protocol):
    def read(self, size: int = -1) -> bytes: ...
    def close(self) -> None: ...


class Parts:
    """Which parts were played, over all openings of one source. For the thread of the source alone.

    repeated  whether nothing but parts played before was asked for since the last `begin`
    renewed   whether the playlist was found to have begun anew since then
    """

    def __init__(self) -> None:
        self._earlier: deque[_Part] = deque(maxlen=_REMEMBERED)
        self._now: deque[_Part] = deque(maxlen=_REMEMBERED)
        self._skipped = 0
        self._ends: dict[str, int] = {}
        self.renewed = False

    @property
    def repeated(self) -> bool:
        """Whether parts were left out, and none was new."""
        return bool(self._skipped and not self._now)

    def begin(self) -> None:
        """The source is opened (again)."""
        self._now.clear()
        self._skipped = 0
        self.renewed = False

    def keep(self) -> None:
        """It was live and has ended: what it played shall not come again."""
        self._earlier.extend(self._now)

    def listed(self, address: str, text: bytes) -> bool:
        """Whether a media playlist began anew: its numbers, which never fall (RFC 8216, 6.2.2), fell back.

        What was played before it did is forgotten then.
        """
        end = _end(text)
        if end is None:
            return False
        before = self._ends.pop(address, end)
        fell = end < before - _LATE
        self._ends[address] = end if fell else max(end, before)
        if len(self._ends) > _LISTS:
            del self._ends[next(iter(self._ends))]
        if fell:
            self._earlier.clear()
            self._now.clear()
            self.renewed = True
        return fell

    def opened(self, address: str, start: int, file: _Source) -> Any:
        """`file` to read from its beginning, or an empty one if it was played before. Raises what `read` raises."""
        head = bytearray()
        while len(head) < _HEAD and (data := file.read(_HEAD - len(head))):
            head += data
        if (
            head[4:8] != b"ftyp" or b"moof" in head
        ):  # what all parts of fragmented MP4 begin with is no part itself
            part = (address, start, hash(bytes(head)))
            if part in self._earlier:
                self._skipped += 1
                file.close()
                return io.BytesIO()
            self._now.append(part)
        return _Resumed(bytes(head), file)


def _end(playlist: bytes) -> int | None:
    """The media sequence number after its last part (RFC 8216, 4.3.3.2), None for a list that names no parts."""
    parts = playlist.count(b"#EXTINF:")
    first = re.search(rb"^#EXT-X-MEDIA-SEQUENCE:\s*(\d{1,18})", playlist, re.MULTILINE)
    return parts + (int(first[1]) if first else 0) if parts else None


class _Resumed(io.RawIOBase):
    """`head`, and then what `tail` has."""

    def __init__(self, head: bytes, tail: _Source) -> None:
        super().__init__()
        self._head = head
        self._tail = tail

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if not self._head:
            return self._tail.read(size)
        wanted = len(self._head) if size is None or size < 0 else size
        data, self._head = self._head[:wanted], self._head[wanted:]
        return data

    def close(self) -> None:
        self._tail.close()
        super().close()
